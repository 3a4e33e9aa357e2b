"""The grid of k-space: its middle, radii, and how many samples an acceleration leaves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.checks import check_between, check_dims, check_integer, is_integer


def check_plane(shape: Any) -> tuple[int, int]:
    """The shape of an image."""
    shape = check_dims(shape, "shape")
    if len(shape) != 2:
        raise ValueError(f"shape is {shape}; expected (ny, nx)")
    return shape


def centre(dims: tuple[int, ...], width: int | tuple[int, ...]) -> tuple[slice, ...]:
    """The slices of the ``width`` points about zero frequency along each axis: from n//2 - width//2."""
    widths: Any = (width,) * len(dims) if is_integer(width) else width
    return tuple(slice(n // 2 - w // 2, n // 2 - w // 2 + w) for n, w in zip(dims, widths, strict=True))


def radii(dims: tuple[int, ...]) -> np.ndarray:
    """|k| in units of half the width of k-space along each axis: 1 at the middle of its edges."""
    axes = [(np.arange(n) - n // 2) / max(n / 2, 1) for n in dims]
    return np.sqrt(sum(a**2 for a in np.ix_(*axes)))


def check_acceleration(acceleration: Any) -> float:
    """A finite number, at least 1."""
    return check_between(acceleration, "acceleration", 1, math.inf, "[)")


def calibrated(grid: tuple[int, ...], acceleration: float, calibration: int) -> tuple[np.ndarray, int]:
    """The mask of the calibration region, and how many samples ``acceleration`` leaves to add to it."""
    count = max(round(math.prod(grid) / check_acceleration(acceleration)), 1)
    check_integer(calibration, "calibration", 0, min(grid), ", k-space's width")
    mask = np.zeros(grid, dtype=bool)
    mask[centre(grid, int(calibration))] = True
    rest = count - int(mask.sum())
    if rest < 0:
        raise ValueError(
            f"calibration is {calibration}, which alone takes {mask.sum()} samples; acceleration {acceleration:g} "
            f"leaves {count}"
        )
    return mask, rest
