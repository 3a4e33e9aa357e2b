"""scikit-image's iradon."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage.transform import iradon

from .common import inscribed_error, parallel_angles
from .worker import repeat_for


def _iradon(b: np.ndarray, method: str) -> np.ndarray:
    """``method`` is filter and interpolation; iradon takes (detectors, angles) and degrees."""
    name, interpolation = method.split()
    theta = np.rad2deg(parallel_angles(b.shape[0]))
    return iradon(b.T, theta, filter_name=name, interpolation=interpolation, circle=True)


def errors(sinogram: str, truth: str, methods: list[str]) -> dict[str, Any]:
    """The relative error of each filter and interpolation."""
    b, x = np.load(sinogram), np.load(truth)
    return {method: inscribed_error(_iradon(b, method), x, x.shape[0] // 2) for method in methods}


def seconds(sinogram: str) -> dict[str, Any]:
    """Seconds of one reconstruction with the ramp filter and the faster of the two interpolations."""
    b = np.load(sinogram)
    return {"seconds": repeat_for(lambda: _iradon(b, "ramp linear"), 0.3)}
