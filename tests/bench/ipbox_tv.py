"""TV denoising by ipbox."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import ipbox as ip

from .common import denoising_objective, first_below


def _problem(b: np.ndarray, lam: float) -> Any:
    return ip.Problem(ip.L2(b=b) + lam * ip.TV(b.shape))


def iterate(data: str, lam: float, niter: int, out: str, dtype: str = "float32") -> dict[str, Any]:
    """``niter`` steps with τ = σ = 1/√8, θ = 1 from b; seconds per step, everything of `solve` included."""
    b = np.load(data).astype(dtype)
    problem, step = _problem(b, lam), 8**-0.5
    start = time.perf_counter()
    sol = ip.solve(problem, ip.PDHG(tau=step, sigma=step, accelerate=False), x0=b, stop=ip.stop.niter(niter))
    seconds = time.perf_counter() - start
    np.save(out, sol.x)
    return {"seconds": seconds / niter}


def optimum(data: str, lam: float, gap: float, out: str) -> dict[str, Any]:
    """A float64 solve to a relative duality gap; the image and the dual variable are saved."""
    b = np.load(data).astype(np.float64)
    sol = ip.solve(_problem(b, lam), ip.PDHG(), stop=ip.stop.gap(gap) | ip.stop.niter(50000))
    np.savez(out, x=sol.x, y=sol.state.y[0])
    return {"niter": sol.niter, "stop": sol.stop}


def iterations_to(data: str, lam: float, bound: float, limit: int) -> dict[str, Any]:
    """Steps of accelerated PDHG until the objective is at most ``bound``."""
    b = np.load(data)
    runs = ip.iterate(_problem(b, lam), ip.PDHG(), x0=b, stop=ip.stop.niter(limit))
    trace = ((run.k, denoising_objective(run.x, b, lam)) for run in runs)
    return {"niter": first_below(trace, bound)}


def denoise(data: str, lam: float, niter: int, out: str) -> dict[str, Any]:
    """Seconds for ``niter`` steps of accelerated PDHG, the objective not evaluated."""
    b = np.load(data)
    start = time.perf_counter()
    sol = ip.solve(_problem(b, lam), ip.PDHG(), x0=b, stop=ip.stop.niter(niter))
    seconds = time.perf_counter() - start
    np.save(out, sol.x)
    return {"seconds": seconds}


def denoise_to(data: str, lam: float, gap: float, out: str) -> dict[str, Any]:
    """Seconds for accelerated PDHG until its relative duality gap is at most ``gap``, the gaps evaluated included."""
    b = np.load(data)
    start = time.perf_counter()
    sol = ip.solve(_problem(b, lam), ip.PDHG(), x0=b, stop=ip.stop.gap(gap) | ip.stop.niter(2000))
    seconds = time.perf_counter() - start
    np.savez(out, x=sol.x, y=sol.state.y[0])
    return {"seconds": seconds, "niter": sol.niter}
