"""The cone-beam transform of ipbox and `ip.fdk`."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np

import ipbox as ip

from . import cone_phantom
from .worker import repeat_for


@cache
def operator(n: int, views: int, n_det: int) -> Any:
    s = cone_phantom.scan(n, views, n_det)
    distances = dict(source_distance=s["source"], detector_distance=s["panel"])
    return ip.ConeBeamTransform((n, n, n), cone_phantom.angles(views), (n_det, n_det), s["pixel"], **distances)


def forward(n: int, views: int, n_det: int, seconds: float) -> dict[str, Any]:
    """Seconds of A.apply, float32, outputs allocated by the operator."""
    A = operator(n, views, n_det)
    x = np.random.default_rng(0).random(A.dims, dtype=np.float32)
    return {"seconds": repeat_for(lambda: A.apply(x), seconds)}


def adjoint(n: int, views: int, n_det: int, seconds: float, voxel_driven: bool = False) -> dict[str, Any]:
    """Seconds of A.apply_adjoint; there is no other back-projection here."""
    A = operator(n, views, n_det)
    y = np.random.default_rng(0).random(A.dimsd, dtype=np.float32)
    return {"seconds": repeat_for(lambda: A.apply_adjoint(y), seconds)}


def project(data: str, views: int, n_det: int, out: str) -> dict[str, Any]:
    """The projections of a saved volume (nz, ny, nx), and their back-projection."""
    x = np.load(data)
    A = operator(x.shape[0], views, n_det)
    y = A.apply(x)
    np.savez(out, y=y, x=A.apply_adjoint(y))
    return {}


def fdk(data: str, n: int, out: str) -> dict[str, Any]:
    """Seconds of `ip.fdk` with the ramp alone from saved data, and the volume."""
    b = np.load(data)
    A = operator(n, len(b), b.shape[1])
    start = time.perf_counter()
    x, _ = ip.fdk(A, b)
    seconds = time.perf_counter() - start
    np.save(out, x)
    return {"seconds": seconds}
