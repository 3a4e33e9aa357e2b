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
END = 4  # and to say from where the projections go on


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


def cut_off(b: Array) -> tuple[bool, bool]:
    """Whether the first and the last detector pixels of ``b``, (samples, views, n_det), still see the object."""
    profile = np.abs(backend.to_host(b.mean(axis=1)).astype(np.float64))
    most = SEEN * profile.max(axis=1)
    ends = (part.mean(axis=1) for part in (profile[:, :RIM], profile[:, -RIM:]))
    first, last = (bool((end > most).any()) for end in ends)
    return first, last


def extended(b: Array, scan: Scan, pads: tuple[int, int], reach: float, sides: tuple[bool, bool]) -> Array:
    """``b`` with ``pads`` pixels before and behind; on the ``sides`` that cut the object off it goes on as a disc does.

    A disc about the centre has the projections √(T² - s²), which take up the mean of the last few readings of each
    view.  T is that of all views together where they are a disc's or an ellipse's, p² = α - β s² on average over the
    views (Hsieh fits such a disc at each end of each view), and else ``reach``, the inscribed circle's of the image.

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
    >>> bool(abs(extended(disc(12), Scan.of(A), (1, 1), 10.0, (True, True)) - disc(14)).max() < 0.3)
    True
    """
    xp = backend.array_module(b)
    n, spacing = b.shape[-1], scan.spacing
    a = scan.positions[0] + spacing * np.arange(-pads[0], n + pads[1])
    s = scan.offset(a)
    inside = slice(pads[0], pads[0] + n)
    out = xp.zeros((*b.shape[:-1], a.size), dtype=b.dtype)
    out[..., inside] = b
    unit = b / xp.maximum(abs(b).max(axis=(1, 2), keepdims=True), np.finfo(b.dtype).tiny)  # squares do not overflow
    radii = [_radius(p, s[inside], reach) for p in backend.to_host((unit * unit).mean(axis=1)).astype(np.float64)]
    beyond = slice(0, pads[0]), slice(pads[0] + n, a.size)
    within = slice(pads[0], pads[0] + END), slice(pads[0] + n - END, pads[0] + n)
    for side, there, here in zip(sides, beyond, within, strict=True):
        if side:
            disc = np.stack([np.sqrt(np.clip(1 - (s / T) ** 2, 0, None)) for T in radii])
            level = out[..., here].mean(axis=-1, keepdims=True)
            scale = disc[:, there] / disc[:, here].mean(axis=1, keepdims=True)
            out[..., there] = level * xp.asarray(scale.astype(b.dtype))[:, None]
    return out


def _radius(square: np.ndarray, s: np.ndarray, reach: float) -> float:
    """T of `extended`, from the mean of p² over the views."""
    slope, level = np.polyfit(s**2, square, 1)
    least = 1.05 * float(np.abs(s).max())
    misfit = np.sqrt(np.mean((level + slope * s**2 - square) ** 2))
    if slope < 0 and misfit < 0.01 * square.mean():
        return max(math.sqrt(level / -slope), 0.5 * (least + np.abs(s).max()))
    return max(reach, least)
