"""BSREM: its formula, the minimiser by SciPy, zeros that come back, what subsets save, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import ipbox as ip
from ipbox.backend import to_host


def counts(rng: np.random.Generator, cold: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A sparse matrix of 24 readings of 9 pixels, three of which are empty where ``cold``, and counts."""
    A, u = rng.random((24, 9)) * (rng.random((24, 9)) < 0.6), rng.uniform(5, 20, 9)
    if cold:
        u[::4] = 0
    return A, rng.poisson(A @ u + 1).astype(np.float64)


def penalised(A: Any, b: Any, beta: float, **options: Any) -> Any:
    return ip.KL(ip.as_operator(A, (3, 3)), b, 1.0) + beta * ip.RelativeDifference((3, 3), 0.05, **options)


def minimiser(f: Any) -> np.ndarray:
    """By L-BFGS-B with bounds."""
    options = {"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-11}

    def values(u: np.ndarray) -> tuple[float, np.ndarray]:
        u = u.reshape(3, 3)
        return f.value(u), f.grad(u).ravel()

    bounds = [(0, None)] * 9
    found = scipy.optimize.minimize(values, np.ones(9), jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return found.x.reshape(3, 3)


def distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.linalg.norm(x - y) / np.linalg.norm(y))


def test_is_its_formula(rng: np.random.Generator, xp: Any) -> None:
    A, b = counts(rng)
    R, u = 0.3 * ip.RelativeDifference((3, 3), 0.05), np.full(9, 3.0)
    p = 4 * np.max([A[i::4].sum(0) for i in range(4)], axis=0)
    delta = 1e-3 * np.maximum(b - 1, 0).sum() / A.sum()
    for k in range(3):
        for i in (0, 2, 1, 3):
            prior = R.grad(u.reshape(3, 3)).ravel()
            D = 1 / (p / (u + delta) + R.diagonal_bound(u.reshape(3, 3)).ravel())
            gradient = 4 * A[i::4].T @ (1 - b[i::4] / (A[i::4] @ u + 1)) + prior
            u = np.maximum(u - 0.9 / (1 + 0.2 * k) * D * gradient, 0)
    problem = ip.Problem(penalised(xp.asarray(A), xp.asarray(b), 0.3))
    x = ip.solve(problem, ip.BSREM(4, 0.9, 0.2), x0=xp.full((3, 3), 3.0), stop=ip.stop.niter(3)).x
    assert np.allclose(to_host(x).ravel(), u, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.01, 0.3, 100.0])
def test_reaches_the_minimiser(beta: float, rng: np.random.Generator) -> None:
    f = penalised(*counts(rng), beta, kappa=rng.uniform(0.5, 2, (3, 3)))
    exact, problem = minimiser(f), ip.Problem(f + ip.NonNegative())
    whole = ip.solve(problem, ip.BSREM(1, decay=0), stop=ip.stop.niter(600)).x
    subsets = ip.solve(problem, ip.BSREM(4), stop=ip.stop.niter(400)).x
    assert distance(whole, exact) < 1e-6 and distance(subsets, exact) < 4e-3
    assert f.value(subsets) - f.value(exact) < 1e-3


def test_pixels_come_back_from_zero_and_stay_where_they_belong(rng: np.random.Generator) -> None:
    A, b = counts(rng, cold=True)
    f = penalised(A, b, 0.01)
    exact = minimiser(f)
    x0 = np.zeros((3, 3))
    x0[0, 0] = 1.0
    x = ip.solve(ip.Problem(f), ip.BSREM(1, decay=0), x0=x0, stop=ip.stop.niter(1500)).x
    assert distance(x, exact) < 1e-3 and x.min() >= 0


def test_a_bound_from_above_is_kept(rng: np.random.Generator) -> None:
    f = penalised(*counts(rng), 0.1)
    x = ip.solve(ip.Problem(f + ip.Box(0, 16.0)), ip.BSREM(1, decay=0), stop=ip.stop.niter(500)).x
    free = (x > 1e-6) & (x < 16 - 1e-6)
    assert x.max() == 16 and abs(f.grad(x)[free]).max() < 1e-6 and (f.grad(x)[x == 16] <= 1e-6).all()


def test_any_smooth_term_and_weight(rng: np.random.Generator) -> None:
    """7 (KL + β R) has the minimiser of KL + β R, also for a term that knows no more than L."""
    A, b = counts(rng)
    f = ip.KL(ip.as_operator(A, (3, 3)), b, 1.0) + 0.05 * ip.Tikhonov((3, 3))
    x, y = (ip.solve(ip.Problem(c * f), ip.BSREM(1, decay=0), stop=ip.stop.niter(600)).x for c in (1.0, 7.0))
    assert distance(x, minimiser(f)) < 1e-6 and distance(y, x) < 1e-12


def test_subsets_save_most_of_the_work() -> None:
    A, b, _, _ = ip.problem("pet", size=32, views=40, counts=1e5)
    f = ip.KL(A, b) + 0.3 * ip.RelativeDifference(A.dims, 0.01)
    found = {}
    for n, niter in ((1, 60), (10, 6)):
        with ip.counting(A) as count:
            found[n] = f.value(ip.solve(ip.Problem(f), ip.BSREM(n), stop=ip.stop.niter(niter)).x), count.total
    assert found[10][0] <= found[1][0] and found[10][1] < 0.2 * found[1][1]


def test_verdicts_and_refusals(rng: np.random.Generator) -> None:
    A, b = counts(rng)
    problem = ip.Problem(penalised(A, b, 0.1))
    assert "cycle" in ip.BSREM(4, decay=0).is_provably_convergent(problem).reason
    with pytest.raises(ValueError, match="BSREM expects KL"):
        ip.solve(ip.Problem(ip.L2(ip.as_operator(A), b)), ip.BSREM(1), stop=ip.stop.niter(1))
    with pytest.raises(ValueError, match="fits no role of BSREM"):
        ip.solve(ip.Problem(ip.KL(A, b, 1.0) + ip.Box(1.0, 2.0)), ip.BSREM(1), stop=ip.stop.niter(1))
    with pytest.raises(ValueError, match="BSREM"):
        ip.solve(ip.Problem(ip.KL(ip.as_operator(A, (3, 3)), b, 1.0) + ip.TV((3, 3))), ip.BSREM(1))
    with pytest.raises(ValueError, match=r"^x0 has negative entries, down to -1"):
        ip.solve(problem, ip.BSREM(1), x0=-np.ones((3, 3)), stop=ip.stop.niter(1))
    for options in ({"relaxation": 2.0}, {"decay": -0.1}, {"subsets": 0}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))} is"):
            ip.BSREM(**options)
