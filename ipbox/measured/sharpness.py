"""Whether the axis is where it was found: how sharp filtered back-projection is with the axis there, and beside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_finite, check_not_negative, check_positive, counted
from ipbox.keywords import answering
from ipbox.measured.centre import Centre
from ipbox.measured.readings import by_rows, check_integrals
from ipbox.operators import FanBeamTransform, RayTransform
from ipbox.operators.tomography.geometry import check_angles
from ipbox.reconstruct import fbp

WIDEST = 512  # columns of what is back-projected: wider panels are binned
STEPS = 8  # on either side
ONE_SIDE = 0.25  # of the panel, at either end: an axis there is that of a half acquisition
RIM = 0.95  # of the disc that is seen, or of the distance to the source: how far the image is looked at


@answering
def check_centre(
    b: Array,
    angles: Any,
    column: float,
    *,
    source_distance: float | None = None,
    detector_distance: float = 0.0,
    det_spacing: float = 1.0,
    span: float = 4.0,
    row: int | None = None,
) -> Centre:
    r"""The axis of rotation near ``column`` at which filtered back-projection is sharpest.

    .. math:: E(c) = -\sum_{|x| < r} u_c(x)^2

    with the image u_c that has the axis at c: with a wrong one edges are doubled or drawn out, and what is spread has
    less energy.  It is slower and less exact than `find_centre`, from which it is independent: a check.

    Parameters
    ----------
    b, angles, source_distance, detector_distance, det_spacing
        As those of `find_centre`.
    column : float
        Where the axis is thought to be.
    span : float
        Columns on either side that are tried, 17 places in all; more of a panel of more than 512 columns, which is
        binned, in proportion.
    row : int, optional
        Which to look at; by default that in the middle.

    Returns
    -------
    Centre
        With ``method`` "sharpness"; at an end of what was tried, where E has no minimum inside.

    Raises
    ------
    TypeError, ValueError
        for data that are not line integrals, angles that are not one for each view, a row off the panel, or a column
        off its middle half.

    References
    ----------
    After Donath, Beckmann and Schreyer, Automated determination of the center of rotation in tomography data, J. Opt.
    Soc. Am. A 23 (2006), whose measures are of first order.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.RayTransform((64, 64), np.linspace(0, np.pi, 90, endpoint=False), n_det=96, det_shift=2.5)
    >>> b = A.apply(ip.problem("ct", size=64, views=4)[2])
    >>> round(ip.measured.check_centre(b, A.angles, column=46.0).column)
    45
    """
    check_integrals(b, "b", views=2)
    b, a = by_rows(b), check_angles(angles)
    if a.size != len(b):
        raise ValueError(
            f"angles has {counted(a.size, 'entry')}; b has {counted(len(b), 'view')}, expected one for each"
        )
    turned = np.ptp(a) * a.size / (a.size - 1)
    if turned < np.pi * (1 - 1e-6):
        raise ValueError(f"angles cover {np.rad2deg(turned):.0f}°; expected half a turn, 180°, at least")
    row = b.shape[1] // 2 if row is None else row
    if not 0 <= row < b.shape[1]:
        raise ValueError(f"row is {row}; expected 0 to {b.shape[1] - 1}")
    n = b.shape[2]
    if not 0 < check_finite(column, "column") < n - 1:
        raise ValueError(f"column is {column}; expected one of the panel, between 0 and {n - 1}")
    if not ONE_SIDE * n <= column <= n - 1 - ONE_SIDE * n:
        raise ValueError(
            f"column is {column:g}; expected one in the middle half of {n}: with the panel set to one side the image "
            f"grows with the axis, and so does its energy"
        )
    check_positive(span, "span", "a positive number of columns")
    width = check_positive(det_spacing, "det_spacing")
    factor = math.ceil(n / WIDEST)
    wide = n // factor
    y = b[:, row, : wide * factor].reshape(len(b), wide, factor).mean(axis=-1)
    at = (column - 0.5 * (factor - 1)) / factor
    tried = at + span * np.linspace(-1, 1, 2 * STEPS + 1)
    tried = tried[(tried > 1) & (tried < wide - 2)]
    far = None if source_distance is None else check_positive(source_distance, "source_distance")
    beam = far, check_not_negative(detector_distance, "detector_distance")
    found = np.array([-_energy(y, a, c, at, factor * width, beam) for c in tried])
    columns = factor * tried + 0.5 * (factor - 1)
    i = int(np.argmin(found))
    best = columns[i]
    if 0 < i < len(found) - 1:
        before, least, behind = found[i - 1 : i + 2]
        bend = before - 2 * least + behind
        best += 0.5 * (before - behind) / bend * (columns[1] - columns[0]) if bend > 0 else 0.0
    shift = (0.5 * (n - 1) - best) * width
    return Centre(float(best), float(shift), "sharpness", {"column": columns, "criterion": found})


def _energy(y: Array, angles: np.ndarray, c: float, at: float, width: float, beam: tuple[float | None, float]) -> float:
    """‖u‖² of an image with the axis at c, in the disc that is seen from all sides with it near ``at``."""
    n, (far, behind) = y.shape[1], beam
    half = max(at, n - 1 - at) if np.ptp(angles) > 1.5 * np.pi else min(at, n - 1 - at)
    h = width if far is None else width * far / (far + behind)
    if far is not None:
        half = min(half, RIM * far / (h * math.sqrt(2)) - 1)
    side, place = max(2 * int(half), 4), {"n_det": n, "det_spacing": width, "det_shift": (0.5 * (n - 1) - c) * width}
    if far is None:
        A = RayTransform((side, side), angles, pixel_size=h, dtype=y.dtype, **place)
    else:
        fan: dict[str, Any] = {"source_distance": far, "detector_distance": behind}
        A = FanBeamTransform((side, side), angles, pixel_size=h, dtype=y.dtype, **place, **fan)
    u = fbp(A, y, "hann", mask=False)[0]
    x = np.arange(side) - 0.5 * (side - 1)
    inside = np.hypot(x, x[:, None]) < RIM * half
    return backend.sum_squares(u[backend.array_module(u).asarray(inside)])
