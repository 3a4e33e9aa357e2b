"""Variable-density Poisson-disc sampling of k-space."""

from __future__ import annotations

import math

import numpy as np

from ipbox.checks import check_not_negative, check_seed
from ipbox.problems.measuring.kspace import calibrated, check_plane, radii


def poisson_disc_mask(
    shape: tuple[int, int], acceleration: float, calibration: int = 0, slope: float = 1.0, seed: int = 0
) -> np.ndarray:
    r"""Random points that keep a distance, which grows from the middle: no clusters, no large gaps.

    .. math:: \|k - k'\| \ge \min(r(k), r(k')), \qquad r(k) = r_0 (1 + \text{slope}\, |k|)

    |k| is 1 at the middle of k-space's edges, distances are in grid points, and r_0 follows from the acceleration.

    Parameters
    ----------
    shape : (ny, nx)
        Shape of k-space, zero frequency at n // 2.
    acceleration : float
        Points over sampled points, those of the calibration region included: at least 1.
    calibration : int
        Points along each axis of the fully sampled middle (a square, inside which no distance is kept).
    slope : float
        0 keeps one distance everywhere.
    seed : int
        Seed of the order in which points are tried.

    Returns
    -------
    numpy.ndarray of bool
        With round(size / acceleration) samples.

    Notes
    -----
    Points are tried in a random order, and each that is kept blocks the disc round it; the search for r_0 bisects.
    What is too much at the r_0 it finds is taken away at random.
    On a grid distances are discrete, so at low accelerations the density falls off in steps.

    Raises
    ------
    ValueError
        as for `variable_density_mask`, or a shape that has not two axes.

    References
    ----------
    Cook, Stochastic sampling in computer graphics, ACM Trans. Graph. 5 (1986); Vasanawala et al., Practical parallel
    imaging compressed sensing MRI, ISBI 2011.

    Examples
    --------
    >>> from ipbox.problems.measuring.kspace_masks import poisson_disc_mask
    >>> mask = poisson_disc_mask((64, 64), acceleration=4, calibration=8)
    >>> mask.size / mask.sum()
    np.float64(4.0)
    """
    shape = check_plane(shape)
    check_not_negative(slope, "slope")
    check_seed(seed)
    mask, rest = calibrated(shape, acceleration, calibration)
    rng = np.random.default_rng(seed)
    order, growth = rng.permutation(mask.size), 1 + slope * radii(shape)
    points = order[~mask.ravel()[order]]  # r_0 = 0 keeps them all
    low, high = 0.0, math.sqrt(mask.size)
    while len(points) > 1.01 * rest + 1 and high - low > 0.005 * high:
        middle = 0.5 * (low + high)
        found = _throw(mask, order, middle * growth)
        if len(found) >= rest:
            low, points = middle, found
        else:
            high = middle
    mask.ravel()[rng.permutation(points)[:rest]] = True
    return mask


def _throw(taken: np.ndarray, order: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The points of ``order`` that neither are taken nor lie in the disc of an earlier one that was kept."""
    radius = np.minimum(radius, math.hypot(*taken.shape))  # no two points are farther apart
    squares = np.ceil(radius**2).astype(int) - 1  # |d| < r is |d|² <= this, for a difference d of grid points
    pad = math.isqrt(int(squares.max()))
    blocked = np.pad(taken, pad, constant_values=True)
    discs: dict[int, np.ndarray] = {}
    width, kept = taken.shape[1], []
    halves = np.sqrt(squares).astype(int).ravel().tolist()
    squares = squares.ravel().tolist()
    for point in order.tolist():
        i, j = divmod(point, width)
        if blocked[i + pad, j + pad]:
            continue
        kept.append(point)
        h, square = halves[point], squares[point]
        if square not in discs:
            d = np.arange(-h, h + 1)
            discs[square] = d[:, None] ** 2 + d**2 <= square
        blocked[i + pad - h : i + pad + h + 1, j + pad - h : j + pad + h + 1] |= discs[square]
    return np.array(kept, dtype=int)
