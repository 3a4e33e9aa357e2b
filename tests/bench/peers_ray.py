"""PyLops' CT2D on ASTRA's linear CPU projector."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from pylops.medical import CT2D

from .common import parallel_angles
from .worker import repeat_for


def ct2d(n: int, angles: np.ndarray, n_det: int) -> Any:
    """The operator in units of pixels."""
    return CT2D((n, n), 1.0, n_det, angles, engine="cpu", projector_type="linear", dtype="float32")


@cache
def _operator(n: int, n_angles: int, n_det: int) -> Any:
    return ct2d(n, parallel_angles(n_angles), n_det)


def forward_adjoint(n: int, n_angles: int, n_det: int, seconds: float) -> dict[str, Any]:
    """Seconds of matvec and of rmatvec."""
    A = _operator(n, n_angles, n_det)
    x = np.random.default_rng(0).random(n * n, dtype=np.float32)
    y = A.matvec(x)
    forward = repeat_for(lambda: A.matvec(x), seconds)
    adjoint = repeat_for(lambda: A.rmatvec(y), seconds)
    return {"seconds": forward + adjoint, "forward": forward, "adjoint": adjoint, "n_det": n_det}


def project(data: str, angles: list[float], n_det: int, out: str) -> dict[str, Any]:
    """The sinogram of a saved image."""
    x = np.load(data)
    np.save(out, ct2d(x.shape[0], np.array(angles), n_det).matvec(x.ravel()).reshape(len(angles), n_det))
    return {}
