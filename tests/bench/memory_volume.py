"""Memory of TV on cone-beam data, in a process of its own: ``python -m tests.bench.memory_volume SIZE VIEWS NITER``.

Figures are in volumes.  The parent sets MALLOC_MMAP_THRESHOLD_, so that every array is a mapping of its own and freed
memory is given back.  Kernels are loaded by a small volume first.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.reconstruct.variational import memory

from .memory import resident


def scan(n: int, views: int) -> ip.ConeBeamTransform:
    """A circle of four widths, a panel of n x n pixels that sees all of the inscribed ball."""
    beta = np.arange(views) * (2 * np.pi / views)
    return ip.ConeBeamTransform((n, n, n), beta, (n, n), 2.0, source_distance=4.0 * n, detector_distance=4.0 * n)


def ball(n: int) -> np.ndarray:
    z, y, x = (axis - 0.5 * (n - 1) for axis in np.ogrid[:n, :n, :n])
    return (z**2 + y**2 + x**2 < (0.4 * n) ** 2).astype(np.float32)


def main(n: int, views: int, niter: int) -> None:
    warnings.simplefilter("ignore", RuntimeWarning)  # that so few iterations end it
    large, memory.LARGE = memory.LARGE, 0
    small = scan(48, 8)
    ip.tv(small, small.apply(ball(48)), 0.5, nonneg=True, niter=2)
    memory.LARGE = large

    A = scan(n, views)
    b = A.apply(ball(n))
    A.norm()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counter starts anew
    before = resident("VmRSS")
    x, sol = ip.tv(A, b, 0.5, nonneg=True, niter=niter, tol=1e-12)
    growth = resident("VmHWM") - before
    print(json.dumps({
        "growth": growth / x.nbytes, "gib": growth / 2**30, "data": b.nbytes / x.nbytes,
        "solver": type(sol.solver).__name__, "state": sol.state.nbytes / x.nbytes,
    }))  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
