"""Lengths in mm and angles in radians from numbers and the names of their units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable

_MM = {
    "m": 1e3,
    "meter": 1e3,
    "metre": 1e3,
    "cm": 10.0,
    "mm": 1.0,
    "millimeter": 1.0,
    "millimetre": 1.0,
    "um": 1e-3,
    "µm": 1e-3,
    "μm": 1e-3,
    "micron": 1e-3,
    "micrometer": 1e-3,
    "micrometre": 1e-3,
    "nm": 1e-6,
    "angstrom": 1e-7,
    "å": 1e-7,
    "a": 1e-7,
}
_RADIANS = {"rad": 1.0, "radian": 1.0, "deg": math.pi / 180, "degree": math.pi / 180, "°": math.pi / 180}


def in_mm(value: float, unit: str) -> float | None:
    """A length in mm; None where the unit is none of length.

    Examples
    --------
    >>> from ipbox.io.scans.units import in_mm
    >>> in_mm(2.5, "um"), in_mm(1.0, "pixel")
    (0.0025, None)
    """
    scale = _MM.get(_plain(unit), _MM.get(_plain(unit).removesuffix("s")))
    return None if scale is None or not math.isfinite(value) else float(value) * scale


def in_radians(angles: np.ndarray, unit: str | None, what: str) -> np.ndarray:
    """Angles in radians; without a unit they are degrees, as NeXus and DXchange have it, and must look like it.

    Raises
    ------
    Unusable
        for an unknown unit, and for a turn that as degrees would be none.
    """
    angles = np.asarray(angles, dtype=np.float64).ravel()
    if unit is None or not _plain(unit):
        span = float(np.ptp(angles)) if angles.size else 0.0
        if angles.size > 2 and 0.9 * math.pi <= span <= 2.01 * math.pi:
            raise Unusable(
                f"{what} go over {span:.4g} without a unit, which looks like radians; expected degrees, or angles= in "
                "radians"
            )
        return np.deg2rad(angles)
    scale = _RADIANS.get(_plain(unit), _RADIANS.get(_plain(unit).removesuffix("s")))
    if scale is None:
        raise Unusable(f"{what} have the unit {unit!r}; expected degrees or radians")
    return angles * scale


def _plain(unit: Any) -> str:
    return str(unit).strip().lower()
