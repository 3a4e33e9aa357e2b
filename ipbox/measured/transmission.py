"""From counts to the share of the beam that passes: flat and dark fields, and the logarithm with its guard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, reports, summary
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_positive
from ipbox.keywords import answering
from ipbox.measured.pixels import fill_in
from ipbox.measured.readings import check_frames, check_readings

AVERAGES = ("median", "mean")


@dataclass(frozen=True)
class Guard:
    """What the guard of the logarithm found.

    Attributes
    ----------
    readings : int
        How many there are.
    low : int
        Readings without light: not above the dark field, or a transmission below the floor, which they were set to.
    saturated : int
        Readings, and those of pixels whose flat field is, at or above the saturation.
    dead : int
        Readings of pixels whose flat field is not above the dark one; filled in from those beside them.
    trusted : array of bool
        False for all of these, of the shape of the projections; as ``weights`` of `fbp` and the like.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> counts = np.full((4, 6), 1000.0)
    >>> counts[2, 3] = 0.0
    >>> b, guard = ip.measured.flat_field(counts, np.full((3, 6), 2000.0))
    >>> guard
    Guard(readings=24, low=1, saturated=0, dead=0)
    """

    readings: int
    low: int
    saturated: int
    dead: int
    trusted: Array = field(repr=False)

    __repr__ = summary.of_fields
    report = reports.of_fields


@answering
def flat_field(
    projections: Array,
    flats: Array,
    darks: Array | None = None,
    *,
    flats_after: Array | None = None,
    average: str = "median",
    saturation: float | None = None,
    floor: float = 1e-4,
    dtype: Any = None,
) -> tuple[Array, Guard]:
    r"""Transmission: the share of the beam that passes, with zero, negative and saturated readings told apart.

    .. math:: T = \max\Bigl(\frac{I - D}{F - D}, \text{floor}\Bigr), \qquad F_j = (1 - t_j) F_{before} + t_j F_{after}

    Parameters
    ----------
    projections : array
        I, (views, rows, columns) or (views, columns): integers, or floats.
    flats, darks : array
        F without the object and D without the beam (0): frames (n, rows, columns), or one of them.
    flats_after : array, optional
        Flat fields after the scan; F is then interpolated from view to view, t_j = j/(views - 1).
    average : {"median", "mean"}
        Of the frames.  The median leaves out what hits a single frame.
    saturation : float, optional
        Counts from which a reading is saturated; by default the largest number of an integer dtype, none of floats.
        Many panels saturate before, at 4095 or 16383.
    floor : float
        The least transmission that is believed, in (0, 1).
    dtype : float32 or float64, optional
        Of T; without it that of ``projections``, float32 for integers.

    Returns
    -------
    T : array
        In (0, ∞), of the shape of ``projections``, on its device; `minus_log` makes line integrals of it.
    guard : Guard

    Raises
    ------
    TypeError, ValueError
        for arrays that are not real or finite, fields of another size, an unknown average, a floor out of range, a
        panel whose flat field is nowhere above the dark one, or readings that are all saturated.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> counts = np.array([[1000, 110, 90, 4095]], dtype="uint16")
    >>> flats, darks = np.full((10, 4), 1100), np.full((10, 4), 100)
    >>> T, guard = ip.measured.flat_field(counts, flats, darks, saturation=4095)
    >>> T.round(4).tolist(), guard.low, guard.saturated
    ([[0.8999999761581421, 0.009999999776482582, 9.999999747378752e-05, 3.994999885559082]], 1, 1)
    """
    check_readings(projections, "projections")
    check_between(floor, "floor", 0.0, 1.0)
    check_choice(average, "average", AVERAGES)
    to = np.dtype(dtype) if dtype is not None else _floating(projections.dtype)
    if to not in (np.float32, np.float64):
        what = "projections has dtype" if dtype is None else "dtype is"
        raise TypeError(f"{what} {to}; expected {'integers, ' * (dtype is None)}float32 or float64")
    xp, views, panel = backend.array_module(projections), len(projections), projections.shape[1:]
    given = [value for value in (flats, darks, flats_after) if backend.is_array(value)]
    backend.array_module(projections, *given)
    most = _saturation(projections, saturation)
    bright = [_mean(f, n, panel, average) for f, n in ((flats, "flats"), (flats_after, "flats_after")) if f is not None]
    dark = xp.zeros(panel) if darks is None else _mean(darks, "darks", panel, average)
    light = [f - dark for f in bright]
    dead = (light[0] <= 0) | (light[-1] <= 0)
    if bool(dead.all()):
        raise ValueError("flats are nowhere above darks; expected more counts with the beam than without it")
    full = (bright[0] >= most) | (bright[-1] >= most)
    for frame in light:
        frame[dead] = 1.0
    T, trusted = xp.empty(projections.shape, dtype=to), xp.ones(projections.shape, dtype=bool)
    low = saturated = 0
    for j in range(views):  # one view in float64 at a time
        t = j / (views - 1) if views > 1 else 0.0
        share = (projections[j] - dark) / ((1 - t) * light[0] + t * light[-1])
        weak, much = (share < floor) & ~dead & ~full, ((projections[j] >= most) | full) & ~dead
        T[j], trusted[j] = xp.maximum(share, floor), ~(weak | much | dead)
        low, saturated = low + int(weak.sum()), saturated + int(much.sum())
    if saturated == projections.size:
        raise ValueError(
            f"projections or flats are saturated in all of {saturated} readings, at {most:g} counts or more; expected "
            "fewer counts, or a larger saturation"
        )
    if bool(dead.any()):
        T = fill_in(T, dead)
    return T, Guard(projections.size, low, saturated, int(dead.sum()) * views, trusted)


@answering
def minus_log(T: Array) -> Array:
    """Line integrals b = -log T of transmissions above 0, as `flat_field` makes them.

    Parameters
    ----------
    T : array
        Transmission, in float32 or float64.

    Returns
    -------
    b : array
        Without a unit: the integral of the attenuation, in 1/length, along the ray.

    Raises
    ------
    TypeError, ValueError
        for what is no array of floats, or has entries that are not positive and finite.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.measured.minus_log(np.exp([[-1.0, -2.0]]))
    array([[1., 2.]])
    """
    check_readings(T, "T")
    if T.dtype not in (np.float32, np.float64):
        raise TypeError(f"T has dtype {T.dtype}; expected float32 or float64, as flat_field makes it")
    if not bool((T > 0).all()):
        raise ValueError(f"T has {int((T <= 0).sum())} entries that are not positive; expected those of flat_field")
    return -backend.array_module(T).log(T)


def _floating(dtype: np.dtype) -> np.dtype:
    return np.dtype("float32") if dtype.kind in "iub" else dtype


def _saturation(projections: Array, saturation: Any) -> float:
    """From how many counts on a reading is saturated."""
    if saturation is not None:
        return check_positive(saturation, "saturation", "a positive number of counts")
    return float(np.iinfo(projections.dtype).max) if projections.dtype.kind in "iu" else np.inf


def _mean(frames: Any, name: str, panel: tuple[int, ...], average: str) -> Array:
    """A frame of many, in float64."""
    frames = check_frames(frames, name, panel).astype(np.float64)
    xp = backend.array_module(frames)
    return xp.median(frames, axis=0) if average == "median" else frames.mean(axis=0)
