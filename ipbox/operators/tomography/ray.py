"""The parallel-beam ray transform by a non-uniform FFT (Fourier slice theorem)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.operators.core.base import Operator
from ipbox.operators.core.held import Local
from ipbox.operators.fourier.nonuniform import NonuniformFFT
from ipbox.operators.fourier.nonuniform_real import RealNonuniformFFT
from ipbox.operators.tomography.geometry import Projector
from ipbox.operators.tomography.ray_normal import RayNormal, normal_norm


class RayTransform(Projector):
    r"""Parallel-beam ray transform A of a 2-D image.

    .. math:: (A u)(θ, s) = \int u(s \cos θ - t \sin θ,\; s \sin θ + t \cos θ)\, dt

    Computed by the Fourier slice theorem: a non-uniform FFT (FINUFFT; cuFINUFFT for CuPy) gives the image's Fourier
    transform on the lines ω(cos θ, sin θ), and an inverse FFT along each line gives the projection.

    Parameters
    ----------
    dims : (ny, nx)
        Image shape.
    angles : array of float
        θ in radians, any number in any order.
    n_det : int, optional
        Detector pixels; by default they cover the image's diagonal.
    det_spacing : float, optional
        Detector pixel width ds, in the units of ``pixel_size``; by default equal to it.
    det_shift : float or array
        Position of the detector's centre on the s axis, in the same units; a vector has one for each view (jitter).
    pixel_size : float or (float, float)
        Width h of square pixels, or (h_y, h_x) of rectangular ones; the line integrals are in its units.
    dtype : dtype
        float32 or float64.
    eps : float, optional
        Tolerance of the non-uniform FFT (1e-4 for float32, 1e-9 for float64).
    image_centre : (float, float)
        (y, x) of the image's centre, where the axis of rotation is not there; in the same units.

    Notes
    -----
    Geometry: x points right and y up (row 0 has the largest y), pixel centres x_j = x_0 + (j - (nx-1)/2) h_x and
    y_i = y_0 + ((ny-1)/2 - i) h_y with (y_0, x_0) = ``image_centre``, detector centres s_k = (k - (n_det-1)/2) ds +
    det_shift.  Data shape: (len(angles), n_det).

    Discretisation: u_ij is the average of the image over pixel (i, j), a reading is the average of the line
    integrals over a detector pixel.  Pixel averaging already smooths by a footprint of width h in every direction;
    widths add in quadrature, so what is left to apply is a window of width √(ds² - h²) where ds > h.  Frequencies
    beyond the image's own (|ω| > π/h) and the detector's (|ω| > π/ds) are dropped.  A rectangular pixel is as wide as
    h² = h_x² cos² θ + h_y² sin² θ.  The FFT along s is padded to the
    object's reach, so a truncated or shifted detector sees no wrap-around.

    ``A.apply_adjoint`` is the adjoint to rounding.  `normal` gives A*A by its Toeplitz kernel.

    A stack of slices is a batch, (n_slices, ny, nx): 3-D parallel beam.

    Raises
    ------
    ValueError
        for an empty ``angles``, values that look like degrees, or a size that is not positive.

    References
    ----------
    Natterer, The Mathematics of Computerized Tomography, SIAM 2001; Barnett, Magland and af Klinteberg, A parallel
    nonuniform fast Fourier transform library, SIAM J. Sci. Comput. 41 (2019).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.RayTransform((64, 64), np.linspace(0, np.pi, 30, endpoint=False), dtype="float64")
    >>> p = A.apply(np.ones((64, 64)))          # at θ = 0 the rays through the middle are 64 pixels long
    >>> bool(abs(p[0, p.shape[1] // 2] - 64) < 0.5)
    True
    """

    kept = (*Projector.kept, "eps")

    def __init__(
        self,
        dims: tuple[int, int],
        angles: Any,
        n_det: int | None = None,
        det_spacing: float | None = None,
        det_shift: float | Array = 0.0,
        pixel_size: float | tuple[float, float] = 1.0,
        dtype: Any = "float32",
        eps: float | None = None,
        *,
        image_centre: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.eps = None if eps is None else check_positive(eps, "eps")
        super().__init__(dims, angles, n_det, det_spacing, det_shift, pixel_size, dtype, image_centre=image_centre)

    def _place(self, dims: tuple[int, int], angles: np.ndarray, dtype: np.dtype) -> None:
        super()._place(dims, angles, dtype)
        ds, reach, shift = self.det_spacing, self.reach, float(np.abs(self.det_shift).max())
        half = 0.5 * (self.n_det - 1) * ds + shift
        self.covers = bool(0.5 * self.n_det * ds - shift >= reach - 1e-9 * reach)
        self.period = _even_fast_length(max((reach + half) / ds + 2, self.n_det))
        # frequencies ω_k = 2π k / (period ds), up to the image's Nyquist π/h and the detector's π/ds
        h = float(np.min(self._footprint()))
        self._set_frequencies(min(self.period // 2, int(self.period * ds / (2 * h)) + 1))
        self._local = Local()

    def _set_frequencies(self, n: int) -> None:
        self.n_freq = n
        self._omega = 2 * np.pi * np.arange(n) / (self.period * self.det_spacing)
        ox, oy = self._phases()
        self.points = [p.ravel() for p in (-oy, ox)]
        if max(np.abs(p).max() for p in self.points) > np.pi * (1 + 1e-9):
            self.points = [np.mod(p + np.pi, 2 * np.pi) - np.pi for p in self.points]

    def _phases(self) -> tuple[np.ndarray, np.ndarray]:
        """Phase advance per pixel along x, and along y (upwards), for every angle and frequency."""
        hy, hx = self.pixel_widths
        return hx * np.outer(np.cos(self.angles), self._omega), hy * np.outer(np.sin(self.angles), self._omega)

    def _footprint(self) -> Any:
        """√12 times the standard deviation of a pixel's projection: h, or for rectangles one for each angle."""
        hy, hx = self.pixel_widths
        return hx if hy == hx else np.hypot(hx * np.cos(self.angles), hy * np.sin(self.angles))[:, None]

    def magnitudes(self) -> np.ndarray:
        """What each frequency is multiplied by, but for shifts: h_x h_y/ds and the window; 0 beyond the image's own."""
        (hy, hx), ds, h = self.pixel_widths, self.det_spacing, self._footprint()
        window = np.sinc(self._omega * np.sqrt(np.maximum(ds**2 - h**2, 0.0)) / (2 * np.pi))
        if hy != hx:
            window = window * (self._omega * h <= np.pi * (1 + 1e-9))
        return hy * hx / ds * window

    def counts(self) -> np.ndarray:
        """Factors of rfft in the adjoint of irfft of length N: every frequency but 0 counts twice, over N."""
        counts = np.full(self.n_freq, 2.0 / self.period)
        counts[0] /= 2
        return counts

    # ------------------------------------------------------------ forward and adjoint

    def _apply(self, x: Array, out: Array) -> None:
        fft, fourier = backend.fft_module(x), self._fourier(x)
        for u, p in zip(x, out, strict=True):
            lines = fourier.forward(u)
            p[...] = fft.irfft(lines, n=self.period, axis=1)[:, : self.n_det]

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        fft, fourier = backend.fft_module(y), self._fourier(y)
        for p, u in zip(y, out, strict=True):
            fourier.adjoint(fft.rfft(p, n=self.period, axis=1)[:, : self.n_freq], u)

    def _fourier(self, like: Array) -> _Fourier:
        """The Fourier transform on every line, with the buffers of this thread and device."""
        cache = self._local.__dict__.setdefault("fourier", {})
        key = backend.is_device(like)
        if key not in cache:
            cache[key] = _Fourier(self, backend.array_module(like))
        return cache[key]

    # ------------------------------------------------------------ A*A and its norm

    def normal(self) -> Operator:
        """A*A by its Toeplitz kernel: two FFTs of the doubled image, whatever the number of angles.

        It is A*A of an endless detector, whereas `N` is that of the detector as it is.

        Raises
        ------
        ValueError
            for a detector that does not cover the image: then A*A is not Toeplitz.
        """
        return RayNormal(self)

    def _compute_norm(self) -> tuple[float, str]:
        """A certified bound where the detector covers the image and it is tight; else an estimate."""
        if not self.covers:
            return super()._compute_norm()
        square, kind = normal_norm(self, within=1.05**2)
        return math.sqrt(square), kind


class _Fourier:
    """The image's Fourier transform on the line of every angle, with the phases that put the detector in its place."""

    def __init__(self, ray: RayTransform, xp: Any) -> None:
        ny, nx = ray.dims
        ox, oy = ray._phases()
        # the NUFFT counts from index n // 2, the geometry from the axis
        (y0, x0), (hy, hx) = ray.image_centre, ray.pixel_widths
        phase = ray._omega * ray.positions()[..., :1]
        phase = phase - (nx // 2 - (nx - 1) / 2 + x0 / hx) * ox + (ny // 2 - (ny - 1) / 2 - y0 / hy) * oy
        weights = ray.magnitudes() * np.exp(1j * phase)
        dtype = backend.complex_dtype(ray.dtype_in)
        self.weights = xp.asarray(weights.astype(dtype))
        self.adjoint_weights = xp.asarray((weights.conj() * ray.counts()).astype(dtype))
        self.lines = xp.empty(weights.shape, dtype=dtype)
        nufft = RealNonuniformFFT if xp is np else NonuniformFFT
        self.nufft = nufft(ray.dims, ray.points, ray.dtype_in, ray.eps)
        self.real = xp is np

    def forward(self, u: Array) -> Array:
        """The Fourier transform of ``u`` on every line, in a buffer."""
        self.nufft.forward(u if self.real else u.astype(self.lines.dtype), out=self.lines.reshape(-1))
        self.lines *= self.weights
        return self.lines

    def adjoint(self, lines: Array, u: Array) -> None:
        """``u`` <- the adjoint of `forward`."""
        backend.array_module(lines).multiply(lines, self.adjoint_weights, out=self.lines)
        if self.real:
            self.nufft.adjoint(self.lines.reshape(-1), out=u)
        else:
            u[...] = self.nufft.adjoint(self.lines.reshape(-1)).real


def _even_fast_length(length: float) -> int:
    from scipy.fft import next_fast_len

    return 2 * next_fast_len(math.ceil(length / 2), real=True)
