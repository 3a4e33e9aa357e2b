"""The transform that diagonalises a blur: A u = T* (k̂ ∘ T u), T the orthonormal real FFT or cosine transform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipbox import backend
from ipbox.backend import Array


@dataclass(frozen=True, eq=False)
class Diagonal:
    """T, orthonormal, and the eigenvalues k̂ of a blur in it.

    Attributes
    ----------
    kind : str
        ``"fft"`` (periodic boundary; half of the spectrum) or ``"dct"`` (reflective, symmetric kernel).
    dims : tuple of int
        Image shape.
    values : numpy.ndarray
        k̂, complex128 for the FFT and float64 for the cosine transform, on the host.
    counts : numpy.ndarray
        How often each coefficient counts: ‖u‖² = Σ counts |T u|²; 2 where half of a spectrum stands for both.
    frequencies : numpy.ndarray
        |ω| of each coefficient, in radians per pixel.
    """

    kind: str
    dims: tuple[int, ...]
    values: np.ndarray
    counts: np.ndarray
    frequencies: np.ndarray

    def forward(self, u: Array) -> Array:
        """T u over the last axes."""
        fft, axes = backend.fft_module(u), tuple(range(-len(self.dims), 0))
        return fft.rfftn(u, axes=axes, norm="ortho") if self.kind == "fft" else fft.dctn(u, axes=axes, norm="ortho")

    def inverse(self, c: Array) -> Array:
        """T* c."""
        fft, axes = backend.fft_module(c), tuple(range(-len(self.dims), 0))
        if self.kind == "fft":
            return fft.irfftn(c, s=self.dims, axes=axes, norm="ortho")
        return fft.idctn(c, axes=axes, norm="ortho")


def periodic(kernel: np.ndarray, dims: tuple[int, ...]) -> Diagonal:
    """The Fourier diagonalisation of the convolution with periodic boundary."""
    from scipy.fft import fftfreq, rfftfreq, rfftn

    from ipbox.operators.images.convolution import wrapped

    values = rfftn(wrapped(kernel, dims))
    counts = np.full(values.shape, 2.0)
    counts[..., 0] = 1.0
    if dims[-1] % 2 == 0:
        counts[..., -1] = 1.0
    f = [fftfreq(n) for n in dims[:-1]] + [rfftfreq(dims[-1])]
    return Diagonal("fft", dims, values, counts, 2 * np.pi * _length(f))


def reflective(kernel: np.ndarray, dims: tuple[int, ...]) -> Diagonal:
    """The cosine diagonalisation for a kernel symmetric along each axis: k̂(ω) = Σ_m k_m Π_a cos(m_a ω_a)."""
    values = kernel
    for axis, n in enumerate(dims):
        m = np.arange(kernel.shape[axis]) - kernel.shape[axis] // 2
        cosines = np.cos(np.outer(np.pi * np.arange(n) / n, m))  # ω = π j / n
        values = np.moveaxis(np.tensordot(cosines, values, axes=(1, axis)), 0, axis)
    f = [np.arange(n) / (2 * n) for n in dims]
    return Diagonal("dct", dims, values, np.ones(dims), 2 * np.pi * _length(f))


def _length(f: list[np.ndarray]) -> np.ndarray:
    """|f| on the grid of the axes' frequencies ``f``."""
    return np.sqrt(sum(g**2 for g in np.meshgrid(*f, indexing="ij")))
