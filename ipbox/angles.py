"""Angles of views: radians, and how degrees are told from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.checks import shown


def check_angles(angles: Any) -> np.ndarray:
    """``angles`` as a float64 vector in radians; degrees are recognised and refused."""
    try:
        a = np.atleast_1d(np.asarray(backend.to_host(angles) if backend.is_array(angles) else angles))
    except ValueError as err:  # lists in a list, not all of one length
        raise ValueError(f"angles is {shown(angles)}; expected a non-empty vector of radians") from err
    if a.ndim != 1 or a.size == 0:
        raise ValueError(f"angles has shape {a.shape}; expected a non-empty vector of radians")
    if a.dtype.kind not in "fiu":
        raise TypeError(f"angles has dtype {a.dtype}; expected real numbers in radians")
    precision = 1e-9 if a.dtype.kind in "iu" else max(1e-9, 2 * float(np.finfo(a.dtype).eps))
    a = a.astype(np.float64)
    if not np.isfinite(a).all():
        raise ValueError("angles has NaN or infinite entries; expected finite radians")
    if np.abs(a).max() > 4 * np.pi + 1e-6 and look_like_degrees(a, precision):
        raise ValueError(f"angles reach {np.abs(a).max():g}, which looks like degrees; expected radians (np.deg2rad)")
    return a


def look_like_degrees(angles: np.ndarray, precision: float = 1e-9) -> bool:
    """Whether angles beyond two turns are evidently degrees: round numbers, or even steps over 90°, 180°, ... in order.

    Golden angles, spirals and other sequences of many turns are not.  Steps are even where they differ by less than
    half (an encoder's); a range is then known to within 3 %.
    """
    fine = 40 * angles  # eighths and tenths of a degree
    if np.allclose(fine, np.rint(fine), rtol=0, atol=40 * precision * float(np.abs(angles).max())):
        return True
    steps = np.diff(angles)
    if steps.size < 2 or not (abs(steps / steps.mean() - 1) < 0.5).all():
        return False
    within = 2e-6 if np.ptp(steps) < 1e-3 * abs(steps.mean()) else 0.03
    spans = abs(steps.mean()) * np.array([steps.size, steps.size + 1])  # with and without the end
    return bool((abs(spans[:, None] / np.array([90.0, 180.0, 360.0, 720.0]) - 1) < within).any())
