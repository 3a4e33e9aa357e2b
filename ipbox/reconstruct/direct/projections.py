"""Data as filtered back-projection takes them: line integrals that go on to where the object ends."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators import PET
from ipbox.operators.tomography.views import Scan

SEEN = 0.02  # of the largest mean over the views: a detector whose ends read more cuts the object off
RIM = 2  # pixels: the mean of an end, to see whether it is cut off,
BEYOND = 1.5  # pixels from the middle of the last one, to which an object that fits the detector reaches at most,
END = 4  # and to say from where the projections go on
SMOOTH = 0.01  # of the mean of p² where it is seen: what the mean over the views of ellipses may differ by,
NOISY = 10  # times as much: a reading
EDGE = 0.2  # of a view's largest reading: where it sees an ellipse; at least
LEAST = 6  # readings say which one,
WHOLE = 0.05  # of the views: if more see all of an object, they say what the others miss
MOST = 0.9  # of the views: the rest are too noisy to tell


def line_integrals(A: PET, b: Array) -> Array:
    """(b - r)/(n a): counts b corrected for background, attenuation and normalisation, as `fbp` filters them.

    Parameters
    ----------
    A : PET
        With n a > 0 everywhere.
    b : array
        Counts of shape A.dimsd, or a batch of them.

    Raises
    ------
    ValueError
        for readings without counts (n a = 0).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.reconstruct.direct.projections import line_integrals
    >>> A = ip.PET(ip.JosephTransform((8, 8), [0.0], dtype="float64"), normalisation=0.5, background=np.ones((1, 12)))
    >>> line_integrals(A, np.full((1, 12), 3.0))[0, 0].item()
    4.0
    """
    if not (A.factors > 0).all():
        dead = int((A.factors == 0).sum())
        raise ValueError(f"A has {dead} readings without counts (n a = 0); fbp expects n a > 0 everywhere")
    return (b - A.background_like(b)) / A.factors_like(b)


def filled(b: Array, mask: np.ndarray) -> Array:
    """``b``, (samples, views, n_det), with the readings outside of ``mask``, (views, n_det), from those beside them.

    Linear along the detector, and constant to its ends; every view has some reading.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.reconstruct.direct.projections import filled
    >>> filled(np.array([[[1.0, 9.0, 2.0, 9.0]]]), np.array([[True, False, True, False]]))
    array([[[1. , 1.5, 2. , 2. ]]])
    """
    if mask.all():
        return b
    xp, at = backend.array_module(b), np.arange(mask.shape[1])
    ends = np.empty((2, *mask.shape), dtype=np.int64)
    for left, right, row in zip(*ends, mask, strict=True):
        known = np.flatnonzero(row)
        k = np.searchsorted(known, at, side="right") - 1
        left[:], right[:] = known[np.maximum(k, 0)], known[np.minimum(k + 1, known.size - 1)]
    left, right = ends
    share = np.clip((at - left) / np.maximum(right - left, 1), 0, 1)
    values = [xp.take_along_axis(b, xp.asarray(np.broadcast_to(e, b.shape)), axis=2) for e in ends]
    share = xp.asarray(share.astype(b.dtype))
    return xp.where(xp.asarray(mask), b, (1 - share) * values[0] + share * values[1])


def cut_off(b: Array) -> tuple[bool, bool]:
    """Whether the first and the last detector pixels of ``b``, (samples, views, n_det), still see the object."""
    profile = _profile(b)
    most = SEEN * profile.max(axis=1)
    ends = (part.mean(axis=1) for part in (profile[:, :RIM], profile[:, -RIM:]))
    first, last = (bool((end > most).any()) for end in ends)
    return first, last


def ends_there(b: Array) -> bool:
    """Whether an object that the ends of the detector see fits it but for a pixel, as one that fills a round field.

    The square of a projection falls linearly to the edge of a round object; here, of the mean over the views, to zero
    within a pixel beyond the detector.
    """
    squares = _profile(b) ** 2
    ends = squares[:, [0, -1]], squares[:, [1, -2]]
    return b.shape[-1] > 1 and bool(((1 + BEYOND) * ends[0] <= BEYOND * ends[1]).all())


def _profile(b: Array) -> np.ndarray:
    return np.abs(backend.to_host(b.mean(axis=1)).astype(np.float64))


def extended(b: Array, scan: Scan, pads: tuple[int, int], reach: float, sides: tuple[bool, bool]) -> Array:
    """``b`` with ``pads`` pixels before and behind; on the ``sides`` that cut the object off it goes on as a disc does.

    Projections of discs and ellipses of one value are p² = α + β s - γ s², other α, β and γ for each view, and 0 beside
    them.  Where all views are so, p goes on as they say (Hsieh fits such a disc at each end), also where only some
    views cut the disc off.  Else, where some parallel views see all of the object, the others go on until they have the
    same sum; where none does, a disc about the centre, of radius ``reach``, takes up the mean of the last few readings
    of each view.

    References
    ----------
    Hsieh et al., A novel reconstruction algorithm to extend the CT scan field-of-view, Med. Phys. 31 (2004).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.operators.tomography.views import Scan
    >>> from ipbox.reconstruct.direct.projections import extended
    >>> A = ip.RayTransform((20, 20), [0.0], n_det=12)
    >>> disc = lambda n: np.sqrt(64.0 - (np.arange(n) - (n - 1) / 2) ** 2).reshape(1, 1, n)
    >>> bool(abs(extended(disc(12), Scan.of(A), (1, 1), 10.0, (True, True)) - disc(14)).max() < 1e-12)
    True
    """
    xp = backend.array_module(b)
    n = b.shape[-1]
    s = scan.offset(scan.middle[0] + scan.spacing * np.arange(-pads[0], n + pads[1]))
    inside = slice(pads[0], pads[0] + n)
    out = xp.zeros((*b.shape[:-1], s.size), dtype=b.dtype)
    out[..., inside] = b
    ellipses, fits = _ellipses(b, s, inside)
    T = max(reach, 1.05 * float(np.abs(s[inside]).max()))
    disc = np.sqrt(np.clip(1 - (s / T) ** 2, 0, None))
    beyond = slice(0, pads[0]), slice(pads[0] + n, s.size)
    within = slice(pads[0], pads[0] + END), slice(pads[0] + n - END, pads[0] + n)
    levels = [out[..., here].mean(axis=-1, keepdims=True) for here in within]
    width, known = _widths(b, sum(levels)) if scan.parallel else (1.0, False)
    away = [np.arange(pad) + 0.5 for pad in pads]
    for there, here, side, level, j in zip(beyond, within, sides, levels, (away[0][::-1], away[1]), strict=True):
        if side:
            goes_on = level * xp.asarray((disc[there] / disc[here].mean()).astype(b.dtype))
            ends = level * xp.sqrt(xp.maximum(1 - (xp.asarray(j.astype(b.dtype)) / width) ** 2, 0))
            out[..., there] = xp.where(fits, ellipses[..., there], xp.where(known, ends, goes_on))
    return out


def _widths(b: Array, levels: Array) -> tuple[Array, Array]:
    """How far each view goes on so that all have one sum, and whether that is known; ``levels`` are those of the ends.

    The sum over the detector is that of the image in every parallel view: in those that see all of the object.  What
    another one misses has the area π/4 w (level + level') of two quarters of ellipses.
    """
    xp = backend.array_module(b)
    total, most = b.sum(axis=2, keepdims=True), SEEN * abs(b).max(axis=(1, 2), keepdims=True)
    whole = levels < most
    seen = whole.sum(axis=1, keepdims=True)
    mean = (total * whole).sum(axis=1, keepdims=True) / xp.maximum(seen, 1)
    width = 4 / math.pi * (mean - total) / xp.maximum(levels, xp.maximum(most, np.finfo(b.dtype).tiny))
    return xp.maximum(width, 1e-3).astype(b.dtype), seen > WHOLE * b.shape[1]


def _ellipses(b: Array, s: np.ndarray, inside: slice) -> tuple[Array, Array]:
    """√(α + β s - γ s²) at all ``s`` for each view, and for which samples that is what all views are ``inside``.

    Fitted where the view sees the ellipse; beside it both are 0.
    """
    xp, kind = backend.array_module(b), b.dtype
    largest = xp.maximum(abs(b).max(axis=(1, 2), keepdims=True), np.finfo(kind).tiny)
    p = (b / largest).astype(np.float64)  # in units in which the square does not overflow
    square = p * abs(p)
    powers = np.stack([np.ones_like(s), s, s**2]) / np.abs(s).max() ** np.arange(3)[:, None]
    known = xp.asarray(powers[:, inside])
    sees = (p > EDGE * xp.maximum(p.max(axis=2, keepdims=True), EDGE)).astype(np.float64)
    enough = sees.sum(axis=2) >= LEAST
    normal = xp.einsum("nvd,id,jd->nvij", sees, known, known)
    right = xp.einsum("nvd,id->nvi", sees * square, known)
    normal[~enough], right[~enough] = xp.eye(3), 0.0
    coefficients = xp.linalg.solve(normal, right[..., None])[..., 0]
    values = xp.maximum(coefficients @ xp.asarray(powers), 0)
    concave = ~enough | (coefficients[..., 2] < 0)
    misfit = xp.where((enough & concave)[..., None], square - values[..., inside], 0)
    mean = SMOOTH * (sees * square).sum(axis=(1, 2)) / xp.maximum(sees.sum(axis=(1, 2)), 1)
    fits = xp.sqrt((misfit.mean(axis=1) ** 2).mean(axis=1)) < mean
    fits &= xp.sqrt((misfit**2).mean(axis=(1, 2))) < NOISY * mean
    fits &= concave.mean(axis=1) > MOST
    return (largest * xp.sqrt(values)).astype(kind), (fits[:, None] & concave)[..., None]
