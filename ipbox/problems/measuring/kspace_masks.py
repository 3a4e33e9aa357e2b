"""Sampling masks for Cartesian MRI: which points of k-space are measured."""

from __future__ import annotations

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_finite, check_integer, check_not_negative, check_seed
from ipbox.operators.core.base import check_dims
from ipbox.problems.measuring.kspace import calibrated, check_acceleration, radii
from ipbox.problems.measuring.poisson_disc import poisson_disc_mask

__all__ = ["fastmri_mask", "mask_from_weights", "poisson_disc_mask", "uniform_mask", "variable_density_mask"]

# fastMRI's fully sampled part of the lines, by acceleration
FASTMRI_CENTRE: dict[float, float] = {4: 0.08, 8: 0.04}


def uniform_mask(shape: tuple[int, ...], acceleration: float, calibration: int = 0, offset: float = 0.0) -> np.ndarray:
    """Equally spaced lines, and all lines of a calibration region.

    Parameters
    ----------
    shape : tuple of int
        Shape of k-space, zero frequency at n // 2.  A line is everything with one index on the last axis (the phase
        encoding); the mask is constant along the others (the read-out).
    acceleration : float
        Lines over sampled lines, those of the calibration region included: at least 1.
    calibration : int
        Lines of the fully sampled middle.
    offset : float
        First line, as a part of the spacing: 0 <= offset < 1.

    Returns
    -------
    numpy.ndarray of bool
        Of shape ``shape``.  The number of lines is round(n / acceleration); where there is no calibration region and
        the acceleration R divides n, they are exactly R apart.

    Raises
    ------
    ValueError
        for an acceleration below 1, a calibration region that is wider than k-space or takes more lines than the
        acceleration leaves, or an offset outside [0, 1).

    Examples
    --------
    >>> from ipbox.problems.measuring.kspace_masks import uniform_mask
    >>> uniform_mask((2, 8), 4).astype(int)
    array([[1, 0, 0, 0, 1, 0, 0, 0],
           [1, 0, 0, 0, 1, 0, 0, 0]])
    """
    check_between(offset, "offset", 0, 1, "[)")
    shape = check_dims(shape, "shape")
    lines, rest = calibrated(shape[-1:], acceleration, calibration)
    outside = np.flatnonzero(~lines)
    if rest:
        places = ((np.arange(rest) + offset) * len(outside) / rest).astype(int)
        lines[outside[places]] = True
    return np.broadcast_to(lines, shape).copy()


def variable_density_mask(
    shape: tuple[int, ...],
    acceleration: float,
    calibration: int = 0,
    power: float = 2.0,
    kind: str = "lines",
    seed: int = 0,
) -> np.ndarray:
    r"""Random lines or points with a density that falls off from the middle.

    .. math:: p(k) \propto (1 - |k| / k_{\max})^{\text{power}}

    k_max is one grid point beyond the farthest one.

    Parameters
    ----------
    shape : tuple of int
        Shape of k-space, zero frequency at n // 2; lines as in `uniform_mask`.
    acceleration : float
        Points over sampled points, those of the calibration region included: at least 1.
    calibration : int
        Lines, or points along each axis, of the fully sampled middle.
    power : float
        0 is uniform: with lines, fastMRI's random masks.
    kind : str
        ``"lines"`` or ``"points"``.
    seed : int
        Seed of the draw, which is without replacement, so that the number of samples is exact.

    Returns
    -------
    numpy.ndarray of bool

    Raises
    ------
    ValueError
        as for `uniform_mask`, and for a negative power or seed, or an unknown kind.

    References
    ----------
    Lustig, Donoho and Pauly, Sparse MRI, Magn. Reson. Med. 58 (2007).

    Examples
    --------
    >>> from ipbox.problems.measuring.kspace_masks import variable_density_mask
    >>> mask = variable_density_mask((64, 64), acceleration=4, calibration=8, kind="points")
    >>> mask.size / mask.sum(), bool(mask[28:36, 28:36].all())
    (np.float64(4.0), True)
    """
    shape = check_dims(shape, "shape")
    check_choice(kind, "kind", ("lines", "points"))
    check_not_negative(power, "power")
    check_seed(seed)
    grid = shape if kind == "points" else shape[-1:]
    mask, rest = calibrated(grid, acceleration, calibration)
    r = radii(grid)
    log_density = power * np.log1p(-r / (r.max() + 2 / max(grid)))
    # the largest of log p + Gumbel noise: a draw without replacement with odds p
    keys = np.where(mask, -np.inf, log_density + np.random.default_rng(seed).gumbel(size=grid))
    mask.ravel()[np.argsort(-keys, axis=None, kind="stable")[:rest]] = True
    return np.broadcast_to(mask, shape).copy()


