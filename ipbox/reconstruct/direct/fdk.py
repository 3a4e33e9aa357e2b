"""Filtered back-projection of cone beams, after Feldkamp, Davis and Kress."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend, scratch
from ipbox.backend import Array
from ipbox.checks import check_between, check_flag
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.kernels.cone.front import backproject_weighted
from ipbox.keywords import answering
from ipbox.operators import ConeBeamTransform, ConeVectorTransform
from ipbox.operators.tomography.ramp import check_filter, ramp
from ipbox.reconstruct.direct.fbp import masked, prepared
from ipbox.reconstruct.direct.info import AnalyticInfo, reported
from ipbox.reconstruct.direct.projections import SEEN

READINGS = 1 << 23  # filtered at a time, of whole rows


@answering
def fdk(
    A: ConeBeamTransform | ConeVectorTransform,
    b: Array,
    filter: str | Callable[[np.ndarray], np.ndarray] | Array = "ramp",
    *,
    cutoff: float = 1.0,
    extend: bool = True,
    mask: bool = True,
) -> tuple[Array, AnalyticInfo]:
    r"""Filtered back-projection for cone beam: the reconstruction of Feldkamp, Davis and Kress.

    .. math:: u(X) = \sum_β Δβ\, U_β(X)^{-2} \Bigl(h * \Bigl[w\, \frac{L}{\sqrt{L^2 + a^2 + v^2}}\, b_β\Bigr]\Bigr)
              (v_β(X), a_β(X)), \quad L = R + R_d,

    where the ramp filter h acts along the panel's rows, scaled to the axis, U is the distance from the source along the
    central ray relative to that of the axis, (v, a) is where the ray through X meets the panel, and w tells how often a
    line of the plane of the source was measured.

    Parameters
    ----------
    A : ConeBeamTransform or ConeVectorTransform
        The latter where it has a circular orbit about the z axis and upright panels (`ConeVectorTransform.on_circle`).
    b : array
        Line integrals of shape A.dimsd, or a batch of them.
    filter, cutoff
        As of `fbp`.
    extend : bool
        Where the panel's sides cut the object off, let the projections go on as those of a disc do, row by row; else by
        zeros, which gives a bright rim.  Where its upper or lower end does, let them go on as those of an object that
        is the same in all slices; else by zeros, which makes slices too low that leave the panel in some views.
    mask : bool
        Where the panel's sides cut the object off, set the volume to 0 outside of the field of view, a cylinder whose
        voxels are seen from all sides; where its ends do, the voxels that no view sees.

    Returns
    -------
    x : array
        Volume of shape A.dims, in the dtype of ``b``.
    info : AnalyticInfo
        ``info.parameters["field_of_view"]`` is its radius where the panel's sides cut the object off.

    Warns
    -----
    RuntimeWarning
        where the views leave out more than 3 % of the lines of the plane of the source (see `fbp`).

    Notes
    -----
    In the plane of the source it is `fbp`, with the same weights for full circles, short scans (Parker) and panels that
    are set to one side (Wang).  Away from it a circle does not measure all that a volume needs: values fall off with
    the cone angle where the object changes along the axis, and are exact where it does not: weighted with the cosine,
    its projections are the same in all rows, which is what they are continued by beyond the panel's ends.

    Data of a turned panel (``tilt``) are interpolated linearly to the pixels that it would have upright, and at its
    corners, of which it has no data, go on as at its nearest ends.

    Raises
    ------
    TypeError, ValueError
        where A is no cone beam on a circle, ``filter`` is unknown or not real and finite, ``cutoff``
        is not in (0, 1], a flag is none, or ``b`` does not fit A or is not finite.

    References
    ----------
    Feldkamp, Davis and Kress, Practical cone-beam algorithm, J. Opt. Soc. Am. A 1 (1984); Parker, Optimal short scan
    convolution reconstruction for fanbeam CT, Med. Phys. 9 (1982).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> beta = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    >>> A = ip.ConeBeamTransform((15, 32, 32), beta, source_distance=100.0, detector_distance=50.0)
    >>> k, i, j = np.ogrid[-7:8, -15.5:16, -15.5:16]
    >>> ball = (k**2 + i**2 + j**2 < 36).astype("float32")
    >>> x, info = ip.fdk(A, A.apply(ball), "hann")
    >>> round(float(x[7, 14:18, 14:18].mean()), 1)
    1.0
    """
    A = _on_circle(A)
    window = check_filter(filter)
    check_between(cutoff, "cutoff", 0, 1, "(]", "a share of the Nyquist frequency")
    check_flag(extend, "extend")
    check_flag(mask, "mask")
    check_fits(A, check_data(b))
    start = time.perf_counter()
    response, stack = functools.partial(ramp, filter=window, cutoff=cutoff), b.reshape((-1, *A.dimsd))
    if A.tilt != 0:
        A, stack = A.upright(), _turned(A, stack)
    (samples, views, rows, _), xp = stack.shape, backend.array_module(b)
    step = max(1, READINGS // stack[:, :, 0].size)
    parts = [slice(k, min(k + step, rows)) for k in range(0, rows, step)]
    profile = sum(_of_rows(A, stack, part).sum(axis=1) for part in parts) / rows
    fan, filtered, field = prepared(A.plane(), profile, response, extend, who="fdk")
    q, means = xp.empty((samples, views, rows, fan.n_det), dtype=b.dtype), []
    for part in parts:
        lines = _of_rows(A, stack, part)
        means.append(backend.to_host(lines.mean(axis=(0, 2, 3), dtype=np.float64)))
        flat = filtered(lines.reshape(-1, *lines.shape[2:]))
        q[:, :, part] = flat.reshape(*lines.shape[:3], -1).transpose(0, 2, 1, 3)
    wide = A if field is None else A.with_columns(fan.n_det, fan.det_shift)
    pads = _rows_beyond(A, np.concatenate(means)) if extend else (0, 0)
    if any(pads):
        wide, q = _higher(wide, q, pads)
    x = scratch.zeros((samples, *A.dims), b.dtype, xp)
    backproject_weighted(q, x, wide._views.like(b), A.magnification)
    if any(pads) and mask:
        for k, z in enumerate(_heights(A)):
            x[:, k] *= xp.asarray(_is_seen(A, z), dtype=x.dtype)
    x, told = masked(fan, x, field, mask)
    x = x.reshape(b.shape[:-3] + tuple(A.dims))
    told |= {} if cutoff == 1 else {"cutoff": float(cutoff)}
    return reported(x, "fdk", start, filter=filter if isinstance(filter, str) else "own", parameters=told)


def _rows_beyond(A: ConeBeamTransform, means: np.ndarray) -> tuple[int, int]:
    """How many rows the volume's shadow needs before and behind those of the panel, where they cut the object off.

    That is seen from the ``means`` of the rows.
    """
    cut = means[[0, -1]] > SEEN * means.max()
    (rows, _), height = A.n_det, A.det_spacing[0]
    v = A.positions()[0]
    most = (A.source_distance + A.detector_distance) / (A.source_distance - A.reach)
    z = _heights(A)
    ends = v[..., 0].max() - min(z[0] * most, z[0]), max(z[-1] * most, z[-1]) - v[..., -1].min()
    before, behind = (min(rows, max(0, math.ceil(end / height))) * int(c) for end, c in zip(ends, cut, strict=True))
    return before, behind


def _higher(A: ConeBeamTransform, q: Array, pads: tuple[int, int]) -> tuple[ConeBeamTransform, Array]:
    """The panel with more rows before and behind, and filtered data ``q`` that go on in them as at the ends."""
    before, behind = pads
    numbers = np.clip(np.arange(-before, q.shape[2] + behind), 0, q.shape[2] - 1)
    shift = A.det_shift[0] + 0.5 * (behind - before) * A.det_spacing[0]
    xp = backend.array_module(q)
    return A.with_rows(numbers.size, shift), xp.take(q, xp.asarray(numbers), axis=2)


def _is_seen(A: ConeBeamTransform, z: float) -> np.ndarray:
    """The voxels of the slice at z that are before some row of the panel in some view, (ny, nx)."""
    (_, hy, hx), (_, y0, x0) = A.voxel_widths, A.volume_centre
    y, x = ((np.arange(n) - 0.5 * (n - 1)) * h + c for n, h, c in zip(A.dims[1:], (hy, hx), (-y0, x0), strict=True))
    v, far = A.positions()[0], A.source_distance + np.hypot(y[:, None], x)
    least = z * (A.source_distance + A.detector_distance) / far
    half = 0.5 * A.det_spacing[0]
    return (least >= v[..., 0].min() - half) & (least <= v[..., -1].max() + half)


def _heights(A: ConeBeamTransform) -> np.ndarray:
    """z of the slices."""
    return A.volume_centre[0] + (np.arange(A.dims[0]) - 0.5 * (A.dims[0] - 1)) * A.voxel_widths[0]


def _on_circle(A: Any) -> ConeBeamTransform:
    """A cone beam by its distances."""
    made = A.on_circle() if isinstance(A, ConeVectorTransform) else A
    if made is None:
        raise ValueError(
            "A is ConeVectorTransform with an orbit that is no circle about the z axis, or panels that lean; fdk "
            "expects a circle and upright panels, ip.cgls and ip.tv take any"
        )
    if not isinstance(made, ConeBeamTransform):
        raise TypeError(f"A is {type(A).__name__}; fdk expects a ConeBeamTransform")
    return made


def _turned(A: ConeBeamTransform, b: Array) -> Array:
    """The readings ``b`` at the pixels of ``A.upright()``, interpolated linearly."""
    xp, (height, width) = backend.array_module(b), A.det_spacing
    (rows, columns), c, s = A.n_det, math.cos(A.tilt), math.sin(A.tilt)
    v = (np.arange(rows)[:, None] - 0.5 * (rows - 1)) * height
    a = (np.arange(columns) - 0.5 * (columns - 1)) * width
    out: Any = 0
    at = ((c * v - s * a) / height, rows), ((s * v + c * a) / width, columns)
    (i, f), (j, g) = (_between(p + 0.5 * (n - 1), n) for p, n in at)
    for down, right in itertools.product((0, 1), repeat=2):
        weight = (f if down else 1 - f) * (g if right else 1 - g)
        pixels = xp.asarray((np.minimum(i + down, rows - 1) * columns + np.minimum(j + right, columns - 1)).ravel())
        part = b.reshape(b.shape[0], b.shape[1], -1)[:, :, pixels].reshape(b.shape)
        out = out + part * xp.asarray(weight.astype(b.dtype))
    return out


def _between(p: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel of n before the position p, and how far behind it that is; p is kept between the ends."""
    p = np.clip(p, 0, n - 1)
    i = p.astype(np.int64)
    return i, p - i


def _of_rows(A: ConeBeamTransform, b: Array, part: slice) -> Array:
    """(B, rows, views, columns): the fan beam of each row, times the cosine of its angle to the source's plane."""
    v, a = A.positions()
    square = (A.source_distance + A.detector_distance) ** 2 + a**2
    v, square = np.broadcast_to(v, (A.angles.size, v.shape[-1])).T[part, :, None], square.reshape(-1, a.shape[-1])
    cosines: Any = np.sqrt(square / (square + v**2))
    xp, turned = backend.array_module(b), b[:, :, part].transpose(0, 2, 1, 3)
    return xp.multiply(turned, xp.asarray(cosines.astype(b.dtype)), out=xp.empty(turned.shape, b.dtype))
