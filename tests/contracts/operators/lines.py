"""Line projectors at odd, non-square sizes; few views, since the simulator of device code is slow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.operators import FanBeamTransform, JosephTransform
from tests.contracts.operators.case import OperatorCase

DIMS = (7, 5)
VIEWS = np.arange(7) * (math.pi / 7)


def joseph(name: str, dims: tuple[int, int] = DIMS, angles: Any = VIEWS, **geometry: Any) -> OperatorCase:
    return OperatorCase(
        f"joseph {name}",
        JosephTransform,
        lambda dtype, xp: JosephTransform(dims, angles, dtype=dtype, **geometry),
        "bound",
    )


def fan(name: str, dims: tuple[int, int] = DIMS, **geometry: Any) -> OperatorCase:
    options = dict(angles=2 * VIEWS, source_distance=9.0, detector_distance=6.0) | geometry
    return OperatorCase(
        f"fan {name}", FanBeamTransform, lambda dtype, xp: FanBeamTransform(dims, dtype=dtype, **options), "bound"
    )


CASES = [
    joseph("odd x odd"),
    joseph("even x odd, pixel size, shift", dims=(4, 7), pixel_size=0.7, det_shift=0.3),
    joseph("spacing 0.3", dims=(4, 5), det_spacing=0.3),
    joseph("spacing 2, repeated angles", det_spacing=2.0, angles=[0.3, 5.0, -2.0, 0.3]),
    joseph("truncated, shifted", n_det=3, det_shift=-2.3, det_spacing=0.8),
    joseph("multiples of 45 degrees", dims=(4, 3), angles=np.arange(-4, 5) * math.pi / 4),
    joseph("one angle of a row", dims=(1, 9), angles=[0.4]),
    joseph("rectangular pixels, off the axis", pixel_size=(0.6, 1.1), image_centre=(0.4, -1.7)),
    joseph("a shift for each view", det_shift=0.5 * np.sin(9 * VIEWS), n_det=6),
    fan("odd x odd"),
    fan("even x odd, pixel size, shift", dims=(4, 7), pixel_size=0.7, det_shift=0.3),
    fan("wide", dims=(4, 3), source_distance=2.6, detector_distance=0.0, n_det=9, det_spacing=1.5),
    fan("truncated, fine", n_det=4, det_spacing=0.5),
    fan("rectangular pixels, off the axis", pixel_size=(0.6, 1.1), image_centre=(0.4, -1.7)),
    fan("curved", detector="curved"),
    fan("curved, wide", dims=(4, 3), source_distance=2.6, detector_distance=0.0, detector="curved"),
    fan("curved, rectangular, shifts", detector="curved", pixel_size=(0.6, 1.1), det_shift=0.5 * np.sin(9 * VIEWS)),
    fan("a shift for each view", det_shift=0.5 * np.sin(9 * VIEWS), n_det=6),
]
