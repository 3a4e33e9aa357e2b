"""PyWavelets' transform with periodization."""

from __future__ import annotations

from typing import Any

import numpy as np
import pywt

from .worker import repeat_for


def transform(data: str, wavelet: str, levels: int, seconds: float, out: str) -> dict[str, Any]:
    """Seconds of wavedec2 and of waverec2, to and from a list of subbands."""
    x = np.load(data)
    bands = pywt.wavedec2(x, wavelet, mode="periodization", level=levels)
    np.save(out, pywt.coeffs_to_array(bands)[0])
    forward = repeat_for(lambda: pywt.wavedec2(x, wavelet, mode="periodization", level=levels), seconds)
    inverse = repeat_for(lambda: pywt.waverec2(bands, wavelet, mode="periodization"), seconds)
    return {"seconds": forward + inverse, "forward": forward, "inverse": inverse}
