"""Every solver with the problems it is tested on; their solutions are known without any of the solvers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import scipy.optimize

import ipbox as ip
from ipbox.functionals import Functional
from ipbox.operators import Operator
from ipbox.solvers import Solver
from tests.contracts.support import listed

DIMS = (3, 4)
LAM = 0.3  # weight of every regulariser below


class Matrix(Operator):
    """A dense matrix as an operator on images, on any device; its norm is exact."""

    def __init__(self, matrix: Any, dims: tuple[int, ...], norm: float) -> None:
        self.matrix, self.exact_norm = matrix, norm
        super().__init__(dims, (matrix.shape[0],), matrix.dtype, name="Matrix")

    def _apply(self, x: Any, out: Any) -> None:
        out[...] = x.reshape(x.shape[0], -1) @ self.matrix.T

    def _apply_adjoint(self, y: Any, out: Any) -> None:
        out[...] = (y @ self.matrix).reshape(out.shape)

    def _compute_norm(self) -> tuple[float, str]:
        return self.exact_norm, "exact"


def dense(smallest: float = 0.5, columns: int = 12, rows: int = 17) -> np.ndarray:
    """A (rows, columns) matrix with singular values from ``smallest`` to 1.5."""
    rng = np.random.default_rng(5)
    u, _ = np.linalg.qr(rng.standard_normal((rows, columns)))
    v, _ = np.linalg.qr(rng.standard_normal((columns, columns)))
    return u @ np.diag(np.linspace(1.5, smallest, columns)) @ v.T


def operator(matrix: np.ndarray, xp: ModuleType, dtype: Any, dims: tuple[int, ...] = DIMS) -> Matrix:
    m = matrix.astype(dtype)
    return Matrix(xp.asarray(m), dims, float(np.linalg.norm(m.astype(np.float64), 2)))


@dataclass(frozen=True)
class Family:
    """Problems that differ in their data b: how the objective is made of b, and its minimiser in float64."""

    name: str
    data_shape: tuple[int, ...]
    objective: Callable[[Any, ModuleType, Any], Functional]
    solution: Callable[[np.ndarray, Any], np.ndarray]
    data: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = np.random.Generator.standard_normal

    def draw(self, xp: ModuleType, dtype: Any, batch: int | None = None, seed: int = 0) -> Any:
        """Data b, for ``batch`` with that many samples."""
        rng = np.random.default_rng(seed)
        b = [self.data(rng, self.data_shape) for _ in range(batch or 1)]
        return xp.asarray((b[0] if batch is None else np.stack(b)).astype(dtype))

    def problem(self, b: Any, xp: ModuleType, dtype: Any) -> ip.Problem:
        batch = b.shape[0] if b.ndim > len(self.data_shape) else None
        return ip.Problem(self.objective(b, xp, dtype), batch=batch)


def _ridge(b: np.ndarray, dtype: Any) -> np.ndarray:
    m = dense().astype(dtype).astype(np.float64)
    return np.linalg.solve(m.T @ m + LAM * np.eye(m.shape[1]), m.T @ b).reshape(DIMS)


def _nonneg(b: np.ndarray, dtype: Any) -> np.ndarray:
    return scipy.optimize.nnls(dense().astype(dtype).astype(np.float64), b.astype(np.float64))[0].reshape(DIMS)


def _lasso(b: np.ndarray, dtype: Any) -> np.ndarray:
    return (np.sign(b) * np.maximum(np.abs(b) - LAM, 0)).reshape(DIMS)


def _step_image(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Two halves of different heights."""
    b = np.empty(shape)
    b[:3], b[3:] = rng.uniform(1, 2), rng.uniform(-2, -1)
    return b


def _flattened(b: np.ndarray, dtype: Any) -> np.ndarray:
    """TV moves the halves towards each other by λ times the length of the edge over the area of a half."""
    x = b.astype(np.float64)
    x[:3] -= LAM * 4 / 12
    x[3:] += LAM * 4 / 12
    return x


RIDGE = Family("ridge", (17,), lambda b, xp, dtype: ip.L2(operator(dense(), xp, dtype), b) + LAM * ip.L2(), _ridge)
NONNEG = Family(
    "nonneg", (17,), lambda b, xp, dtype: ip.L2(operator(dense(), xp, dtype), b) + ip.NonNegative(), _nonneg
)
# (1/2)|Id u - b|^2 with the identity as a matrix: a smooth term that is not recognised as a denoising one
LASSO = Family("lasso", (12,), lambda b, xp, dtype: ip.L2(operator(np.eye(12), xp, dtype), b) + LAM * ip.L1(), _lasso)
STEP = Family("step", (6, 4), lambda b, xp, dtype: ip.L2(b=b) + LAM * ip.TV((6, 4)), _flattened, _step_image)


@dataclass(frozen=True)
class Case:
    """A solver on a family: in ``niter`` iterations it comes within ``accuracy`` of the solution, in float64.

    ``certified``: its certificate bounds ‖x - x*‖.  ``too_large`` is the solver with a step size beyond its bound.
    ``numbers``: so many numbers a step reads from the device, at most.  ``proved``: a theorem says that it converges.
    ``batches``: it takes them.  ``explicit``: the objective has a value.  ``latent``: a latent vector is unknown too,
    its start a setting of the solver, and the objective has a term in it that the problem has not.
    """

    solver: Solver
    family: Family
    niter: int
    certified: bool = False
    too_large: Solver | None = None
    accuracy: float = 1e-9
    numbers: int = 0
    proved: bool = True
    batches: bool = True
    explicit: bool = True
    latent: bool = False

    @property
    def id(self) -> str:
        return f"{type(self.solver).__name__}-{self.family.name}"


@functools.cache
def cases() -> list[Case]:
    """The lists ``CASES`` of the files beside this one."""
    return listed("solvers")


def one_each() -> list[Case]:
    """The first case of every solver class."""
    return list({type(case.solver): case for case in reversed(cases())}.values())
