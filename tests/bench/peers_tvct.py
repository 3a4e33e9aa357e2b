"""TV reconstruction from projections by PyProximal's PrimalDual on CT2D: the same problem, in units of pixels.

min_u ½‖Au - b‖² + λ TV(u), u >= 0, as g(Ku) + f(u) with f = Box(0, ∞), K = [cA; ∇] and
g(y, z) = ½/c² ‖y - cb‖² + λ‖z‖_{2,1}.  PrimalDual has one μ for both blocks, and ‖A‖ is a hundred times ‖∇‖: the
plain stack, c = 1, hardly gets on; with c = ‖∇‖/‖A‖, "balanced", it does, as a user who knows the method would have it.
Step sizes: τ = γ/‖K‖, μ = 0.99/(γ‖K‖).
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import pylops
import pyproximal
from pyproximal.optimization.cls_primaldual import PrimalDual

from .common import total_variation
from .peers_ray import ct2d


class Scaled(pylops.LinearOperator):
    """cA without PyLops' own scaling, which makes the adjoint's result float64."""

    def __init__(self, A: Any, c: float) -> None:
        self.A, self.c = A, float(c)
        super().__init__(dtype=A.dtype, dims=A.dims, dimsd=A.dimsd)

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.c * self.A.matvec(x)

    def _rmatvec(self, y: np.ndarray) -> np.ndarray:
        return self.c * self.A.rmatvec(y)


@cache
def _setup(data: str) -> tuple[Any, np.ndarray, float]:
    """A, b and ‖A‖ (power method, raised by half a per cent)."""
    with np.load(data) as d:
        b = d["b"]
        A = ct2d(int(d["dims"][0]), d["angles"], b.shape[1])
    v = np.random.default_rng(0).random(A.shape[1], dtype=np.float32)
    for _ in range(20):
        v /= np.linalg.norm(v)
        v = A.rmatvec(A.matvec(v))
    return A, b.ravel(), 1.005 * float(np.sqrt(np.linalg.norm(v)))


def _objective(data: str, lam: float, x: np.ndarray) -> float:
    A, b, _ = _setup(data)
    residual = A.matvec(x).astype(np.float64) - b
    return 0.5 * float(residual @ residual) + lam * total_variation(x.reshape(A.dims))


class _Run:
    """PrimalDual from zero, step by step."""

    def __init__(self, data: str, lam: float, balanced: bool, gamma: float, niter: int) -> None:
        A, b, norm = _setup(data)
        gradient = pylops.Gradient(A.dims, kind="forward", edge=False, dtype="float32")
        c = np.sqrt(8) / norm if balanced else 1.0
        K = pylops.VStack([Scaled(A, c), gradient], dtype="float32")
        norm_k = np.sqrt((c * norm) ** 2 + 8)
        fidelity = pyproximal.L2(b=np.float32(c) * b, sigma=1 / float(c) ** 2)
        g = pyproximal.VStack([fidelity, pyproximal.L21(ndim=2, sigma=lam)], [A.shape[0], gradient.shape[0]])
        self.solver, x0 = PrimalDual(), np.zeros(A.shape[1], dtype=np.float32)
        self.state = self.solver.setup(
            pyproximal.Box(0.0, np.inf), g, K, x0=x0, tau=gamma / norm_k, mu=0.99 / (gamma * norm_k), niter=niter
        )

    def step(self) -> np.ndarray:
        self.state = self.solver.step(*self.state)
        return self.state[0]


def optimum(data: str, lam: float, balanced: bool, gamma: float, niter: int) -> dict[str, Any]:
    """The lowest objective within ``niter`` iterations."""
    run, lowest = _Run(data, lam, balanced, gamma, niter), float("inf")
    for k in range(1, niter + 1):
        x = run.step()
        if k % 50 == 0:
            lowest = min(lowest, _objective(data, lam, x))
    return {"value": lowest}


def iterations_to(data: str, lam: float, balanced: bool, gamma: float, bound: float, limit: int) -> dict[str, Any]:
    """Iterations from zero until the objective, evaluated every 5th time, is at most ``bound``; None beyond ``limit``.

    ``last`` is the objective at the end.
    """
    run, last = _Run(data, lam, balanced, gamma, limit), float("inf")
    for k in range(1, limit + 1):
        x = run.step()
        if k % 5 == 0:
            last = _objective(data, lam, x)
            if last <= bound:
                return {"niter": k, "last": last}
    return {"niter": None, "last": last}


def run(data: str, lam: float, balanced: bool, gamma: float, niter: int) -> dict[str, Any]:
    """Seconds per iteration."""
    solver = _Run(data, lam, balanced, gamma, niter)
    start = time.perf_counter()
    for _ in range(niter):
        solver.step()
    return {"seconds": (time.perf_counter() - start) / niter}
