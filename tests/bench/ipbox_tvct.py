"""TV reconstruction from projections by ipbox: min_u ½‖Au - b‖² + λ TV(u), u >= 0, in units of pixels."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np

import ipbox as ip

from .common import first_below


@cache
def _setup(data: str, lam: float) -> tuple[Any, Any]:
    """The problem, and the solver with the step sizes that `ip.tv` chooses for it."""
    with np.load(data) as d:
        A = ip.RayTransform(tuple(d["dims"]), d["angles"], n_det=d["b"].shape[1], dtype="float32")
        b = d["b"]
    problem = ip.Problem(ip.L2(A, b) + lam * ip.TV(A.dims) + ip.NonNegative())
    return problem, ip.tv(A, b, lam, nonneg=True, niter=1)[1].solver


def optimum(data: str, lam: float, niter: int) -> dict[str, Any]:
    """The lowest objective within ``niter`` iterations."""
    problem, solver = _setup(data, lam)
    runs = ip.iterate(problem, solver, stop=ip.stop.niter(niter))
    return {"value": min(run.objective() for run in runs if run.k % 50 == 0)}


def iterations_to(data: str, lam: float, bound: float, limit: int) -> dict[str, Any]:
    """Iterations from zero until the objective, evaluated every 5th time, is at most ``bound``."""
    problem, solver = _setup(data, lam)
    runs = ip.iterate(problem, solver, stop=ip.stop.niter(limit))
    niter = first_below(((run.k, run.objective()) for run in runs if run.k % 5 == 0), bound)
    return {"niter": niter, "solver": str(solver)}


def run(data: str, lam: float, niter: int, out: str) -> dict[str, Any]:
    """Seconds for ``niter`` iterations from zero, start and all included."""
    problem, solver = _setup(data, lam)
    start = time.perf_counter()
    sol = ip.solve(problem, solver, stop=ip.stop.niter(niter))
    seconds = time.perf_counter() - start
    np.save(out, sol.x)
    return {"seconds": seconds, "objective": problem.objective(sol.x)}
