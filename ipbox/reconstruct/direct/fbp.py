"""Filtered back-projection."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ipbox import backend, scratch
from ipbox.backend import Array
from ipbox.checks import check_between, check_flag
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators import PET, FanBeamTransform, JosephTransform, RayTransform, SliceStack
from ipbox.operators.tomography.ramp import check_filter, ramp
from ipbox.operators.tomography.views import Scan
from ipbox.parallel import cpu_threads
from ipbox.reconstruct.direct.back_projection import back_projection, fan_back_projection
from ipbox.reconstruct.direct.info import AnalyticInfo, reported
from ipbox.reconstruct.direct.projections import cut_off, ends_there, extended, filled, line_integrals
from ipbox.reconstruct.weights import check_weights
from ipbox.warning import warn

LEFT_OUT = 0.03  # of the lines: what is not measured is more than a few views,
ONE_SIDE = 0.1  # or than what a centre of rotation that is off by some pixels leaves to one side
READINGS = 1 << 23  # of some images that are worked on at a time
OVERLAP = 4.0  # pixels: weights that change faster than that alias where the two sides' pixels do not coincide


@answering
def fbp(
    A: RayTransform | JosephTransform | FanBeamTransform | PET | SliceStack,
    b: Array,
    filter: str | Callable[[np.ndarray], np.ndarray] | Array = "ramp",
    *,
    cutoff: float = 1.0,
    weights: Array | None = None,
    extend: bool = True,
    mask: bool = True,
) -> tuple[Array, AnalyticInfo]:
    """Filtered back-projection for parallel and fan beam, and for PET.

    u = Σ_θ Δθ (h * b_θ)(x·θ) for parallel beam, where h is the band-limited ramp filter |ω|/2π times a window;
    u = Σ_β Δβ U⁻² (h * [w cos γ b_β])(a(x)) for fan beam, where h acts on the detector scaled to the centre, U is the
    distance from the source relative to the centre's, and w tells how often a line was measured.  On a curved detector
    h is multiplied by (γ/sin γ)².

    Parameters
    ----------
    A : RayTransform, JosephTransform, FanBeamTransform, PET or SliceStack
        A `SliceStack` is reconstructed slice by slice.
    b : array
        Sinogram of shape A.dimsd, or a batch of them.  Counts of `PET` are corrected for background, attenuation and
        normalisation, (b - r)/(n a), and then filtered and back-projected by its projector's geometry; the image stays
        blurred by the scanner's resolution.
    filter : str, callable or array
        The window W that the ramp |ω|/2π is multiplied by: ``"ramp"`` or ``"ram-lak"`` (none), ``"shepp-logan"``,
        ``"cosine"``, ``"hamming"`` or ``"hann"``, also in capitals as MATLAB's; or your own, a function W(ν) on arrays
        of 0 <= ν <= 1, or an array of its values at evenly spaced ν from 0 to 1, interpolated linearly.  ν = 1 is the
        cut-off.
    cutoff : float
        Where the window ends, as a share of the detector's highest (Nyquist) frequency, 0 < cutoff <= 1: the filter
        is W(|ω|/ω_c) |ω|/2π for |ω| <= ω_c = cutoff · π/ds, and 0 beyond.
    weights : array, optional
        w >= 0 (or a mask) in the shape A.dimsd (of one slice of a `SliceStack`), or one for each view.  Views whose w
        are all 0 are left out, and what the others count for is found without them; single readings with w = 0 are
        interpolated from those beside them.  Otherwise the mean w of a view tells its share in the lines that several
        views see; it changes nothing for lines that are seen once.
    extend : bool
        Where the detector cuts the object off, let the projections go on as those of a disc do; else by zeros, which
        gives a bright rim.  An object that just fits the detector is left as it is.  Discs and ellipses keep their
        values, and in parallel beam all that some views see whole; of what no view does, values are not determined and
        may be off by a tenth.
    mask : bool
        Where the detector cuts the object off, set the image to 0 outside of the field of view, a disc whose pixels
        are seen from all sides.

    Returns
    -------
    x : array
        Image of shape A.dims, in the dtype of ``b``.
    info : AnalyticInfo
        ``info.parameters["field_of_view"]`` is its radius where the detector cuts the object off: where the mean over
        the views has, at one of its ends, more than 2 % of its maximum.

    Warns
    -----
    RuntimeWarning
        for a window of your own that is 0 at frequency 0, as a ramp is: the image loses its mean;
        where the views leave out more than 3 % of the lines through the image (limited angles, a single one, or a
        detector set to one side without a full turn, then more than 10 %): its values are off.

    Notes
    -----
    Each view counts for half the distance to its neighbours: modulo π in parallel beam, 2π in fan beam; several turns,
    repeated and clustered views share theirs.  Up to three gaps of more than 8° and three times the next smaller one
    are no distances but wedges that were not measured: their rims are not blown up.  w is one half for each ray on a
    full circle, Parker's for a short scan, and Wang's where a detector that is set to one side turns all around (half
    acquisition, half fan); where it ends before, it goes on to four pixels behind the centre.  See
    `ipbox.operators.tomography.views`.

    The ramp is sampled in space (Kak and Slaney), which keeps the mean; the detector is padded with zeros.
    Parallel projections are interpolated between the detector pixels as `ipbox.reconstruct.direct.back_projection`
    says.  The readings are taken as averages over detector pixels; for values on rays, "shepp-logan" suits better than
    "ramp": its window is the average over a pixel that they lack.  Data of a `JosephTransform` are back-projected by
    the `RayTransform` of the same geometry.

    Raises
    ------
    TypeError, ValueError
        where A is none of these operators, ``filter`` is unknown or not real and finite, ``cutoff`` is not in (0, 1],
        a flag is none, ``b`` does not fit A or is not finite,
        ``weights`` are negative, all 0 or of another shape, or PET has readings without counts (n a = 0).

    References
    ----------
    Kak and Slaney, Principles of Computerized Tomographic Imaging, SIAM 2001, chapter 3; Parker, Optimal short scan
    convolution reconstruction for fanbeam CT, Med. Phys. 9 (1982); Wang, X-ray micro-CT with a displaced detector
    array, Med. Phys. 29 (2002).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=90)
    >>> x, info = ip.fbp(A, b, filter="hann")
    >>> x.shape
    (64, 64)
    >>> smooth, info = ip.fbp(A, b, lambda f: np.exp(-4 * f**2), cutoff=0.8)        # an own window
    >>> info.filter, info.parameters
    ('own', {'cutoff': 0.8})
    """
    if not isinstance(A, RayTransform | JosephTransform | FanBeamTransform | PET | SliceStack):
        expected = "a RayTransform, JosephTransform, FanBeamTransform, PET or SliceStack"
        raise TypeError(f"A is {type(A).__name__}; fbp expects {expected}")
    window = check_filter(filter)
    if not isinstance(window, str) and np.ravel(window(np.linspace(0, 1, 9)))[0] == 0:
        expected = "the window that the ramp |ω| is multiplied by, not the ramp itself"
        warn(f"filter is 0 at frequency 0; expected {expected}", RuntimeWarning)
    check_between(cutoff, "cutoff", 0, 1, "(]", "a share of the Nyquist frequency")
    check_flag(extend, "extend")
    check_flag(mask, "mask")
    check_fits(A, check_data(b))
    start = time.perf_counter()
    if isinstance(A, SliceStack):
        A, b = A.A, backend.array_module(b).swapaxes(b, -3, -2)
    if isinstance(A, PET):
        A, b = A.projector, line_integrals(A, b)
    lines, trust = b.reshape((-1, *A.dimsd)), None
    if weights is not None:
        A, lines, trust = _trusted(A, lines, check_weights(weights, tuple(A.dimsd)))
    response = functools.partial(ramp, filter=window, cutoff=cutoff)
    x, told = _from_lines(A, lines, trust, response, extend, mask)
    x = x.reshape(b.shape[:-2] + tuple(A.dims))
    told |= {} if cutoff == 1 else {"cutoff": float(cutoff)}
    return reported(x, "fbp", start, filter=filter if isinstance(filter, str) else "own", parameters=told)


def _from_lines(
    A: RayTransform | JosephTransform | FanBeamTransform,
    b: Array,
    trust: np.ndarray | None,
    response: Callable[..., np.ndarray],
    extend: bool,
    mask: bool,
) -> tuple[Array, dict[str, Any]]:
    """The image from line integrals (a batch of them), and what is told about it."""
    A, filtered, field = prepared(A, b, response, extend, trust)
    ray = None if isinstance(A, FanBeamTransform) else _as_ray(A)
    x, step = scratch.zeros((len(b), *A.dims), b.dtype, backend.array_module(b)), max(1, READINGS // math.prod(A.dimsd))
    for part in (slice(k, k + step) for k in range(0, len(b), step)):
        q = filtered(b[part])
        x[part] = fan_back_projection(A, q) if ray is None else back_projection(ray, q)
    return masked(A, x, field, mask)


def prepared(
    A: RayTransform | JosephTransform | FanBeamTransform,
    profile: Array,
    response: Callable[..., np.ndarray],
    extend: bool,
    trust: np.ndarray | None = None,
    who: str = "fbp",
) -> tuple[Any, Callable[[Array], Array], tuple[float, bool] | None]:
    """How line integrals are weighted and filtered, and the geometry they have then.

    That has a wider detector where it cuts the object off: seen from ``profile``, the lines or a mean of them.  Then
    the third is the radius of the field of view, and whether that is a disc about the axis.  The second takes lines,
    all of them or some at a time.
    """
    scan, half = Scan.of(A, trust), _half_width(A)
    cut = cut_off(profile)
    lo, hi = scan.ends
    ends = (lo, hi) if scan.one_sided() and cut[abs(lo) > abs(hi)] else (-math.inf, math.inf)
    around = math.isfinite(ends[0]) and scan.goes_around()  # what one side misses, the other sees half a turn later
    one_sided = math.isfinite(ends[0])
    fits = not one_sided and ends_there(profile)
    rim = max(-lo, hi) - 0.5 * scan.spacing * fits if around or fits else min(-lo, hi)
    seen = abs(float(scan.offset(rim)))
    farthest = min(half, float(scan.offset(max(-lo, hi)))) if one_sided else half
    _warn_of_gaps(scan.left_out(farthest, ends), ONE_SIDE if one_sided and not around else LEFT_OUT, who)

    narrow = scan
    if any(cut):
        A, pads = _widened(A, scan)
        near = (-lo < hi, -lo > hi) if around else (False, False)  # what the other side sees goes on in any case
        left, right = (c and not fits and (extend or is_near) for c, is_near in zip(cut, near, strict=True))
        sides = left, right
        scan = Scan.of(A, trust)
    weights = _beyond(scan, ends) * np.cos(scan.gamma(scan.positions))
    turn = A.turn if isinstance(A, FanBeamTransform) else 0.0

    def filtered(b: Array) -> Array:
        fft, xp = backend.fft_module(b), backend.array_module(b)
        if any(cut):
            b = extended(b, narrow, pads, half, sides)
        n = 2 * fft.next_fast_len(A.n_det, real=True)
        workers = {} if backend.is_device(b) else {"workers": cpu_threads()}
        lines = fft.rfft(b * xp.asarray(weights, dtype=b.dtype), n=n, axis=-1, **workers)
        lines *= xp.asarray(response(n, A.det_spacing / A.magnification, turn=turn), dtype=b.dtype)
        return fft.irfft(lines, n=n, axis=-1, **workers)[..., : A.n_det]

    return A, filtered, (seen, around or min(-lo, hi) > 0) if any(cut) else None


def masked(A: Any, x: Array, field: tuple[float, bool] | None, mask: bool) -> tuple[Array, dict[str, Any]]:
    """``x`` without what is outside of the field of view, of images or slices of the geometry A, and its radius."""
    if field is None:
        return x, {}
    seen, is_disc = field
    if mask and is_disc:
        x *= backend.array_module(x).asarray(_radii(A) <= seen, dtype=x.dtype)
    return x, {"field_of_view": seen}


def _trusted(A: Any, b: Array, w: np.ndarray) -> tuple[Any, Array, np.ndarray | None]:
    """The views that have weights, their data without holes, and what they are trusted where that differs."""
    seen = np.flatnonzero(w.any(axis=1))
    if seen.size < len(w):
        A, b, w = A.subset(seen), b[:, backend.array_module(b).asarray(seen)], w[seen]
    trust = w.mean(axis=1)
    return A, filled(b, w > 0), None if np.ptp(trust) <= 1e-12 * trust.max() else trust


def _warn_of_gaps(share: float, most: float, who: str) -> None:
    if share > most:
        warn(
            f"{who}: the views leave out {share:.0%} of the lines through the image, whose values are off "
            f"and whose edges along them are lost; expected more angles, or a method that fills in, such as ip.tv",
            RuntimeWarning,
        )


def _as_ray(A: RayTransform | JosephTransform) -> RayTransform:
    if isinstance(A, RayTransform):
        return A
    geometry = tuple(A.dims), A.angles, A.n_det, A.det_spacing, A.det_shift, A.pixel_size
    return RayTransform(*geometry, dtype=A.dtype_in, image_centre=A.image_centre)


def _widened(A: Any, scan: Scan) -> tuple[Any, tuple[int, int]]:
    """The geometry with a detector beyond the image and its own ends, and the pixels added before and behind."""
    corner = float(scan.meeting(A.reach))
    least = A.n_det // 4
    pads = tuple(max(least, math.ceil((corner - end) / A.det_spacing)) for end in (-scan.ends[0], scan.ends[1]))
    shift = A.det_shift + 0.5 * (pads[1] - pads[0]) * A.det_spacing
    return A.with_detector(A.n_det + sum(pads), shift), pads


def _beyond(wide: Scan, ends: tuple[float, float]) -> np.ndarray:
    """Weights that go on beyond the detector; its near side ends at least `OVERLAP` pixels behind the centre."""
    lo, hi = ends
    if math.isfinite(lo):
        far, least = max(-lo, hi), OVERLAP * wide.spacing
        lo, hi = (min(lo, -least), hi) if hi == far else (lo, max(hi, least))
        wide = replace(wide, positions=np.clip(wide.positions, (1e-9 - 1) * far, (1 - 1e-9) * far))
    return wide.weights((lo, hi))


def _half_width(A: Any) -> float:
    """How far from the axis the image's inscribed disc reaches."""
    return math.hypot(*A.image_centre) + 0.5 * min(n * h for n, h in zip(A.dims, A.pixel_widths, strict=True))


def _radii(A: Any) -> np.ndarray:
    """How far the pixels are from the axis of rotation."""
    y, x = (c + (np.arange(n) - 0.5 * (n - 1)) * h for n, h, c in zip(A.dims, A.pixel_widths, _down(A), strict=True))
    return np.hypot(y[:, None], x)


def _down(A: Any) -> tuple[float, float]:
    """The image's centre, y downwards as rows go."""
    return -A.image_centre[0], A.image_centre[1]
