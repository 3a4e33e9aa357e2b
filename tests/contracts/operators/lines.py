"""Line projectors at odd, non-square sizes; few views, since the simulator of device code is slow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.operators import (
    ConeBeamTransform,
    ConeVectorTransform,
    FanBeamTransform,
    JosephTransform,
    ParallelVectorTransform,
    SliceStack,
)
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


def cone(name: str, dims: tuple[int, int, int] = (3, 4, 5), **geometry: Any) -> OperatorCase:
    options = dict(angles=[0.1, 0.9, 2.5, 4.4], n_det=(3, 4), det_spacing=1.7, source_distance=9.0) | geometry
    return OperatorCase(
        f"cone {name}",
        ConeBeamTransform,
        lambda dtype, xp: ConeBeamTransform(dims, dtype=dtype, detector_distance=6.0, **options),
        "bound",
    )


def leaning(dtype: np.dtype, xp: Any) -> ConeVectorTransform:
    """A source above, beside and below the volume, and panels that lean."""
    sources = np.array([[9.0, 2.0, 1.0], [0.5, -8.0, 1.0], [-8.0, 1.0, 4.0]])
    panels = np.array([[-4.0, 0.0, 0.0], [0.0, 5.0, 0.2], [5.0, 0.0, -2.0]])
    rows = np.array([[0.1, 0.2, 1.6], [0.2, 0.0, 1.5], [0.3, 0.4, 1.5]])
    columns = np.array([[0.3, 1.4, 0.0], [1.5, 0.3, 0.1], [0.2, 1.6, -0.3]])
    return ConeVectorTransform((3, 4, 5), sources, panels, rows, columns, (3, 4), dtype=dtype)


def tilted(dtype: np.dtype, xp: Any) -> ParallelVectorTransform:
    """A beam across the slices, one along them, and one at an angle to all axes."""
    rays = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.1], [1.0, -1.0, 0.8]])
    rows = np.array([[0.0, 0.2, 1.6], [0.2, 0.0, 1.5], [0.3, 0.4, 1.5]])
    columns = np.array([[1.4, 0.3, 0.0], [0.1, 1.5, 0.3], [0.2, 1.6, -0.3]])
    return ParallelVectorTransform((3, 4, 5), rays, np.array([0.1, 0.2, -0.3]), rows, columns, (3, 4), dtype=dtype)


def stack(name: str, kind: type, n_slices: int, **geometry: Any) -> OperatorCase:
    return OperatorCase(
        f"stack {name}",
        SliceStack,
        lambda dtype, xp: SliceStack(kind((4, 5), VIEWS[:3], dtype=dtype, **geometry), n_slices),
        "bound",
    )


CASES = [
    stack("of joseph", JosephTransform, 3, n_det=6),
    stack("of fan, one slice", FanBeamTransform, 1, source_distance=9.0, detector_distance=6.0, n_det=5),
    OperatorCase("parallel by vectors", ParallelVectorTransform, tilted, "bound"),
    cone("odd x even"),
    cone("turned panel, voxel sizes", tilt=0.3, pixel_size=(0.9, 0.7, 1.1), volume_centre=(0.3, -0.4, 0.2)),
    cone("shifts for each view", det_shift=(0.4, 0.5 * np.sin(np.arange(4.0))), pixel_size=(0.6, 1.0, 1.0)),
    cone("steep", dims=(5, 2, 3), source_distance=3.0, det_spacing=5.0, n_det=(5, 2)),
    cone("one slice", dims=(1, 4, 4), n_det=(1, 5)),
    OperatorCase("cone by vectors", ConeVectorTransform, leaning, "bound"),
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
