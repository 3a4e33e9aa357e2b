"""CGLS on the measured HAADF sinograms."""

from __future__ import annotations

from typing import Any

import numpy as np

import ipbox as ip


def residual(slice: int, niter: int) -> dict[str, Any]:
    """The relative residual after ``niter`` iterations, all angles used."""
    A, b, _, _ = ip.problem("tomography-measured", slice=slice)
    sol = ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=ip.stop.niter(niter))
    return {"residual": ip.relative_residual(A, sol.x, b)}


def held_out(slice: int, niter: int, step: int) -> dict[str, Any]:
    """Relative residuals on every ``step``-th angle, held out, and on the others, by iteration."""
    A, b, _, info = ip.problem("tomography-measured", slice=slice)
    out = np.arange(len(b)) % step == step // 2

    def part(keep: np.ndarray) -> Any:
        return ip.RayTransform(
            A.dims, A.angles[keep], n_det=A.n_det, det_spacing=A.det_spacing, det_shift=A.det_shift,
            pixel_size=A.pixel_size, dtype=A.dtype_in,
        )  # fmt: skip

    fit, test = part(~out), part(out)
    held, used = [], []
    for run in ip.iterate(ip.Problem(ip.L2(fit, b[~out])), ip.CGLS(), stop=ip.stop.niter(niter)):
        held.append(ip.relative_residual(test, run.x, b[out]))
        used.append(ip.relative_residual(fit, run.x, b[~out]))
    return {"held_out": held, "used": used}
