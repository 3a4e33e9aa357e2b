"""The fan-beam transform of ipbox: cost and accuracy."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.problems.truths.phantoms import ellipses_image, ellipses_line_integrals

from .ipbox_ray import ELLIPSES
from .worker import repeat_for


def fan_angles(n: int) -> np.ndarray:
    """n views equally spaced on [0, 2π)."""
    return np.arange(n) * 2 * math.pi / n


@cache
def _operator(n: int, n_angles: int, n_det: int) -> Any:
    geometry = dict(source_distance=2.0 * n, detector_distance=1.0 * n)
    return ip.FanBeamTransform((n, n), fan_angles(n_angles), n_det=n_det, **geometry)


def forward_adjoint(n: int, n_angles: int, n_det: int, seconds: float) -> dict[str, Any]:
    """Seconds of A.apply and of A.apply_adjoint, float32, outputs allocated by the operator."""
    A = _operator(n, n_angles, n_det)
    x = np.random.default_rng(0).random(A.dims, dtype=np.float32)
    y = A.apply(x)
    forward = repeat_for(lambda: A.apply(x), seconds)
    adjoint = repeat_for(lambda: A.apply_adjoint(y), seconds)
    return {"seconds": forward + adjoint, "forward": forward, "adjoint": adjoint, "n_det": A.dimsd[1]}


def project(data: str, n_angles: int, n_det: int, out: str) -> dict[str, Any]:
    """The fan sinogram of a saved image in units of pixels, and its back-projection."""
    x = np.load(data)
    A = _operator(x.shape[0], n_angles, n_det)
    y = A.apply(x)
    np.savez(out, y=y, x=A.apply_adjoint(y))
    return {}


def rebinned(n: int, n_angles: int, n_det: int, parallel: int, seconds: float) -> dict[str, Any]:
    """What rebinning would cost at least: a parallel-beam transform of ``parallel`` angles on π, both ways."""
    A = ip.RayTransform((n, n), np.arange(parallel) * math.pi / parallel, n_det=n_det)
    x = np.random.default_rng(0).random(A.dims, dtype=np.float32)
    y = A.apply(x)
    forward = repeat_for(lambda: A.apply(x), seconds)
    return {"seconds": forward + repeat_for(lambda: A.apply_adjoint(y), seconds)}


def accuracy(n: int, n_angles: int = 180) -> dict[str, Any]:
    """Relative error against exact line integrals of ellipses along the rays, from averages over the pixels."""
    h = 2.0 / n
    geometry = dict(source_distance=4.0, detector_distance=2.0, pixel_size=h)
    A = ip.FanBeamTransform((n, n), fan_angles(n_angles), dtype="float64", **geometry)
    p = A.apply(ellipses_image(ELLIPSES, (n, n), pixel_size=h))
    exact = ellipses_line_integrals(ELLIPSES, *A.parallel_coordinates())
    return {"error": float(np.linalg.norm(p - exact) / np.linalg.norm(exact)), "n_det": A.dimsd[1]}
