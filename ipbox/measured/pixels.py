"""Pixels that are wrong in all views (dead, stuck, hot), and readings that a stray photon hit (zingers)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_positive
from ipbox.keywords import answering
from ipbox.measured.readings import check_frames, check_readings, running_median

MAD = 0.6744897501960817  # median of |n| for n of variance 1
ROUNDING = 1e-9  # what pixels differ by where there is no noise
DIM = 0.01  # of the mean: light below which noise does not get less


@answering
def dead_pixels(flats: Array, darks: Array | None = None, *, size: int = 7, threshold: float = 8.0) -> Array:
    r"""Pixels whose response is not that of their neighbours: dead, stuck and hot ones.

    With the response r = F - D (medians of the frames) and its running median over ``size`` pixels along each axis of
    the panel, a pixel is bad where

    .. math:: r \le 0 \quad\text{or}\quad |r / \mathrm{med}(r) - 1| > \text{threshold} · \sigma

    with σ that of all pixels, by the median of the left side, but at least that of the medians' noise; or where D is as
    far off its own running median, or all frames have the same number while those of other pixels vary.  Lines of dead
    pixels are found as single ones are.

    Parameters
    ----------
    flats, darks : array
        Frames (n, rows, columns) or (n, columns), one of each at least.
    size : int
        Pixels of the running median: more than twice as wide as what is looked for.
    threshold : float
        In standard deviations of the pixels' responses.

    Returns
    -------
    dead : array of bool
        (rows, columns) or (columns,); `fill_in` replaces the readings of these.

    Raises
    ------
    TypeError, ValueError
        for arrays that are not real or finite, frames of another size, or a size or threshold that is not positive.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> flats = np.random.default_rng(0).poisson(1000.0, (10, 20, 30))
    >>> flats[:, 3, 5] = 40
    >>> np.argwhere(ip.measured.dead_pixels(flats)).tolist()
    [[3, 5]]
    """
    backend.check_array(flats, "flats", "an array of frames (n, rows, columns) or (n, columns)")
    if flats.ndim not in (2, 3):
        raise ValueError(f"flats has shape {flats.shape}; expected (frames, rows, columns) or (frames, columns)")
    check_count(size, "size", 3)
    check_positive(threshold, "threshold")
    panel = flats.shape[1:]
    bright = check_frames(flats, "flats", panel).astype(np.float64)
    xp = backend.array_module(bright)
    response, dead = xp.median(bright, axis=0), xp.zeros(panel, dtype=bool)
    if darks is not None:
        below = check_frames(darks, "darks", panel).astype(np.float64)
        dark = xp.median(below, axis=0)
        response = response - dark
        dead |= _far(dark, size, threshold, _noise(below, darks.dtype), relative=False)
    if len(bright) > 2:
        spread = xp.ptp(bright, axis=0)
        dead |= (spread == 0) & bool((spread > 0).mean() > 0.5)
    least = _noise(bright, flats.dtype) / max(float(xp.median(response)), 1e-12)
    return dead | (response <= 0) | _far(response, size, threshold, least, relative=True)


def _far(r: Array, size: int, threshold: float, least: float, relative: bool) -> Array:
    """Whether a pixel is farther from the median around it than pixels are, and than noise of ``least``."""
    xp, around = backend.array_module(r), running_median(r, size, *range(r.ndim))
    off = abs(r - around) / (xp.maximum(abs(around), 1e-12) if relative else 1.0)
    return off > threshold * max(float(xp.median(off)) / MAD, least, ROUNDING)


def _noise(frames: Array, dtype: np.dtype) -> float:
    """Of the median of the frames, in counts: that of most pixels, and of rounding."""
    xp = backend.array_module(frames)
    rounding = 0.5 if dtype.kind in "iub" else 0.0
    return max(float(xp.median(frames.std(axis=0))) / len(frames) ** 0.5, rounding)


@answering
def fill_in(x: Array, dead: Array) -> Array:
    """Readings of dead pixels from the nearest ones that are not, along rows and columns, each by 1/distance.

    Parameters
    ----------
    x : array
        (views, rows, columns) or (views, columns), floats.
    dead : array of bool
        (rows, columns) or (columns,).

    Returns
    -------
    array
        A new one, like ``x``.

    Raises
    ------
    TypeError, ValueError
        for arrays that do not fit, or a dead pixel without any other in its row and its column.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.measured.fill_in(np.array([[1.0, 9.0, 3.0, 9.0]]), np.array([False, True, False, True]))
    array([[1., 2., 3., 3.]])
    """
    check_readings(x, "x")
    backend.check_array(dead, "dead", "an array of bool")
    if dead.dtype != bool or dead.shape != x.shape[1:]:
        raise ValueError(f"dead has shape {dead.shape} and dtype {dead.dtype}; expected bool, {x.shape[1:]}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x has dtype {x.dtype}; expected float32 or float64")
    xp = backend.array_module(x, dead)
    mask = backend.to_host(dead)
    out, total = x.copy(), np.zeros(int(mask.sum()))
    flat, at = out.reshape(len(x), -1), np.flatnonzero(mask)
    if at.size == 0:
        return out
    value = xp.zeros((len(x), at.size), dtype=np.float64)
    for nearest, distance in _neighbours(mask):
        weight = np.where(distance > 0, 1.0 / np.maximum(distance, 1), 0.0)
        value += flat[:, xp.asarray(nearest)] * xp.asarray(weight)
        total += weight
    if (total == 0).any():
        where = tuple(map(int, np.unravel_index(at[int(np.argmax(total == 0))], mask.shape)))
        raise ValueError(f"dead covers the whole row and column of pixel {where}; expected some that live")
    flat[:, xp.asarray(at)] = value / xp.asarray(total)
    return out


def _neighbours(mask: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each bad pixel the index of the nearest good one, and its distance (0: none), before and behind, by axis."""
    found, index = [], np.arange(mask.size).reshape(mask.shape)
    for axis, n in enumerate(mask.shape):
        at = np.indices(mask.shape)[axis]
        before = np.maximum.accumulate(np.where(mask, -1, at), axis=axis)
        behind = np.flip(np.minimum.accumulate(np.flip(np.where(mask, n, at), axis), axis=axis), axis)
        for near in (before, behind):
            there = (near >= 0) & (near < n)
            nearest = np.take_along_axis(index, np.where(there, near, 0), axis=axis)
            found.append((nearest[mask], np.where(there, abs(at - near), 0)[mask]))
    return found


