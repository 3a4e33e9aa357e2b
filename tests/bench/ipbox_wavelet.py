"""The wavelet transform of ipbox."""

from __future__ import annotations

from typing import Any

import numpy as np

import ipbox as ip

from .worker import repeat_for


def transform(data: str, wavelet: str, levels: int, seconds: float, out: str) -> dict[str, Any]:
    """Seconds of the transform and of its inverse; the coefficients of a saved image in Mallat's layout."""
    x = np.load(data)
    W = ip.Wavelet(x.shape, wavelet, levels, x.dtype)
    c = W.apply(x)
    np.save(out, c)
    forward = repeat_for(lambda: W.apply(x), seconds)
    inverse = repeat_for(lambda: W.apply_adjoint(c), seconds)
    return {"seconds": forward + inverse, "forward": forward, "inverse": inverse}
