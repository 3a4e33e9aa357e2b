"""Blur whose point-spread function varies over the image, as a sum of products and convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_dims
from ipbox.operators.core.base import Operator, check_real
from ipbox.operators.core.held import HeldArray, host_array
from ipbox.operators.core.norms import golub_kahan
from ipbox.operators.core.positive import nonnegative_norm
from ipbox.operators.images.blur import check_boundary, check_kernel
from ipbox.operators.images.convolution import SpectralConvolution


class VaryingBlur(Operator):
    r"""Spatially varying blur A u = Σ_i k_i * (w_i u).

    A point at pixel j is spread by the interpolated kernel Σ_i w_i(j) k_i: the weights act before the convolution, so
    that no light is lost where they sum to 1.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    kernels : array, shape (M,) + K
        Point-spread functions k_i, centred at K // 2, real, sizes up to those of the image.
    weights : array, shape (M,) + dims
        w_i, real; `interpolation_weights` makes them for a grid of kernels.
    boundary : str
        ``"periodic"``, ``"reflective"`` or ``"zero"``, as in `Blur`; here it is w_i u that is continued.
    dtype : dtype
        float32 or float64.

    Notes
    -----
    M + 1 real FFTs for each of A and A*, done as a batch; the kernels' transforms are kept.  The norm is a certified
    bound where kernels and weights are not negative and one is found within 4 per cent, else an estimate.

    Raises
    ------
    ValueError
        for kernels that are empty, zero, not finite or larger than the image, weights of another shape, or an unknown
        boundary.
    TypeError
        for kernels or weights that are not real, or a complex dtype.

    References
    ----------
    Nagy and O'Leary, Restoring images degraded by spatially variant blur, SIAM J. Sci. Comput. 19 (1998); Escande and
    Weiss, Approximation of integral operators using product-convolution expansions, J. Math. Imaging Vis. 58 (2017).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.operators.images.psf import gaussian_psf
    >>> from ipbox.operators.images.varying_blur import interpolation_weights
    >>> kernels = np.stack([gaussian_psf(s, size=9) for s in (0.5, 1.0, 1.5, 2.0)])
    >>> A = ip.VaryingBlur((32, 32), kernels, interpolation_weights((32, 32), (2, 2)), dtype="float64")
    >>> u = np.zeros((32, 32))
    >>> u[16, 16] = 1.0
    >>> round(float(A.apply(u).sum()), 6)
    1.0
    """

    def __init__(
        self, dims: tuple[int, ...], kernels: Array, weights: Array, boundary: str = "periodic", dtype: Any = "float32"
    ) -> None:
        dims = check_dims(dims, "dims")
        self.boundary = check_boundary(boundary)
        if not backend.is_array(kernels) or kernels.ndim != len(dims) + 1 or not len(kernels):
            what = f"has shape {kernels.shape}" if backend.is_array(kernels) else f"is {type(kernels).__name__}"
            raise ValueError(f"kernels {what}; expected an array of {len(dims) + 1} axes, the first for the kernels")
        self.kernels = np.stack([check_kernel(k, dims, f"kernels[{i}]") for i, k in enumerate(kernels)])
        super().__init__(dims, dims, check_real(dtype, "VaryingBlur"), name="VaryingBlur")
        shape = (len(self.kernels), *dims)
        self.weights = host_array(weights, "weights", f"an array of shape {shape}")
        if self.weights.shape != shape:
            raise ValueError(f"weights has shape {self.weights.shape}; expected {shape}, one image for each kernel")
        self._spectral = SpectralConvolution(dims, self.kernels, boundary, self.dtype_in)
        self._weights = HeldArray(self.weights.astype(self.dtype_in))

    def _apply(self, x: Array, out: Array) -> None:
        weights, spectra = self._weights.like(x), self._spectral.spectra.like(x)
        for u, v in zip(x, out, strict=True):
            z_hat = self._spectral.transform(weights * u)
            z_hat *= spectra
            v[...] = self._spectral.inverse(z_hat.sum(axis=0))

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        weights, spectra = self._weights.like(y), self._spectral.spectra.like(y)
        for v, u in zip(y, out, strict=True):
            z_hat = spectra.conj()
            z_hat *= self._spectral.inverse_adjoint(v[None])
            z = self._spectral.transform_adjoint(z_hat)
            u[...] = (weights * z).sum(axis=0)

    def _compute_norm(self) -> tuple[float, str]:
        double = VaryingBlur(tuple(self.dims), self.kernels, self.weights, self.boundary, "float64")
        if (self.kernels >= 0).all() and (self.weights >= 0).all():
            return nonnegative_norm(double)
        return 1.02 * golub_kahan(double), "estimate"


def interpolation_weights(dims: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Weights that interpolate (multi-)linearly between kernels on a grid, w_i >= 0 and Σ_i w_i = 1 in every pixel.

    The image is cut into ``grid`` equal cells, one kernel in the middle of each; a weight falls from 1 at its own
    middle to 0 at the next ones, and is constant from the outermost middles to the edge.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    grid : tuple of int
        Number of kernels along each axis.

    Returns
    -------
    numpy.ndarray
        Shape (number of kernels,) + dims, float64; the kernels in the order of `numpy.ndindex` of ``grid``.

    Raises
    ------
    ValueError
        for a grid with more kernels than pixels along an axis.

    Examples
    --------
    >>> from ipbox.operators.images.varying_blur import interpolation_weights
    >>> interpolation_weights((4,), (2,))
    array([[1.  , 0.75, 0.25, 0.  ],
           [0.  , 0.25, 0.75, 1.  ]])
    """
    dims, grid = check_dims(dims, "dims"), check_dims(grid, "grid")
    if len(grid) != len(dims) or any(g > n for g, n in zip(grid, dims, strict=False)):
        raise ValueError(f"grid is {grid}; expected one number for each axis of {dims}, at most its pixels")
    w = np.ones(1)
    for n, g in zip(dims, grid, strict=True):
        position = np.clip((np.arange(n) + 0.5) * (g / n) - 0.5, 0, g - 1)  # in units of cells
        axis = np.maximum(1 - np.abs(position - np.arange(g)[:, None]), 0)
        w = np.multiply.outer(w, axis)  # (..., g, n)
    w = w[0]
    order = (*range(0, 2 * len(dims), 2), *range(1, 2 * len(dims), 2))
    return np.ascontiguousarray(w.transpose(order).reshape(-1, *dims))


def node_positions(dims: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Where the kernels of `interpolation_weights` sit, in pixels: shape (number of kernels, number of axes)."""
    index = np.stack(np.unravel_index(np.arange(int(np.prod(grid))), grid), axis=1)
    return (index + 0.5) * (np.array(dims) / np.array(grid)) - 0.5
