"""Memory of the TV methods, in a process of its own: ``python -m tests.bench.memory``, figures in images.

The parent sets MALLOC_MMAP_THRESHOLD_, so that every array is a mapping of its own and freed memory is given back.
"""

from __future__ import annotations

import json
from pathlib import Path

import ipbox as ip


def resident(name: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


def main() -> None:
    small, data, _, _ = ip.problem("ct", size=32, views=8, noise=0.01)
    ip.tv(small, data, 0.1, nonneg=True, niter=2)  # loads the kernels

    _, b, x, info = ip.problem("ct", size=512, views=180, noise=0.01, seed=0)
    image = x.nbytes
    before = resident("VmRSS")
    A = ip.RayTransform(x.shape, info.angles, pixel_size=info.pixel_size)
    A.apply_adjoint(A.apply(x))
    A.norm()
    operator = resident("VmRSS") - before

    Path("/proc/self/clear_refs").write_text("5")  # the peak counter starts anew
    before = resident("VmRSS")
    u, sol = ip.tv(A, b, 0.5 * info.pixel_size, nonneg=True, niter=50, tol=1e-12)
    growth = resident("VmHWM") - before

    denoising = ip.solve(ip.Problem(ip.L2(b=x) + 0.001 * ip.TV(x.shape)), ip.PDHG(), stop=ip.stop.niter(2)).state
    print(json.dumps({
        "growth": growth / image, "operator": operator / image, "sinogram": b.nbytes / image,
        "state": sol.state.nbytes / image, "denoising_state": denoising.nbytes / image,
        "arrays": {path: list(a.shape) for path, a in denoising.arrays().items()},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
