"""TV denoising of volumes by ipbox, and how fast this machine copies."""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np

import ipbox as ip

from .common import denoising_objective, first_below


@numba.njit(parallel=True)
def _copy(a: np.ndarray, b: np.ndarray) -> None:
    for i in numba.prange(a.shape[0]):
        b[i] = a[i]


def _problem(b: np.ndarray, lam: float) -> Any:
    return ip.Problem(ip.L2(b=b) + lam * ip.TV(b.shape))


def iterate(data: str, lam: float, niter: int) -> dict[str, Any]:
    """Seconds of a step of accelerated PDHG, and of a copy of the arrays it reads and writes (STREAM's, all cores).

    u, ū and the dual field y are read and written, b is read: 11 volumes, of which a copy reads and writes 5.5 each.
    """
    b = np.load(data)
    times = []
    for run in ip.iterate(_problem(b, lam), ip.PDHG(), x0=b, stop=ip.stop.niter(niter)):
        times.append(time.perf_counter())
        state = run.state
    moved = 2 * (state.x.nbytes + state.x_bar.nbytes + state.y[0].nbytes) + b.nbytes
    del run, state
    there, back = (np.ones((512, moved // 1024 // b.itemsize), b.dtype) for _ in range(2))
    _copy(there, back)
    copies = [time.perf_counter()]
    for _ in range(niter):
        _copy(there, back)
        copies.append(time.perf_counter())
    seconds, copy = (float(np.median(np.diff(t)[1:])) for t in (times, copies))
    return {"seconds": seconds, "copy": copy, "bytes": moved}


def iterations_to(data: str, lam: float, bound: float, limit: int) -> dict[str, Any]:
    """Steps of accelerated PDHG until the objective is at most ``bound``."""
    b = np.load(data)
    runs = ip.iterate(_problem(b, lam), ip.PDHG(), x0=b, stop=ip.stop.niter(limit))
    return {"niter": first_below(((run.k, denoising_objective(run.x, b, lam)) for run in runs), bound)}


def denoise(data: str, lam: float, niter: int, out: str) -> dict[str, Any]:
    """Seconds for ``niter`` steps, all of `solve` included; the image is saved."""
    b = np.load(data)
    start = time.perf_counter()
    sol = ip.solve(_problem(b, lam), ip.PDHG(), x0=b, stop=ip.stop.niter(niter))
    seconds = time.perf_counter() - start
    np.save(out, sol.x)
    return {"seconds": seconds}
