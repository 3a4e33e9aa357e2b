"""Convolution with a fixed kernel for each way to continue an image beyond its edge: direct sums or real FFTs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.held import HeldArray

BOUNDARIES = ("periodic", "reflective", "zero")
_PAD = {"periodic": "wrap", "reflective": "symmetric", "zero": "constant"}

Widths = list[tuple[int, int]]  # (before, after) for each axis


def extend(x: Array, widths: Widths, boundary: str) -> Array:
    """E x: every image of the batch ``x`` continued by ``widths`` pixels beyond its edges; always a new array."""
    return backend.array_module(x).pad(x, [(0, 0), *widths], mode=_PAD[boundary])


def fold(z: Array, widths: Widths, boundary: str) -> Array:
    """E* z, the adjoint of `extend`: what lies beyond the edge is added to the pixels it was copied from."""
    for axis, (before, after) in enumerate(widths, start=1):
        z = backend.array_module(z).moveaxis(z, axis, 1)
        n = z.shape[1] - before - after
        left, middle, right = z[:, :before], z[:, before : before + n].copy(), z[:, before + n :]
        if boundary == "reflective":
            middle[:, :before] += left[:, ::-1]
            middle[:, n - after :] += right[:, ::-1]
        elif boundary == "periodic":
            middle[:, n - before :] += left
            middle[:, :after] += right
        z = backend.array_module(z).moveaxis(middle, 1, axis)
    return z


def reach(kernel_shape: tuple[int, ...]) -> Widths:
    """How far a kernel centred at K // 2 reads beyond the edges: K - 1 - K // 2 before and K // 2 after."""
    return [(k - 1 - k // 2, k // 2) for k in kernel_shape]


def is_symmetric(kernel: np.ndarray) -> bool:
    """Whether k(-i) = k(i) along each axis by itself (to rounding); then reflection makes it diagonal in the DCT."""
    tolerance = 64 * np.finfo(np.float64).eps * np.abs(kernel).max()
    odd = all(k % 2 for k in kernel.shape)
    return odd and all(np.abs(kernel - np.flip(kernel, a)).max() <= tolerance for a in range(kernel.ndim))


class SpectralConvolution:
    """C E with E of `extend` and C a circular convolution by real FFTs, for one kernel or a stack of them.

    The lengths are those of the image where it is periodic and they are fast; else it is padded to fast ones, by
    zeros (one gap serves both edges) or by the image's own continuation.

    Parameters
    ----------
    dims : tuple of int
    kernels : array, stack + K
        Centred at K // 2.
    boundary : str
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, dims: tuple[int, ...], kernels: np.ndarray, boundary: str, dtype: Any) -> None:
        from scipy.fft import next_fast_len, rfftn

        shape = kernels.shape[kernels.ndim - len(dims) :]
        self.boundary = boundary
        self.widths = [(0, 0)] * len(dims)
        lengths = [n + (0 if boundary == "periodic" else max(w)) for n, w in zip(dims, reach(shape), strict=True)]
        last = len(dims) - 1
        fast = [next_fast_len(n, real=a == last) for a, n in enumerate(lengths)]
        if boundary == "reflective" or (boundary == "periodic" and fast != lengths):
            self.widths = reach(shape)
            lengths = [n + sum(w) for n, w in zip(dims, self.widths, strict=True)]
            fast = [next_fast_len(n, real=a == last) for a, n in enumerate(lengths)]
        self.lengths = tuple(fast)
        self.crop = (..., *(slice(b, b + n) for n, (b, _) in zip(dims, self.widths, strict=True)))
        self.extended = (..., *(slice(n + sum(w)) for n, w in zip(dims, self.widths, strict=True)))
        self.axes = tuple(range(-len(dims), 0))
        spectra = rfftn(wrapped(kernels, self.lengths), axes=self.axes)
        self.spectra = HeldArray(spectra.astype(backend.complex_dtype(dtype)))

    def transform(self, x: Array) -> Array:
        """The real FFT of E x."""
        z = extend(x, self.widths, self.boundary) if any(map(any, self.widths)) else x
        return backend.fft_module(x).rfftn(z, s=self.lengths, axes=self.axes)

    def transform_adjoint(self, z_hat: Array) -> Array:
        """E* of the inverse real FFT."""
        z = backend.fft_module(z_hat).irfftn(z_hat, s=self.lengths, axes=self.axes)[self.extended]
        return fold(z, self.widths, self.boundary) if any(map(any, self.widths)) else z

    def inverse(self, z_hat: Array) -> Array:
        """The inverse real FFT on the pixels of the image."""
        return backend.fft_module(z_hat).irfftn(z_hat, s=self.lengths, axes=self.axes)[self.crop]

    def inverse_adjoint(self, y: Array) -> Array:
        """The real FFT of ``y`` at the place of the image, zero elsewhere."""
        if any(map(any, self.widths)):
            xp = backend.array_module(y)
            z = xp.zeros((len(y), *self.lengths), dtype=y.dtype)
            z[self.crop] = y
            y = z
        return backend.fft_module(y).rfftn(y, s=self.lengths, axes=self.axes)

    def convolve(self, x: Array, out: Array) -> None:
        """out <- k * x for a batch (one kernel)."""
        z_hat = self.transform(x)
        z_hat *= self.spectra.like(x)
        out[...] = self.inverse(z_hat)

    def convolve_adjoint(self, y: Array, out: Array) -> None:
        """out <- the adjoint of `convolve`."""
        z_hat = self.inverse_adjoint(y)
        z_hat *= self.spectra.like(y).conj()
        out[...] = self.transform_adjoint(z_hat)


def wrapped(kernels: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
    """Kernels (stack + K) on a periodic grid of ``lengths``, their centres K // 2 at the origin."""
    stack = kernels.shape[: kernels.ndim - len(lengths)]
    shape = kernels.shape[len(stack) :]
    z = np.zeros((*stack, *lengths))
    z[(..., *(slice(k) for k in shape))] = kernels
    return np.roll(z, [-(k // 2) for k in shape], axis=tuple(range(-len(lengths), 0)))


class DirectConvolution:
    """The same for one kernel by direct sums on the CPU: faster where few weights are not zero."""

    def __init__(self, kernel: np.ndarray, boundary: str) -> None:
        self.kernel, self.boundary = kernel, boundary
        self.flipped = np.ascontiguousarray(np.flip(kernel))
        self.widths = reach(kernel.shape)

    def convolve(self, x: np.ndarray, out: np.ndarray) -> None:
        """out <- k * x for a batch."""
        from ipbox.kernels.products.correlation import correlate

        correlate(extend(x, self.widths, self.boundary), self.flipped, out)

    def convolve_adjoint(self, y: np.ndarray, out: np.ndarray) -> None:
        """out <- the adjoint of `convolve`."""
        from ipbox.kernels.products.correlation import correlate

        if self.boundary != "reflective":  # the adjoint continues its image in the same way
            swapped = [(after, before) for before, after in self.widths]
            correlate(extend(y, swapped, self.boundary), self.kernel, out)
            return
        full = [(k - 1, k - 1) for k in self.kernel.shape]
        z = np.empty((len(y), *(n + k - 1 for n, k in zip(y.shape[1:], self.kernel.shape, strict=True))), y.dtype)
        correlate(extend(y, full, "zero"), self.kernel, z)
        out[...] = fold(z, self.widths, "reflective")


def taps(kernel: np.ndarray) -> int:
    """Number of weights that are not zero."""
    return int(np.count_nonzero(kernel))
