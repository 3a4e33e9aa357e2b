"""Where the axis of rotation is on the panel, from the views of a half or a whole turn."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, figures, reports, summary
from ipbox.backend import Array
from ipbox.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_not_negative,
    check_positive,
    counted,
    has_shape,
    is_integer,
)
from ipbox.keywords import answering
from ipbox.measured.readings import by_rows, check_integrals
from ipbox.measured.turn import narrowest, opposite, seam, wedge
from ipbox.operators.tomography.geometry import check_angles
from ipbox.reconstruct.direct.projections import ends_there

METHODS = ("wedge", "seam", "opposite")
SEEN = 0.05  # of the largest mean over the views: a panel whose ends read more cuts the object off
ROWS = 8  # of a panel that are looked at
COARSE = 128  # columns, and
ORDERS = 32  # orders of the angle, of the first search by opposite rays
WEDGE, SEAM = 0.25, 0.375  # from either end of the panel, as a share of its width, no axis is looked for
SURE = 5.0  # standard deviations, of the noise's, by which readings must be like their neighbours
FIRST, LAST = 0.25, 0.01  # columns: the steps of the search by the wedge


@dataclass(frozen=True)
class Centre:
    """The axis of rotation on the panel.

    Attributes
    ----------
    column : float
        Where its shadow falls, counted from 0 in the middle of the first column.
    det_shift : float
        That of `RayTransform`, `FanBeamTransform` and, as its second number, `ConeBeamTransform`:
        ((n - 1)/2 - column) · det_spacing.
    method : str
        By which criterion.
    curve : dict
        Arrays ``"column"`` and ``"criterion"``, least at the axis.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.RayTransform((64, 64), np.linspace(0, np.pi, 60, endpoint=False), n_det=96, det_shift=2.5)
    >>> b = A.apply(ip.problem("ct", size=64, views=4)[2])
    >>> centre = ip.measured.find_centre(b, A.angles)
    >>> round(centre.column, 1), round(centre.det_shift, 1)
    (45.0, 2.5)
    """

    column: float
    det_shift: float
    method: str
    curve: dict[str, np.ndarray] = field(repr=False)

    __repr__ = summary.of_fields
    report = reports.of_fields

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The criterion against the column, with the axis marked; saved at ``path`` where given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        figure = figures.new(path, figsize=(5.2, 3.6))
        ax = figure.add_subplot()
        ax.plot(self.curve["column"], self.curve["criterion"], ".-", linewidth=1, markersize=3)
        ax.axvline(self.column, color="r", linestyle="--", linewidth=1, label=f"axis at column {self.column:.2f}")
        ax.set_xlabel("column")
        ax.set_ylabel(f"criterion ({self.method})")
        ax.legend(fontsize=8)
        return figures.shown(figure, path)


@answering
def find_centre(
    b: Array,
    angles: Any,
    *,
    source_distance: float | None = None,
    detector_distance: float = 0.0,
    det_spacing: float = 1.0,
    method: str | None = None,
    within: tuple[float, float] | None = None,
    rows: Any = None,
) -> Centre:
    """The column on which the axis of rotation falls, to a fraction of a column.

    ==============  =================================================================================================
    ``method``      what is least at the axis
    ==============  =================================================================================================
    ``"wedge"``     half a turn of parallel beam, the whole object on the panel: energy outside of the double wedge to
                    which the Fourier transform of the turn is confined that mirror images make of the half one
    ``"seam"``      half a turn that the panel cuts off: jump from the mirror images of the last views to the first
    ``"opposite"``  a whole turn of parallel, fan or cone beam, also with the panel set to one side: difference of
                    opposite rays where they overlap
    ==============  =================================================================================================

    By default that which the angles and the ends of the panel ask for.

    Parameters
    ----------
    b : array
        Line integrals, (views, rows, columns) or (views, columns); of stripes they should be free.
    angles : array
        In radians, one for each view, in any order; they cover half a turn, and with a ``source_distance`` a whole one.
        Uneven ones are interpolated.
    source_distance, detector_distance : float, optional
        Of a fan or cone beam, with a flat panel: from the axis to the source and to the panel, in the units of
        ``det_spacing``.
    det_spacing : float
        Width of a column, for ``det_shift``.
    method : {"wedge", "seam", "opposite"}, optional
    within : (float, float), optional
        Columns between which the axis is; by default the middle half of the panel (``"wedge"``), its middle quarter
        (``"seam"``), or all but 2.5 % at its ends (``"opposite"``).
    rows : int or sequence of int, optional
        Which to look at; by default eight, of a cone beam that in the middle, in the plane of the source.

    Returns
    -------
    Centre

    Raises
    ------
    TypeError, ValueError
        for data that are not line integrals or show nothing but white noise, angles that do not cover a turn, or differ
        in number from the views.

    References
    ----------
    Vo, Drakopoulos, Atwood and Reinhard, Reliable method for calculating the center of rotation in parallel-beam
    tomography, Opt. Express 22 (2014), for the wedge; here all shifts are told by one Fourier series.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    >>> A = ip.RayTransform((64, 64), turn, n_det=60, det_shift=20.0)          # a panel set to one side
    >>> b = A.apply(ip.problem("ct", size=64, views=4)[2])
    >>> centre = ip.measured.find_centre(b, turn)
    >>> round(centre.det_shift, 1), centre.method
    (20.0, 'opposite')
    """
    check_integrals(b, "b", views=4)
    width = check_positive(det_spacing, "det_spacing")
    fan = source_distance is not None
    distance = math.inf
    if fan:
        far = check_not_negative(detector_distance, "detector_distance")
        distance = (check_positive(source_distance, "source_distance") + far) / width
    if method is not None:
        check_choice(method, "method", METHODS)
    chosen = _chosen(b, rows, fan)
    q, whole = _even_turn(chosen, angles)
    _check_object(chosen)
    if method is None:
        method = "opposite" if whole else "seam" if _truncated(q) else "wedge"
    if (method == "opposite") != whole or (fan and not whole):
        cover, needs = ("a whole turn", "half a one") if whole else ("half a turn", "a whole one")
        who = "fan and cone beam expect" if fan else f"method {method!r} expects"
        raise ValueError(f"angles cover {cover}; {who} {needs}")
    criteria: dict[str, Callable[..., np.ndarray]] = {
        "wedge": wedge,
        "seam": seam,
        "opposite": functools.partial(opposite, distance=distance),
    }
    criterion = criteria[method]
    ends = _ends(within, method, q.shape[-1])
    curve = _by_wedge(q, ends) if method == "wedge" else _by_halves(q, ends, criterion, method == "opposite", distance)
    column = _least(*curve)
    shift = (0.5 * (q.shape[-1] - 1) - column) * width
    return Centre(column, shift, method, dict(zip(("column", "criterion"), curve, strict=True)))


def _chosen(b: Array, rows: Any, fan: bool) -> np.ndarray:
    """(rows, views, columns) in float64, of the rows that are looked at."""
    b = by_rows(b)
    count = b.shape[1]
    if rows is None:
        rows = ((count - 1) // 2, count // 2) if fan else np.linspace(0, count - 1, min(ROWS, count)).round()
        rows = sorted({int(r) for r in rows})
    if not is_integer(rows) and len(rows) == 0:
        raise ValueError("rows is empty; expected rows of the panel")
    rows = [check_integer(r, "rows", 0, count - 1, " of the panel") for r in ((rows,) if is_integer(rows) else rows)]
    chosen = np.stack([backend.to_host(b[:, r]) for r in rows]).astype(np.float64)
    if np.ptp(chosen) == 0:
        raise ValueError("b is the same number everywhere in the rows that are looked at; expected an object")
    return chosen


def _check_object(q: np.ndarray) -> None:
    """An object makes neighbouring columns alike; of white noise the correlation is 0 ± 1/√N."""
    d = q - q.mean(axis=-1, keepdims=True)
    energy = float(np.sum(d * d))
    alike, least = float(np.sum(d[..., 1:] * d[..., :-1])), min(SURE / math.sqrt(d.size), 0.5)
    if alike <= least * energy:
        raise ValueError(
            f"b has neighbouring columns of correlation {alike / energy if energy else 0.0:.2g}, as noise has; "
            f"expected an object, with more than {least:.2g}"
        )


def _even_turn(q: np.ndarray, angles: Any) -> tuple[np.ndarray, bool]:
    """The views of half a turn or a whole one, in order and evenly spaced, and whether it is a whole one."""
    a = check_angles(angles)
    if a.size != q.shape[1]:
        raise ValueError(
            f"angles has {counted(a.size, 'entry')}; b has {counted(q.shape[1], 'view')}, expected one for each"
        )
    order = np.argsort(a, kind="stable")
    a, q = a[order] - a.min(), q[:, order]
    step = float(np.median(np.diff(a)))
    if step <= 0:
        raise ValueError("angles has most views at the same angle; expected views over a half or a whole turn")
    turn = next((t for t in (2 * np.pi, np.pi) if a[-1] + 1.5 * step > t), None)
    if turn is None:
        raise ValueError(f"angles cover {np.rad2deg(a[-1]):.0f}°; expected half a turn, 180°, at least")
    views = round(turn / step)
    grid = turn * np.arange(views) / views
    gap = float(np.diff(a[a < turn], append=turn).max())
    if gap > 4 * step:
        raise ValueError(f"angles have a gap of {np.rad2deg(gap):.3g}° in a half or whole turn; expected none")
    at = np.clip(np.searchsorted(a, grid, side="right") - 1, 0, a.size - 2)
    t = np.clip((grid - a[at]) / np.maximum(a[at + 1] - a[at], 1e-12), 0.0, 1.0)[:, None]
    return (1 - t) * q[:, at] + t * q[:, at + 1], turn > 4


def _truncated(q: np.ndarray) -> bool:
    """Whether the ends of the panel see the object: more than noise, and than air where the fields are a little off."""
    profile = abs(q.mean(axis=1)).max(axis=0)
    ends = q[..., [0, 1, -2, -1]].mean(axis=0).reshape(-1, 2, 2).mean(axis=-1)  # (views, two ends)
    noise = ends.std(axis=0) / math.sqrt(len(ends))
    return bool((abs(ends.mean(axis=0)) > np.maximum(SEEN * profile.max(), 4 * noise)).any()) and not ends_there(q)


def _ends(within: Any, method: str, n: int) -> tuple[float, float]:
    least = {"wedge": WEDGE * n, "seam": SEAM * n, "opposite": narrowest(n)}[method]
    if within is None:
        return least, n - 1 - least
    if not has_shape(within, (2,)):
        raise ValueError(f"within is {within!r}; expected two columns (first, last)")
    low, high = (check_finite(v, "within") for v in within)
    most = narrowest(n)
    if not most <= low < high <= n - 1 - most:
        raise ValueError(f"within is {within!r}; expected columns from {most} to {n - 1 - most}, the first one less")
    return low, high


def _by_wedge(q: np.ndarray, ends: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    columns = np.arange(ends[0], ends[1] + FIRST, FIRST)
    found = wedge(q, columns)
    best = columns[np.argmin(found)]
    near = best + np.arange(-FIRST, FIRST + LAST / 2, LAST)
    columns, first = np.unique(np.concatenate([columns, near]).round(6), return_index=True)
    return columns, np.concatenate([found, wedge(q, near)])[first]


def _by_halves(
    q: np.ndarray, ends: tuple[float, float], criterion: Callable[..., np.ndarray], binned: bool, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """By columns c of which 2c is whole, on fewer and wider columns first."""
    factor = math.ceil(q.shape[-1] / COARSE) if binned else 1
    low, high = math.ceil(2 * ends[0]) / 2, math.floor(2 * ends[1]) / 2
    if factor == 1 and not binned:
        columns = np.arange(low, high + 0.25, 0.5)
        return columns, criterion(q, columns)
    n = q.shape[-1] // factor
    wide = q[..., : n * factor].reshape(*q.shape[:-1], n, factor).mean(axis=-1)
    wide = _few_orders(wide[:: math.ceil(len(wide) / 4)])
    least = max((low - 0.5 * (factor - 1)) / factor, 1.0)
    most = min((high - 0.5 * (factor - 1)) / factor, n - 2.0)
    columns = np.arange(math.ceil(2 * least) / 2, most + 0.25, 0.5)
    found = opposite(wide, columns, distance / factor)
    best = factor * columns[np.argmin(found)] + 0.5 * (factor - 1)
    near = np.arange(round(2 * (best - factor - 1)), round(2 * (best + factor + 1)) + 1) / 2
    near = near[(near >= low) & (near <= high)]
    return near, criterion(q, near)


def _few_orders(q: np.ndarray) -> np.ndarray:
    """The same with fewer views: what varies fast with the angle is left out."""
    from scipy.signal import resample

    return resample(q, 2 * ORDERS, axis=1) if q.shape[1] > 2 * ORDERS else q


def _least(columns: np.ndarray, found: np.ndarray) -> float:
    """The least of a curve, by the parabola through it and its neighbours."""
    i = int(np.argmin(found))
    if not 0 < i < len(found) - 1:
        raise ValueError(
            f"the criterion is least at the end of the search, column {columns[i]:g}; expected an axis inside, "
            f"or other columns in within"
        )
    (x0, x1, x2), (y0, y1, y2) = columns[i - 1 : i + 2], found[i - 1 : i + 2]
    d0, d2 = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    curvature = (d2 - d0) / (x2 - x0)
    return float(0.5 * (x0 + x1) - 0.5 * d0 / curvature) if curvature > 0 else float(x1)
