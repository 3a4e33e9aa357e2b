"""PyLops' Convolve2D with its FFT method, which is its default and its fastest here (direct: 50 times slower)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from pylops.signalprocessing import Convolve2D

from .common import blur_kernel
from .worker import repeat_for


@cache
def _operator(n: int, size: int) -> Any:
    kernel = blur_kernel(size).astype(np.float32)
    return Convolve2D((n, n), kernel, offset=(size // 2, size // 2), method="fft", dtype="float32")


def forward_adjoint(n: int, size: int, seconds: float) -> dict[str, Any]:
    """Seconds of matvec and of rmatvec."""
    A = _operator(n, size)
    x = np.random.default_rng(0).random(n * n, dtype=np.float32)
    y = A.matvec(x)
    forward = repeat_for(lambda: A.matvec(x), seconds)
    adjoint = repeat_for(lambda: A.rmatvec(y), seconds)
    return {"seconds": forward + adjoint, "forward": forward, "adjoint": adjoint}


def both(n: int, size: int, data: str, out: str) -> dict[str, Any]:
    """A u and A* u of a saved image."""
    A, x = _operator(n, size), np.load(data).ravel()
    np.save(out, np.stack([A.matvec(x), A.rmatvec(x)]).reshape(2, n, n))
    return {}
