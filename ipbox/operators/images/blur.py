"""Blur: convolution of an image with a point-spread function."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_dims, counted
from ipbox.operators.core.base import Operator, check_real
from ipbox.operators.core.held import HeldArray, host_array
from ipbox.operators.core.norms import golub_kahan
from ipbox.operators.core.positive import certified, nonnegative_norm
from ipbox.operators.images import diagonal
from ipbox.operators.images.convolution import (
    BOUNDARIES,
    DirectConvolution,
    SpectralConvolution,
    is_symmetric,
    taps,
    wrapped,
)
from ipbox.operators.images.diagonal import Diagonal
from ipbox.operators.images.psf import gaussian_samples

# With more weights that are not zero, FFTs are faster than direct sums (512 x 512, one and two threads).
DIRECT_TAPS = 200


class Blur(Operator):
    r"""Convolution of an image with a kernel, (A u)_i = Σ_m k_m u_{i + c - m}, centred at c = K // 2.

    Beyond its edges the image is continued periodically, by reflection (half-sample symmetric: ... u_1 u_0 | u_0 u_1
    ...), or by zeros.

    Parameters
    ----------
    dims : tuple of int
        Image shape, any number of axes.
    kernel : array, shape K
        Point-spread function with as many axes as the image, real, odd or even sizes up to those of the image; taken
        as it is (normalise it to sum 1 to keep the brightness, as those of `ipbox.operators.images.psf` are).
    boundary : str
        ``"periodic"``, ``"reflective"`` or ``"zero"``.
    dtype : dtype
        float32 or float64.

    Attributes
    ----------
    diagonal : Diagonal or None
        The transform that diagonalises A: the Fourier transform for periodic boundary, the cosine transform for
        reflective boundary and a kernel symmetric along each axis; None elsewhere.

    Notes
    -----
    The centre of an axis with K weights is index K // 2, as in `scipy.ndimage.convolve`: the middle one for odd K.
    On the CPU, kernels with up to 200 weights that are not zero are summed directly; others, and all on a GPU, go
    through real FFTs of good lengths with the kernel's transform kept.  The adjoint is exact for every kernel and
    boundary.  The norm is exact where A is diagonal; elsewhere it is a certified bound where one is found within 4 per
    cent (non-negative kernels), else an estimate.

    Raises
    ------
    ValueError
        for a kernel that is empty, zero, not finite, or larger than the image, or an unknown boundary.
    TypeError
        for a kernel that is not real, or a complex dtype.

    References
    ----------
    Hansen, Nagy and O'Leary, Deblurring Images: Matrices, Spectra, and Filtering, SIAM 2006, chapters 3 and 4.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Blur((3, 4), np.full((1, 3), 1 / 3), boundary="reflective", dtype="float64")
    >>> A.apply(np.array([[3.0, 0.0, 0.0, 9.0]] * 3))[0]
    array([2., 1., 3., 6.])
    >>> A.norm(), A.norm_kind
    (1.0, 'exact')
    """

    def __init__(
        self, dims: tuple[int, ...], kernel: Array, boundary: str = "periodic", dtype: Any = "float32"
    ) -> None:
        dims = check_dims(dims, "dims")
        self.boundary = check_boundary(boundary)
        self.kernel = check_kernel(kernel, dims)
        name = type(self).__name__
        super().__init__(dims, dims, check_real(dtype, name), name=name)
        if np.abs(self.kernel).max() > np.finfo(self.dtype_in).max:
            raise ValueError(f"kernel has weights beyond the range of {self.dtype_in}; expected smaller ones")
        self.diagonal = self._diagonal()
        self._direct = self._host_passes()

    def _diagonal(self) -> Diagonal | None:
        if self.boundary == "periodic":
            return diagonal.periodic(self.kernel, tuple(self.dims))
        if self.boundary == "reflective" and is_symmetric(self.kernel):
            return diagonal.reflective(self.kernel, tuple(self.dims))
        return None

    def _host_passes(self) -> list[DirectConvolution]:
        """Direct convolutions to be done one after the other on the CPU; none where FFTs are faster."""
        return [DirectConvolution(self.kernel, self.boundary)] if taps(self.kernel) <= DIRECT_TAPS else []

    @functools.cached_property
    def _spectral(self) -> SpectralConvolution:  # made twice where two threads come first: both are the same
        return SpectralConvolution(tuple(self.dims), self.kernel, self.boundary, self.dtype_in)

    def _apply(self, x: Array, out: Array) -> None:
        if backend.is_device(x) or not self._direct:
            self._spectral.convolve(x, out)
            return
        for step in self._direct:
            step.convolve(x, out)
            x = out

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        if backend.is_device(y) or not self._direct:
            self._spectral.convolve_adjoint(y, out)
            return
        for step in reversed(self._direct):
            step.convolve_adjoint(y, out)
            y = out

    @functools.cached_property
    def _squares(self) -> HeldArray:
        diagonal: Any = self.diagonal  # of operators that have one
        return HeldArray((np.abs(diagonal.values) ** 2).astype(self.dtype_in))

    def _apply_normal(self, x: Array, out: Array) -> None:
        if self.diagonal is None or (self._direct and not backend.is_device(x)):
            super()._apply_normal(x, out)
            return
        coefficients = self.diagonal.forward(x)
        coefficients *= self._squares.like(x)
        out[...] = self.diagonal.inverse(coefficients)

    def _compute_norm(self) -> tuple[float, str]:
        if self.diagonal is not None:
            return float(np.abs(self.diagonal.values).max()), "exact"
        bound = math.inf
        if self.boundary == "zero":  # a part of the circulant matrix on a grid without wrap-around
            lengths = tuple(n + k - 1 for n, k in zip(self.dims, self.kernel.shape, strict=True))
            bound = float(np.abs(np.fft.rfftn(wrapped(self.kernel, lengths))).max())
        double = Blur(tuple(self.dims), self.kernel, self.boundary, "float64")
        one_sign = (self.kernel >= 0).all() or (self.kernel <= 0).all()
        return nonnegative_norm(double, bound) if one_sign else certified(bound, golub_kahan(double))


class GaussianBlur(Blur):
    r"""Convolution with a sampled Gaussian, k_m ∝ exp(-Σ_a m_a² / (2 σ_a²)), as one pass along each axis.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    sigma : float or tuple of float
        Standard deviation σ in pixels, for all axes or for each; 0 leaves an axis alone.
    boundary : str
        ``"periodic"``, ``"reflective"`` or ``"zero"``.
    truncate : float
        The Gaussian is cut off at this many σ, to the nearest pixel, and normalised to sum 1.
    dtype : dtype
        float32 or float64.

    Notes
    -----
    `Blur` with the kernel `ipbox.operators.images.psf.gaussian_psf`, faster; see there for the rest.  It agrees with
    `scipy.ndimage.gaussian_filter` (modes wrap, reflect and constant), and is its own adjoint.

    Raises
    ------
    ValueError
        for a standard deviation that is negative or so wide that the kernel is larger than the image.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.GaussianBlur((32, 32), 2.0, boundary="reflective", dtype="float64")
    >>> bool(np.allclose(A.apply(np.ones((32, 32))), 1.0))
    True
    """

    def __init__(
        self,
        dims: tuple[int, ...],
        sigma: float | tuple[float, ...],
        boundary: str = "periodic",
        truncate: float = 4.0,
        dtype: Any = "float32",
    ) -> None:
        dims = check_dims(dims, "dims")
        self.sigma = tuple(sigma) if isinstance(sigma, tuple | list) else (sigma,) * len(dims)
        if len(self.sigma) != len(dims):
            raise ValueError(f"sigma is {sigma}; expected a number, or one for each of {counted(len(dims), 'axis')}")
        self._profiles = [gaussian_samples(s, truncate) for s in self.sigma]
        for s, p, n in zip(self.sigma, self._profiles, dims, strict=True):
            if p.size > n:
                raise ValueError(
                    f"sigma is {s} and needs a kernel of {counted(p.size, 'pixel')}; expected at most {n}, as dims"
                )
        super().__init__(dims, functools.reduce(np.multiply.outer, self._profiles), boundary, dtype)

    def _host_passes(self) -> list[DirectConvolution]:
        passes = []
        for axis, p in enumerate(self._profiles):
            if p.size > 1:
                shape = [1] * len(self._profiles)
                shape[axis] = p.size
                passes.append(DirectConvolution(p.reshape(shape), self.boundary))
        total = sum(p.size for p in self._profiles)
        return passes if passes and total <= DIRECT_TAPS else super()._host_passes()


# ---------------------------------------------------------------- checks


def check_boundary(boundary: str) -> str:
    """One of the three ways to continue an image."""
    return check_choice(boundary, "boundary", BOUNDARIES)


def check_kernel(kernel: Array, dims: tuple[int, ...], name: str = "kernel") -> np.ndarray:
    """``kernel`` as a float64 array on the host that nobody can write to."""
    kernel = host_array(kernel, name, f"an array with {len(dims)} axes")
    if kernel.ndim != len(dims) or kernel.size == 0:
        raise ValueError(f"{name} has shape {kernel.shape}; expected {counted(len(dims), 'axis')}, none of them empty")
    if any(k > n for k, n in zip(kernel.shape, dims, strict=True)):
        raise ValueError(f"{name} has shape {kernel.shape}; expected at most that of the image, {dims}")
    if not kernel.any():
        raise ValueError(f"{name} is zero everywhere; expected at least one weight that is not")
    return kernel
