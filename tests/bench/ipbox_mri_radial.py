"""Radial MRI of ipbox: gridding, and SENSE with the true and with estimated sensitivities."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.reconstruct.direct.gridding import gridded_kspace
from ipbox.reconstruct.direct.mri import sense as sense_by_cg
from ipbox.reconstruct.direct.sensitivities import estimate_sensitivities

from .worker import repeat_for


@cache
def _problem(n: int, coils: int, undersampling: float) -> Any:
    return ip.problem("mri-radial", size=n, coils=coils, undersampling=undersampling)


def save(out: str, **problem: Any) -> dict[str, Any]:
    """Data, trajectory, sensitivities and density compensation for the other side."""
    _, b, _, info = _problem(**problem)
    arrays = {key: info.extra[key] for key in ("trajectory", "sensitivities", "density")}
    np.savez(out, b=b, **arrays)
    return {}


def gridding(data: str, out: str, seconds: float, **problem: Any) -> dict[str, Any]:
    """Gridding of all coils with the density given, complex64."""
    A, b, _, info = _problem(**problem)
    w = info.extra["density"]
    np.save(out, ip.gridding(A, b, w)[0])
    return {"seconds": repeat_for(lambda: ip.gridding(A, b, w), seconds)}


def sense(niter: int, calibration: int, **problem: Any) -> dict[str, Any]:
    """PSNR of SENSE, on magnitudes: with the true sensitivities, and with those estimated from the data."""
    A, b, x, info = _problem(**problem)
    y = gridded_kspace(A, b)
    truth = np.abs(x)
    head = truth > 0.05 * truth.max()
    found: dict[str, Any] = {}
    for method in ("true", "espirit", "low-resolution"):
        S = A.sensitivities if method == "true" else estimate_sensitivities(y, calibration, method)
        B = ip.NonCartesianMRI(tuple(A.dims), info.extra["trajectory"], S)
        u, run = sense_by_cg(B, b, niter=niter, tol=1e-9)
        if run.niter != niter:
            raise RuntimeError(f"SENSE did {run.niter} iterations instead of {niter}")
        found[method] = {"psnr": ip.psnr(np.abs(u), truth), "psnr_head": ip.psnr(np.abs(u)[head], truth[head])}
    return found
