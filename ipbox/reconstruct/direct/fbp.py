"""Filtered back-projection."""

from __future__ import annotations

import time

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.operators import PET, FanBeamTransform, JosephTransform, RayTransform
from ipbox.operators.tomography.ramp import FILTERS, angle_weights, ramp
from ipbox.reconstruct.direct.back_projection import back_projection
from ipbox.reconstruct.direct.fan import fan_back_projection
from ipbox.reconstruct.direct.info import AnalyticInfo


def fbp(
    A: RayTransform | JosephTransform | FanBeamTransform | PET, b: Array, filter: str = "ramp"
) -> tuple[Array, AnalyticInfo]:
    """Filtered back-projection for parallel and fan beam, and for PET.

    u = Σ_θ Δθ (h * b_θ)(x·θ) for parallel beam, where h is the band-limited ramp filter |ω|/2π times a window;
    u = Σ_β Δβ U⁻² (h * [w cos γ b_β])(a(x)) for fan beam, see `ipbox.reconstruct.direct.fan`.

    Parameters
    ----------
    A : RayTransform, JosephTransform, FanBeamTransform or PET
    b : array
        Sinogram of shape A.dimsd, or a batch of them.  Counts of `PET` are corrected for background, attenuation and
        normalisation, (b - r)/(n a), and then filtered and back-projected by its projector's geometry; the image stays
        blurred by the scanner's resolution.
    filter : str
        ``"ramp"`` (no window), ``"shepp-logan"``, ``"cosine"`` or ``"hann"``.

    Returns
    -------
    x : array
        Image of shape A.dims, in the dtype of ``b``.
    info : AnalyticInfo

    Notes
    -----
    Each angle is weighted by half the distance to its neighbours modulo π, at most twice the median distance, so
    that the rim of a missing wedge is not blown up.  The ramp is sampled in space (Kak and Slaney), which keeps the
    mean; the detector is padded with zeros, so a truncated one gives a bright rim.
    Parallel projections are interpolated between the detector pixels as `ipbox.reconstruct.direct.back_projection`
    says.  The readings are taken as averages over detector pixels; for values on rays, "shepp-logan" suits better than
    "ramp": its window is the average over a pixel that they lack.

    Data of a `JosephTransform` are back-projected by the `RayTransform` of the same geometry.  In fan beam, h acts on
    the detector scaled to the centre, U is the distance from the source relative to the centre's, and w tells how
    often a line was measured: one half each on a full circle, else Parker's weights (short scan).

    Raises
    ------
    TypeError, ValueError
        where A is none of these operators, ``filter`` is unknown, ``b`` does not fit A or is not finite, or PET has
        readings without counts (n a = 0).

    References
    ----------
    Kak and Slaney, Principles of Computerized Tomographic Imaging, SIAM 2001, chapter 3; Parker, Optimal short scan
    convolution reconstruction for fanbeam CT, Med. Phys. 9 (1982).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=90)
    >>> x, info = ip.fbp(A, b, filter="hann")
    >>> x.shape
    (64, 64)
    """
    if not isinstance(A, RayTransform | JosephTransform | FanBeamTransform | PET):
        expected = "a RayTransform, JosephTransform, FanBeamTransform or PET"
        raise TypeError(f"A is {type(A).__name__}; fbp expects {expected}")
    if not isinstance(filter, str) or filter not in FILTERS:
        raise ValueError(f"filter is {filter!r}; expected one of {', '.join(FILTERS)}")
    check_fits(A, check_data(b))
    start = time.perf_counter()
    if isinstance(A, PET):
        A, b = A.projector, line_integrals(A, b)
    x = _fan(A, b, filter) if isinstance(A, FanBeamTransform) else _parallel(A, b, filter)
    if not np.isfinite(backend.norm(x)):
        raise FloatingPointError(f"fbp: the image is not finite; b is beyond the range of {b.dtype}")
    return x, AnalyticInfo("fbp", time.perf_counter() - start, filter=filter)


def _parallel(A: RayTransform | JosephTransform, b: Array, filter: str) -> Array:
    fft, xp = backend.fft_module(b), backend.array_module(b)
    if isinstance(A, JosephTransform):
        geometry = (A.n_det, A.det_spacing, A.det_shift, A.pixel_size)
        A = RayTransform(tuple(A.dims), A.angles, *geometry, dtype=A.dtype_in)
    n = 2 * fft.next_fast_len(A.n_det, real=True)
    response = xp.asarray(ramp(n, A.det_spacing, filter), dtype=b.dtype)
    q = fft.irfft(fft.rfft(b, n=n, axis=-1) * response, n=n, axis=-1)[..., : A.n_det]
    q *= xp.asarray(angle_weights(A.angles), dtype=b.dtype)[:, None]
    return back_projection(A, q)


def _fan(A: FanBeamTransform, b: Array, filter: str) -> Array:
    n = 2 * backend.fft_module(b).next_fast_len(A.n_det, real=True)
    response = ramp(n, A.det_spacing / A.magnification, filter)
    x = fan_back_projection(A, b.reshape((-1,) + tuple(A.dimsd)), response, n)
    return x.reshape(b.shape[:-2] + tuple(A.dims))


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
    >>> from ipbox.reconstruct.direct.fbp import line_integrals
    >>> A = ip.PET(ip.JosephTransform((8, 8), [0.0], dtype="float64"), normalisation=0.5, background=np.ones((1, 12)))
    >>> line_integrals(A, np.full((1, 12), 3.0))[0, 0].item()
    4.0
    """
    if not (A.factors > 0).all():
        dead = int((A.factors == 0).sum())
        raise ValueError(f"A has {dead} readings without counts (n a = 0); fbp expects n a > 0 everywhere")
    return (b - A.background_like(b)) / A.factors_like(b)
