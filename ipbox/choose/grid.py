"""Rules that look at a whole curve: the grid of weights, and the extremum on it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ipbox.checks import check_positive
from ipbox.choose.path import Path, Point

DECADES = (-2.5, 1.5)  # of the default grid, about the first guess
PER_DECADE = 5
EXTENSIONS = 30  # more weights at an end at which the criterion still improves
REFINEMENTS = 4  # solves at the vertices of parabolas, until these stay
CLOSE = 0.01  # in log λ


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


def sweep(
    path: Path,
    grid: np.ndarray,
    name: str,
    evaluate: Callable[[Point], None],
    extend: bool,
    least: Callable[[np.ndarray, np.ndarray], tuple[float, bool]] | None = None,
) -> tuple[float, bool]:
    """Solve along ``grid`` (descending), ``evaluate`` each point, and beyond it while the criterion falls there.

    Returns the minimiser of the column ``name``, refined by further solves, and whether it is an end of the range.
    ``least`` finds it on the curve: `minimum`, or `interior_minimum` where the criterion falls at an end anyhow.
    """
    least = least or minimum

    def visit(lam: float) -> None:
        evaluate(path.solve(lam))

    for lam in grid:
        visit(float(lam))
        if lam == grid[0]:
            top = path.x, path.info
    for low in (True, False) if extend else ():
        if not low:
            path.x, path.info = top
        for _ in range(EXTENSIONS):
            lams, values = path.column("lam"), path.column(name)
            if not _open_end(lams, values, low, least):
                break
            visit(float(lams[0] ** 2 / lams[1] if low else lams[-1] ** 2 / lams[-2]))
    if np.isnan(path.column(name)).all():
        raise ValueError(f"{name} is known for none of the {len(path.points)} weights; expected others (lams=...)")
    lam, at_end = least(path.column("lam"), path.column(name))
    for _ in range(REFINEMENTS):
        if at_end or np.abs(np.log(path.column("lam") / lam)).min() < CLOSE:
            break
        visit(lam)
        lam, at_end = least(path.column("lam"), path.column(name))
    return lam, at_end


def _open_end(lam: np.ndarray, values: np.ndarray, low: bool, least: Callable[..., tuple[float, bool]]) -> bool:
    """Whether the criterion is known and least at this end."""
    end = 0 if low else -1
    if np.isnan(values).all() or math.isnan(values[end]):
        return False
    found, at_end = least(lam, values)
    return at_end and found == lam[end]


def minimum(lam: np.ndarray, values: np.ndarray) -> tuple[float, bool]:
    """The minimiser over log λ, refined by a parabola through three points, and whether it is an end of the grid."""
    t, k = np.log(lam), int(np.nanargmin(values))
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
    return minimum(lam[k - 1 : k + 2], values[k - 1 : k + 2])
