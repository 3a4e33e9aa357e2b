"""Rules that look at a whole curve: the grid of weights, and the extremum on it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox.checks import check_positive
from ipbox.choose.path import Path, Point

DECADES = (-2.5, 1.5)  # of the default grid, about the first guess
PER_DECADE = 5
EXTENSIONS = 15  # more weights at an end at which the criterion still improves
REFINEMENTS = 4  # solves at the vertices of parabolas, until these stay
CLOSE = 0.01  # in log λ
RISE = 1e-5


def weights(lams: np.ndarray | None, lam0: float) -> np.ndarray:
    """The grid, descending: the given one, or a geometric one about ``lam0``."""
    if lams is None:
        low, high = DECADES
        exponents = np.linspace(high, low, round((high - low) * PER_DECADE) + 1)
        return check_positive(lam0, "lam0") * 10.0**exponents
    grid = np.asarray(lams)
    grid = grid.astype(np.float64) if grid.dtype.kind in "iuf" else np.empty(0)  # nothing that could be taken
    if grid.ndim != 1 or len(grid) < 3 or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise ValueError(f"lams is {lams!r}; expected at least three positive numbers")
    grid = np.unique(grid)[::-1]
    if len(grid) < 3:
        raise ValueError(f"lams is {lams!r}; expected at least three different numbers")
    return grid


class Ends:
    """The two ends of a range of weights, at which it can grow; solves there start from the image at that end."""

    def __init__(self, path: Path, grid: np.ndarray, visit: Callable[[float], Any]) -> None:
        self.path, self.visit = path, visit
        visit(float(grid[0]))
        self.top = path.x, path.info
        for lam in grid[1:]:
            visit(float(lam))
        self.bottom = path.x, path.info

    def grow(self, down: bool, up: bool) -> None:
        """One more weight at each of these ends."""
        path, lams = self.path, self.path.column("lam")
        if down:
            path.x, path.info = self.bottom
            self.visit(float(lams[0] ** 2 / lams[1]))
            self.bottom = path.x, path.info
        if up:
            path.x, path.info = self.top
            self.visit(float(lams[-1] ** 2 / lams[-2]))
            self.top = path.x, path.info


def sweep(
    path: Path,
    grid: np.ndarray,
    name: str,
    evaluate: Callable[[Point], None],
    extend: bool,
    least: Callable[[np.ndarray, np.ndarray], tuple[float, bool]] | None = None,
    unknown: str = "",
    rise: float = RISE,
    upward: int = EXTENSIONS,
    all_falls: bool = False,
) -> tuple[float, bool]:
    """Solve along ``grid`` (descending), ``evaluate`` each point, and beyond it while the criterion falls there.

    It may fall once more beyond a minimum inside the range: with ``all_falls`` that is followed too.

    Returns the minimiser of the column ``name``, refined by further solves, and whether it is an end of the range.
    ``least`` finds it on the curve: `minimum`, or another where a criterion may fall at an end anyhow; the range then
    grows at both.
    """
    outer = least is None
    least = least or functools.partial(minimum, rise=rise)

    def visit(lam: float) -> None:
        evaluate(path.solve(lam))

    ends = Ends(path, grid, visit)
    lam, at_end = least(path.column("lam"), path.column(name))
    for k in range(upward if extend else 0):  # else the weights are the caller's
        lams, values = path.column("lam"), path.column(name)
        down, up = at_end and not math.isnan(values[0]), at_end
        if outer:
            down, up = down and lam == lams[0], up and (lam == lams[-1] or math.isnan(values[-1]))
        down = down and k < EXTENSIONS
        up = up or (all_falls and values[-2] - values[-1] > rise * abs(values[-1]))
        if not (down or up):
            break
        ends.grow(down, up)
        lam, at_end = least(path.column("lam"), path.column(name))
    if np.isnan(path.column(name)).all():
        raise ValueError(unknown or f"{name} is known for none of the {len(grid)} weights; expected others (lams=...)")
    for _ in range(REFINEMENTS if extend else 0):
        if at_end or np.abs(np.log(path.column("lam") / lam)).min() < CLOSE:
            break
        visit(lam)
        lam, at_end = least(path.column("lam"), path.column(name))
    return lam, at_end


def minimum(lam: np.ndarray, values: np.ndarray, rise: float = RISE) -> tuple[float, bool]:
    """The minimiser over log λ, refined by a parabola through three points, and whether it is an end of the grid.

    It is one where the criterion does not rise by the share ``rise`` of itself towards that end.
    """
    if np.isnan(values).all():
        return float(lam[-1]), True
    t, k = np.log(lam), int(np.nanargmin(values))
    for end, side in ((0, values[:k]), (-1, values[k + 1 :])):
        if not np.isnan(side).all() and np.nanmax(side) - values[k] <= rise * abs(values[k]):
            return float(lam[end]), True  # flat to this end
    if k in (0, len(t) - 1) or np.isnan(values[k - 1 : k + 2]).any():
        return float(lam[k]), True
    (t0, t1, t2), (f0, f1, f2) = t[k - 1 : k + 2], values[k - 1 : k + 2]
    left, right = (f1 - f0) / (t1 - t0), (f2 - f1) / (t2 - t1)
    if not right > left:  # a plateau
        return float(lam[k]), False
    best = 0.5 * (t0 + t1) - left * 0.5 * (t2 - t0) / (right - left)
    return math.exp(min(max(best, t0), t2)), False


def interior_minimum(lam: np.ndarray, values: np.ndarray) -> tuple[float, bool]:
    """The same for the deepest local minimum inside the grid, where the criterion tends to 0 at an end anyhow."""
    inside = values[1:-1]
    local = np.flatnonzero((inside <= values[:-2]) & (inside <= values[2:])) + 1
    if not len(local):
        return minimum(lam, values)
    k = int(local[np.argmin(values[local])])
    return minimum(lam[k - 1 : k + 2], values[k - 1 : k + 2], rise=-1.0)