def fastmri_mask(
    shape: tuple[int, ...], acceleration: float = 4, centre: float | None = None, kind: str = "random", seed: int = 0
) -> np.ndarray:
    """Lines as in the fastMRI challenge: a fully sampled middle, and random or equally spaced ones outside.

    Parameters
    ----------
    shape : tuple of int
        Shape of k-space; lines as in `uniform_mask`.
    acceleration : float
        Lines over sampled lines.
    centre : float, optional
        Part of the lines in the fully sampled middle; 0.08 for acceleration 4, 0.04 for 8, as in fastMRI, and
        0.32 / acceleration for others.
    kind : str
        ``"random"`` or ``"equispaced"``.
    seed : int
        Seed of the random lines, or of the first of the equally spaced ones.

    Returns
    -------
    numpy.ndarray of bool
        Unlike fastMRI's own random masks, the number of lines is exact.

    Raises
    ------
    ValueError
        as for `variable_density_mask`, or a ``centre`` outside [0, 1].

    References
    ----------
    Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839.

    Examples
    --------
    >>> from ipbox.problems.measuring.kspace_masks import fastmri_mask
    >>> int(fastmri_mask((320, 320), 4)[0].sum())
    80
    """
    shape = check_dims(shape, "shape")
    check_choice(kind, "kind", ("random", "equispaced"))
    check_seed(seed)
    check_acceleration(acceleration)
    part = FASTMRI_CENTRE.get(acceleration, 0.32 / acceleration) if centre is None else centre
    check_between(part, "centre", 0, 1, "[]", "a part of the lines")
    calibration = round(part * shape[-1])
    if kind == "equispaced":
        return uniform_mask(shape, acceleration, calibration, float(np.random.default_rng(seed).random()))
    return variable_density_mask(shape, acceleration, calibration, power=0.0, seed=seed)


def mask_from_weights(weights: Array, count: int | None = None, threshold: float | None = None) -> np.ndarray:
    """The samples whose (learned) weights are largest.

    Parameters
    ----------
    weights : array
        Real weights on k-space, or on its lines.
    count : int, optional
        How many to keep; of equal weights, those that come first.
    threshold : float, optional
        Keep those that are at least this; one of ``count`` and ``threshold`` is given.

    Returns
    -------
    numpy.ndarray of bool
        Of the shape of ``weights``, on the host.

    Raises
    ------
    ValueError, TypeError
        for weights that are not real and finite, both or none of the two, a count beyond the number of weights, or a
        threshold that no weight reaches.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.measuring.kspace_masks import mask_from_weights
    >>> mask_from_weights(np.array([[0.1, 0.9], [0.5, 0.0]]), count=2)
    array([[False,  True],
           [ True, False]])
    """
    backend.check_array(weights, "weights")
    w = backend.to_host(weights)
    if w.dtype.kind not in "biuf":
        raise TypeError(f"weights has dtype {w.dtype}; expected real weights")
    if w.size == 0 or not np.isfinite(w).all():
        raise ValueError("weights is empty or has NaN or infinite entries; expected finite weights")
    if (count is None) == (threshold is None):
        raise ValueError(f"count is {count} and threshold is {threshold}; expected exactly one of them")
    if count is not None:
        check_integer(count, "count", 1, w.size)
        mask = np.zeros(w.shape, dtype=bool)
        mask.ravel()[np.argsort(-w.astype(np.float64), axis=None, kind="stable")[:count]] = True
        return mask
    check_finite(threshold, "threshold")
    mask = w >= threshold
    if not mask.any():
        raise ValueError(f"threshold is {threshold}, above every weight (at most {w.max()}); expected a lower one")
    return mask
