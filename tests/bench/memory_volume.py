"""Memory of TV on cone-beam data, in a process of its own: ``python -m tests.bench.memory_volume SIZE VIEWS NITER``.

With ``MEMORY`` (bytes) and ``SLICES`` behind them, in blocks of so many slices; MEMORY is 0 where all is in memory.
Figures are in volumes: the growth of all that is resident at its peak, and of what is ``anonymous``, that is no page of
a file, which the system could drop.  The parent sets MALLOC_MMAP_THRESHOLD_, so that every array is a mapping of its
own and freed memory is given back.  Kernels are loaded by a small volume first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.kernels.cone import front
from ipbox.reconstruct.variational import memory

from .memory import resident

WATCH = """
import sys, threading
most, ended = 0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.wait(0.002):
    with open(f"/proc/{sys.argv[1]}/status") as file:
        most = max(most, next(1024 * int(line.split()[1]) for line in file if line.startswith("RssAnon")))
print(most)
"""


def scan(n: int, views: int) -> ip.ConeBeamTransform:
    """A circle of four widths, a panel of n x n pixels that sees all of the inscribed ball."""
    beta = np.arange(views) * (2 * np.pi / views)
    return ip.ConeBeamTransform((n, n, n), beta, (n, n), 2.0, source_distance=4.0 * n, detector_distance=4.0 * n)


def ball(n: int) -> np.ndarray:
    z, y, x = (axis - 0.5 * (n - 1) for axis in np.ogrid[:n, :n, :n])
    return (z**2 + y**2 + x**2 < (0.4 * n) ** 2).astype(np.float32)


def main(n: int, views: int, niter: int, room: int = 0, slices: int = 0) -> None:
    warnings.simplefilter("ignore", RuntimeWarning)  # that so few iterations end it
    large, memory.LARGE = memory.LARGE, 0
    small = scan(48, 8)
    ip.tv(small, small.apply(ball(48)), 0.5, nonneg=True, niter=2)
    memory.LARGE = min(large, n**3)
    if slices:
        front.CHUNK, front.SLICES = slices * n * n, 1

    A = scan(n, views)
    b = A.apply(ball(n))
    Path("/proc/self/clear_refs").write_text("5")  # the peak counter starts anew
    before, anonymous = resident("VmRSS"), resident("RssAnon")
    watch = subprocess.Popen(
        [sys.executable, "-S", "-c", WATCH, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    start = time.perf_counter()
    x, sol = ip.tv(A, b, 0.5, nonneg=True, niter=niter, tol=1e-12, memory=room or None, progress=bool(room))
    seconds = time.perf_counter() - start
    growth, taken = resident("VmHWM") - before, int(watch.communicate("")[0]) - anonymous
    told = memory.in_blocks(sol.state.made.problem) if room else (0, 0)
    print(json.dumps({
        "growth": growth / x.nbytes, "gib": growth / 2**30, "data": b.nbytes / x.nbytes,
        "anonymous": taken / x.nbytes, "anonymous_gib": taken / 2**30, "told_gib": told[0] / 2**30,
        "files_gib": told[1] / 2**30, "slices": A.parts[0].stop, "blocks": len(A.parts), "seconds": seconds,
        "objective": float(np.abs(x).sum(dtype=np.float64)),
        "solver": type(sol.solver).__name__, "state": sol.state.nbytes / x.nbytes,
    }))  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
