"""Bregman iterations: their limits minimise the data term alone, and of its minimisers J."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.optimize

import ipbox as ip
from tests.contracts.solvers.registry import LAM, Case, Family, dense, operator

ROWS, COLUMNS = 8, 12  # fewer data than unknowns


def _matrix() -> np.ndarray:
    return dense(0.8, columns=ROWS, rows=COLUMNS).T


def _sparse_data(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Data of an image with two entries, not small."""
    x = np.zeros(COLUMNS)
    x[rng.choice(COLUMNS, 2, replace=False)] = rng.uniform(1, 2, 2) * rng.choice([-1, 1], 2)
    return _matrix() @ x


def _sparsest(b: np.ndarray, dtype: Any) -> np.ndarray:
    """Of all u with Au = b the one with the smallest ‖u‖₁, by linear programming."""
    m = _matrix().astype(dtype).astype(np.float64)
    c = np.ones(2 * COLUMNS)
    u = scipy.optimize.linprog(c, A_eq=np.hstack([m, -m]), b_eq=b, method="highs-ds").x
    return (u[:COLUMNS] - u[COLUMNS:]).reshape(3, 4)


def _objective(b: Any, xp: Any, dtype: Any) -> ip.functionals.Functional:
    return ip.L2(operator(_matrix(), xp, dtype), b) + 3 * LAM * ip.L1()


# the smallest ‖u‖₁ + ‖u‖²/(2λ) is the smallest ‖u‖₁ where λ is large (Yin 2010)
SPARSEST = Family("sparsest", (ROWS,), _objective, _sparsest, _sparse_data)
FITTED = Family(
    "fitted",
    (17,),
    lambda b, xp, dtype: ip.L2(operator(dense(), xp, dtype), b) + LAM * ip.L1(),
    lambda b, dtype: np.linalg.lstsq(dense().astype(dtype).astype(np.float64), b, rcond=None)[0].reshape(3, 4),
)

CASES = [
    Case(ip.LinearisedBregman(), FITTED, 300, too_large=ip.LinearisedBregman(tau=0.9)),
    Case(ip.LinearisedBregman(line_search=True), FITTED, 150, numbers=12),
    Case(ip.LinearisedBregman(), SPARSEST, 600),
    Case(ip.Bregman(ip.FISTA(), tol=1e-12, niter=300), FITTED, 20, numbers=400),
    Case(ip.Bregman(ip.FISTA(), tol=1e-12, niter=300), SPARSEST, 20, numbers=400),
    Case(ip.InverseScaleSpace(), SPARSEST, 20, numbers=40, batches=False),
    Case(ip.InverseScaleSpace(), FITTED, 40, numbers=60, batches=False),
]
