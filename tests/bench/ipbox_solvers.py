"""One TV reconstruction by every solver of ipbox that takes it: iterations, applications of A and seconds to 1e-4."""

from __future__ import annotations

import inspect
import time
from functools import cache
from typing import Any

import numpy as np

import ipbox as ip

# where another setting than the default is better, or needed
SETTINGS: dict[str, dict[str, Any]] = {"ADMM": {"relax": 1.7}, "SPDHG": {"subsets": 6}}


@cache
def _problem(data: str, lam: float, upper: float, dtype: str) -> tuple[Any, ip.Problem]:
    """½‖Au - b‖² + λ TV(u), 0 <= u <= upper: the upper bound is never reached, and makes the duality gap finite."""
    with np.load(data) as d:
        A = ip.JosephTransform(tuple(d["dims"]), d["angles"], n_det=d["b"].shape[1], dtype=dtype)
        b = d["b"].astype(dtype)
    return A, ip.Problem(ip.L2(A, b) + lam * ip.TV(A.dims) + ip.Box(0.0, upper))


def optimum(data: str, lam: float, upper: float, tol: float) -> dict[str, float]:
    """The optimal value in float64, certified by the duality gap."""
    _, problem = _problem(data, lam, upper, "float64")
    sol = ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(tol, every=50) | ip.stop.niter(20000))
    parts = sol.solver.prepare(problem)
    return {
        "value": float(problem.objective(sol.x)),
        "gap": float(sol.solver.gap(parts, sol.state)),
        "niter": sol.niter,
    }


def names() -> list[str]:
    """The solvers that look for the minimiser, by name (Bregman iterations go from the data term's to another one)."""
    found = [n for n, c in vars(ip.solvers).items() if inspect.isclass(c) and issubclass(c, ip.solvers.Solver)]
    return sorted(n for n in found if n != "Solver" and "Bregman" not in n and n != "InverseScaleSpace")


def run(name: str, data: str, lam: float, upper: float, optimum: float, accuracy: float, limit: int) -> dict[str, Any]:
    """A solver from zero until its objective, evaluated every 5th iteration off the clock, is within ``accuracy``."""
    A, problem = _problem(data, lam, upper, "float32")
    solver = getattr(ip, name)(**SETTINGS.get(name, {}))
    try:
        solver.prepare(problem)
    except (ValueError, TypeError) as reason:
        return {"refused": str(reason)}
    verdict, aside, excess = solver.is_provably_convergent(problem), 0.0, np.inf
    ip.solve(problem, solver, stop=ip.stop.niter(2))  # compiled, norms known
    start = time.perf_counter()
    with ip.counting(A) as count:
        for state in ip.iterate(problem, solver, stop=ip.stop.niter(limit)):
            if state.k % 5 == 0:
                paused, seen = time.perf_counter(), (count.forward, count.adjoint)
                excess = float(problem.objective(state.x)) / optimum - 1
                aside += time.perf_counter() - paused
                count.forward, count.adjoint = seen
                if excess <= accuracy:
                    break
        seconds = time.perf_counter() - start - aside
    return {
        "niter": state.k, "applications": count.total, "seconds": seconds, "excess": excess,
        "proved": bool(verdict), "reason": verdict.reason, "solver": str(solver),
    }  # fmt: skip
