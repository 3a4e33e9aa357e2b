"""Blur of ipbox with zero boundary."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import ipbox as ip

from .common import blur_kernel
from .worker import repeat_for


@cache
def _operator(n: int, size: int) -> Any:
    return ip.Blur((n, n), blur_kernel(size), boundary="zero", dtype="float32")


def forward_adjoint(n: int, size: int, seconds: float) -> dict[str, Any]:
    """Seconds of A.apply and of A.apply_adjoint, float32, outputs allocated by the operator."""
    A = _operator(n, size)
    x = np.random.default_rng(0).random(A.dims, dtype=np.float32)
    y = A.apply(x)
    forward = repeat_for(lambda: A.apply(x), seconds)
    adjoint = repeat_for(lambda: A.apply_adjoint(y), seconds)
    return {"seconds": forward + adjoint, "forward": forward, "adjoint": adjoint}


def both(n: int, size: int, data: str, out: str) -> dict[str, Any]:
    """A u and A* u of a saved image."""
    A, x = _operator(n, size), np.load(data)
    np.save(out, np.stack([A.apply(x), A.apply_adjoint(x)]))
    return {}
