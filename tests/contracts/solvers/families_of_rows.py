"""Problems for row actions, EM and stochastic solvers: matrices with subsets, consistent data."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.operators.core.subsets import OrderedSubsets, check_subset
from tests.contracts.solvers.registry import DIMS, LAM, Family, Matrix, dense

ROWS = 40  # in subsets of one shape for 4, 8 and 20


class Rows(OrderedSubsets, Matrix):
    """A dense matrix on images, with subsets of its rows."""

    def __init__(self, matrix: Any, dims: tuple[int, ...], norm: float) -> None:
        self.nonnegative = bool((matrix >= 0).all())
        super().__init__(matrix, dims, norm)

    def subset(self, indices: Any) -> Rows:
        chosen = check_subset(indices, self.dimsd[0])
        part = self.matrix[slice(int(chosen[0]), None, int(chosen[1] - chosen[0]) if len(chosen) > 1 else ROWS)]
        host = part.get() if hasattr(part, "get") else part
        return Rows(part, tuple(self.dims), float(np.linalg.norm(host.astype(np.float64), 2)))


def rows(matrix: np.ndarray, xp: ModuleType, dtype: Any) -> Rows:
    m = matrix.astype(dtype)
    return Rows(xp.asarray(m), DIMS, float(np.linalg.norm(m.astype(np.float64), 2)))


def positive() -> np.ndarray:
    """A well-conditioned (40, 12) matrix with entries >= 0."""
    rng = np.random.default_rng(3)
    return np.vstack([np.eye(12), rng.uniform(0, 0.3, (4, 12)), 0.5 * np.eye(12), 0.7 * np.eye(12)]) + 0.01


def _solution(matrix: np.ndarray, ridge: float) -> Any:
    def solve(b: np.ndarray, dtype: Any) -> np.ndarray:
        m = matrix.astype(dtype).astype(np.float64)
        return np.linalg.solve(m.T @ m + ridge * np.eye(12), m.T @ b).reshape(DIMS)

    return solve


def _expected(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A u of an image u > 0."""
    return positive() @ rng.uniform(1, 2, 12)


CONSISTENT = Family(
    "consistent",
    (ROWS,),
    lambda b, xp, dtype: ip.L2(rows(positive(), xp, dtype), b),
    _solution(positive(), 0.0),
    _expected,
)
COUNTS = Family(
    "counts", (ROWS,), lambda b, xp, dtype: ip.KL(rows(positive(), xp, dtype), b), _solution(positive(), 0.0), _expected
)
SPLIT_RIDGE = Family(
    "split ridge",
    (ROWS,),
    lambda b, xp, dtype: ip.L2(rows(dense(rows=ROWS), xp, dtype), b) + LAM * ip.L2(),
    _solution(dense(rows=ROWS), LAM),
)
