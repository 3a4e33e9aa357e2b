"""Filtered back-projection by ipbox, and the exact sinograms both sides reconstruct."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.problems.truths.phantoms import ellipses_image, ellipses_sinogram

from .common import inscribed_error, parallel_angles
from .ipbox_ray import PHANTOMS
from .worker import repeat_for


def phantom(n: int, n_angles: int, phantom: str, bins: bool, paths: dict[str, str]) -> dict[str, Any]:
    """Save sinogram and pixel averages, in units of pixels, on the grids of both sides.

    ipbox has its origin between the two middle pixels of an even grid, and between the two middle detector pixels;
    scikit-image has it at pixel n // 2 and detector n // 2.  ``bins`` averages line integrals over detector pixels.
    """
    h, k = 2.0 / n, np.arange(n)
    ellipses = PHANTOMS[phantom]
    half = h * (n // 2 - (n - 1) / 2)
    shifted = [replace(e, x0=e.x0 + half, y0=e.y0 - half) for e in ellipses]
    for side, seen, middle in (("ipbox", ellipses, (n - 1) / 2), ("peers", shifted, n // 2)):
        sinogram = ellipses_sinogram(
            ellipses, parallel_angles(n_angles), (k - middle) * h, bin_width=h if bins else 0.0
        )
        np.save(paths[f"{side} sinogram"], (sinogram / h).astype(np.float32))
        np.save(paths[f"{side} truth"], ellipses_image(seen, (n, n), h))
    return {}


@cache
def _operator(n: int, n_angles: int) -> Any:
    return ip.RayTransform((n, n), parallel_angles(n_angles), n_det=n, dtype="float32")


def errors(sinogram: str, truth: str, methods: list[str]) -> dict[str, Any]:
    """The relative error of each filter."""
    b, x = np.load(sinogram), np.load(truth)
    A = _operator(x.shape[0], b.shape[0])
    middle = (x.shape[0] - 1) / 2
    return {f: inscribed_error(ip.fbp(A, b, f)[0], x, middle) for f in methods}


def seconds(sinogram: str) -> dict[str, Any]:
    """Seconds of one reconstruction with the ramp filter, plans made before."""
    b = np.load(sinogram)
    A = _operator(b.shape[1], b.shape[0])
    ip.fbp(A, b)
    return {"seconds": repeat_for(lambda: ip.fbp(A, b), 0.3)}
