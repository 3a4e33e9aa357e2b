"""Back-projection of filtered parallel-beam and fan-beam projections, interpolated between the detector pixels."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.kernels.fan.front import backproject_curved, backproject_weighted
from ipbox.operators import FanBeamTransform, RayTransform

REACH = math.sqrt(0.5)  # of a pixel's sampling frequency 1/h: the corners of its Fourier square


def back_projection(A: RayTransform, q: Array) -> Array:
    r"""Back-projection Σ_θ q_θ(x·θ) of projections known at detector pixels, averaged over the image's pixels.

    Parameters
    ----------
    A : RayTransform
        The geometry.
    q : array
        Filtered projections of shape A.dimsd, or a batch of them, each weighted by its Δθ.

    Returns
    -------
    array
        Images of shape A.dims, in the dtype of ``q``.

    Notes
    -----
    Samples a distance ds apart have a periodic spectrum: Q(f) + Q(f - 1/ds) near half their sampling frequency.  In
    between, q is interpolated with the Wiener weight of the first term, w = 1/(1 + (f/(1/ds - f))⁴): an image with
    edges has projections with |P(f)|² ~ f⁻³, and below f⁻⁵ once averaged over a detector pixel.  So the
    back-projection fills the corners of the image's Fourier square, beyond the detector's highest frequency, as an
    interpolating sum over pixels does and the adjoint of `RayTransform` does not; what lies beyond the square folds
    into it.
    Where ds < h, the average over a pixel is finished with a window of width √(h² - ds²).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.reconstruct.direct.back_projection import back_projection
    >>> A = ip.RayTransform((16, 16), np.arange(4.0), dtype="float64")
    >>> x = back_projection(A, np.ones(A.dimsd))     # each of the four projections adds 1
    >>> bool(abs(x[8, 8] - 4) < 0.1)
    True
    """
    cache = A._local.__dict__  # of this thread: what is below holds scratch memory
    if "back_projector" not in cache:
        cache["back_projector"] = _BackProjector(A)
    return cache["back_projector"].apply_adjoint(q)


class _BackProjector(RayTransform):
    """The adjoint of a `RayTransform` with its frequencies, weights and their reach changed."""

    def __init__(self, A: RayTransform) -> None:
        self.__dict__.update({k: v for k, v in A.__dict__.items() if k != "_local"})
        self._local = threading.local()  # type: ignore[assignment]  # a thread's own
        h = float(np.min(self._footprint()))
        self._set_frequencies(int(REACH * self.period * min(1.0, self.det_spacing / h)) + 1)

    def magnitudes(self) -> np.ndarray:
        ds, h = self.det_spacing, self._footprint()
        f = self._omega / (2 * np.pi)
        weight = 1.0 / (1.0 + (f / (1.0 / ds - f)) ** 4)
        if np.ndim(h):
            weight = weight * (f * h <= REACH)
        return weight * np.sinc(f * np.sqrt(np.maximum(h**2 - ds**2, 0.0)))

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        fft, fourier = backend.fft_module(y), self._fourier(y)
        for p, u in zip(y, out, strict=True):
            fourier.adjoint(self._periodic(fft.rfft(p, n=self.period, axis=1)), u)

    def _periodic(self, lines: Array) -> Array:
        """The first ``n_freq`` entries of the full FFT, of which rfft gave the first half."""
        beyond = self.n_freq - lines.shape[1]
        if beyond <= 0:
            return lines[:, : self.n_freq]
        last = self.period // 2 - 1  # entry period - k is the conjugate of entry k
        mirrored: Any = lines[:, last - beyond + 1 : last + 1][:, ::-1].conj()
        return backend.array_module(lines).concatenate([lines, mirrored], axis=1)


def fan_back_projection(A: FanBeamTransform, q: Array) -> Array:
    r"""Σ_β U⁻² q_β(a(X)) of filtered fan-beam projections ``q``, (B,) + A.dimsd, each weighted by its Δβ.

    U is the distance from the source relative to the centre's: along the central ray for a flat detector, of the pixel
    itself for a curved one.  Between detector pixels, linear interpolation: on the
    phantoms of ellipses it gives smaller errors than band-limited interpolation.
    """
    x = backend.array_module(q).empty((q.shape[0], *A.dims), dtype=q.dtype)
    hy, hx = A.pixel_widths
    if A.detector == "curved":
        backproject_curved(q, x, A._views_like(q), A.source_distance, A.turn)
        return x
    scale = A.source_distance * A.det_spacing / (hy * hx)
    backproject_weighted(q, x, A._views_like(q), scale)
    return x
