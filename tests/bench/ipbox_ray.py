"""The ray transform of ipbox: cost and accuracy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.problems.truths.phantoms import SHEPP_LOGAN, Ellipse, ellipses_image, ellipses_sinogram

from .common import parallel_angles
from .worker import repeat_for

# A body of the size of the image with three inclusions of other densities, on [-1, 1]².
ELLIPSES = (
    Ellipse(1.0, 0.0, 0.0, 0.7, 0.8),
    Ellipse(-0.5, 0.2, 0.1, 0.3, 0.2, 0.5),
    Ellipse(0.4, -0.25, -0.3, 0.2, 0.3, -0.4),
    Ellipse(0.3, 0.1, -0.35, 0.15, 0.1),
)
PHANTOMS = {"ellipses": ELLIPSES, "shepp-logan": SHEPP_LOGAN}


@cache
def _operator(n: int, n_angles: int, n_det: int | None) -> Any:
    return ip.RayTransform((n, n), parallel_angles(n_angles), n_det=n_det, dtype="float32")


def forward_adjoint(n: int, n_angles: int, n_det: int | None, seconds: float) -> dict[str, Any]:
    """Seconds of A.apply and of A.apply_adjoint, float32, outputs allocated by the operator."""
    A = _operator(n, n_angles, n_det)
    x = np.random.default_rng(0).random(A.dims, dtype=np.float32)
    y = A.apply(x)
    forward = repeat_for(lambda: A.apply(x), seconds)
    adjoint = repeat_for(lambda: A.apply_adjoint(y), seconds)
    return {"seconds": forward + adjoint, "forward": forward, "adjoint": adjoint, "n_det": A.dimsd[1]}


def project(data: str, angles: list[float], n_det: int, out: str) -> dict[str, Any]:
    """The sinogram of a saved image in units of pixels."""
    x = np.load(data)
    np.save(out, ip.RayTransform(x.shape, np.array(angles), n_det=n_det, dtype="float32").apply(x))
    return {}


def accuracy(
    n: int,
    phantom: str = "ellipses",
    n_angles: int = 180,
    spacing: float = 1.0,
    shift: float = 0.0,
    n_det: int | None = None,
) -> dict[str, Any]:
    """Relative error against the exact sinogram of ellipses; spacing and shift in pixels.

    Image: averages over the pixels.  Exact data: line integrals in closed form, ``error`` against their averages
    over the detector pixels (what `RayTransform` says it computes), ``point`` against those at the pixels' centres.
    """
    ellipses, h, angles = PHANTOMS[phantom], 2.0 / n, parallel_angles(n_angles)
    A = ip.RayTransform(
        (n, n), angles, n_det=n_det, det_spacing=spacing * h, det_shift=shift * h, pixel_size=h, dtype="float64"
    )
    s = (np.arange(A.dimsd[1]) - (A.dimsd[1] - 1) / 2) * spacing * h + shift * h
    p = A.apply(ellipses_image(ellipses, (n, n), pixel_size=h))

    def error(exact: np.ndarray) -> float:
        return float(np.linalg.norm(p - exact) / np.linalg.norm(exact))

    return {
        "error": error(ellipses_sinogram(ellipses, angles, s, bin_width=spacing * h)),
        "point": error(ellipses_sinogram(ellipses, angles, s)),
        "n_det": A.dimsd[1],
    }