@answering
def remove_zingers(x: Array, *, size: int = 5, threshold: float = 8.0) -> tuple[Array, Array]:
    r"""Bright outliers, of a stray photon in a single view, replaced by the running median over the views.

    A reading is one where it is above the running medians of ``size`` readings along the views, and along the columns
    (and rows), by

    .. math:: x - \max(\mathrm{med}_θ x, \mathrm{med}_s x) > \text{threshold} · σ

    σ = s √(med_θ x), as counts have it, with s from the median of |x - med_θ x| / √(med_θ x) over the views of a pixel,
    but at least the median of these over the panel.  Edges of the object go on in the neighbouring views or columns,
    and stay.

    Parameters
    ----------
    x : array
        Counts or transmission, (views, rows, columns) or (views, columns), before the logarithm.
    size : int
        Readings of the running medians, odd: more than twice as wide as a zinger.
    threshold : float
        In standard deviations.

    Returns
    -------
    x : array
        A new one; integers stay integers.
    zingers : array of bool
        Where they were.

    Raises
    ------
    TypeError, ValueError
        for arrays that are not real or finite, fewer than three views, or a size or threshold out of range.

    References
    ----------
    Vo, Atwood and Drakopoulos, Preprocessing techniques for removing artifacts in synchrotron-based tomographic images,
    Proc. SPIE 11113 (2019).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> counts = np.random.default_rng(0).poisson(1000.0, (30, 40))
    >>> counts[12, 20] = 5000
    >>> clean, zingers = ip.measured.remove_zingers(counts)
    >>> np.argwhere(zingers).tolist(), bool(clean[12, 20] < 1100)
    ([[12, 20]], True)
    """
    check_readings(x, "x", views=3)
    check_odd(size, "size")
    check_positive(threshold, "threshold")
    xp = backend.array_module(x)
    along = running_median(x, size, 0)
    above = x.astype(np.float64 if x.dtype.kind in "iub" else x.dtype)
    off = above - along
    root = xp.sqrt(xp.maximum(along, DIM * float(abs(along).mean())).astype(off.dtype))
    scale = xp.median(abs(off) / root, axis=0) / MAD
    sigma = xp.maximum(scale, xp.median(scale)) * root
    zingers = off > threshold * sigma
    for axis in range(1, x.ndim):
        if x.shape[axis] >= size:
            zingers &= above - running_median(x, size, axis) > threshold * sigma
    return xp.where(zingers, along, x), zingers


def check_odd(value: Any, name: str) -> int:
    """An odd number from 3 on."""
    if check_count(value, name, 3) % 2 == 0:
        raise ValueError(f"{name} is {value}; expected an odd number, so that a window has a middle")
    return int(value)
