"""TGV denoising by ipbox."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import ipbox as ip


def denoise(data: str, lam: float, beta: float, gap: float, out: str) -> dict[str, Any]:
    """Seconds for PDHG until its relative duality gap is at most ``gap``, the gaps evaluated included."""
    b = np.load(data)
    problem = ip.Problem(ip.L2(b=b) + lam * ip.TGV(b.shape, beta))
    start = time.perf_counter()
    sol = ip.solve(problem, ip.PDHG(), x0=b, stop=ip.stop.gap(gap, every=25) | ip.stop.niter(20_000))
    seconds = time.perf_counter() - start
    dual = problem.terms[1].feasible_dual(sol.state.y[0])
    np.savez(out, x=sol.x, v=sol.state.aux[0][0], y=dual)
    images = sol.state.nbytes / b.nbytes
    return {"seconds": seconds, "niter": sol.niter, "stop": sol.stop, "images": images}
