"""Operators of other rooms: the ramp filter on sinograms, by several windows, and the image of a pair (u, v)."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ipbox.backend import complex_dtype
from ipbox.bilevel.terms.tgv import ImagePart
from ipbox.operators import RayTransform
from ipbox.operators.tomography.ramp import RampFilter
from tests.contracts.operators.case import OperatorCase


def ramp(dtype: np.dtype, xp: ModuleType) -> RampFilter:
    return RampFilter(RayTransform((7, 6), np.array([0.1, 0.9, 1.3, 2.8]), n_det=31, dtype=dtype))


def hann(dtype: np.dtype, xp: ModuleType) -> RampFilter:
    return RampFilter(RayTransform((5, 8), np.linspace(0, 3, 6), pixel_size=0.5, dtype=dtype), "hann")


CASES = [
    OperatorCase("ramp filter", RampFilter, ramp, "bound"),
    OperatorCase("hann filter", RampFilter, hann, "bound"),
    OperatorCase("image of (u, v)", ImagePart, lambda dtype, xp: ImagePart((4, 3), dtype), "exact"),
    OperatorCase(
        "complex image of (u, v)", ImagePart, lambda dtype, xp: ImagePart((5,), complex_dtype(dtype)), "exact"
    ),
]
