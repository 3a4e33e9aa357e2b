"""Sparsity of wavelet coefficients."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_axes, check_flag
from ipbox.functionals.core.base import Work
from ipbox.functionals.core.images import ImageFunctional, room
from ipbox.operators.images.wavelets import Wavelet


class WaveletL1(ImageFunctional):
    """‖Wu‖₁ of the wavelet coefficients, by default without those of the coarsest approximation; real or complex.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    wavelet : str
    levels : int, optional
        As in `Wavelet`.
    coarse : bool
        Whether the coarsest approximation counts too.
    axes : tuple of int, optional
        Those that are coupled, all by default; along the others the image is a stack, such as of slices or channels.

    Notes
    -----
    W is orthogonal, so prox_{τf}(x) = W* S_τ(Wx) with the soft threshold S_τ; f* is the indicator of |Wy| <= 1, and of
    zero in the coefficients that do not count.

    Raises
    ------
    ValueError
        as `Wavelet`.

    References
    ----------
    Donoho and Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika 81 (1994).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.WaveletL1((4, 4), "haar", levels=1)
    >>> round(f.value(np.ones((4, 4))), 9), round(f.value(np.eye(4)), 9)
    (0.0, 2.0)
    """

    dims: tuple[int, ...]
    _form = "‖W{u}‖₁"

    def __init__(
        self,
        dims: tuple[int, ...],
        wavelet: str = "db4",
        levels: int | None = None,
        coarse: bool = False,
        axes: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(dims)
        self.axes = check_axes(axes, len(self.dims))
        self.wavelet, self.coarse = wavelet, check_flag(coarse, "coarse")
        if not isinstance(wavelet, str):  # the next line hashes it
            raise ValueError(f"wavelet is {wavelet!r}; expected a name, such as 'db4'")
        self.levels = transform(self.dims, wavelet, levels, "float32", self.axes).levels

    def _transform(self, z: Array) -> Wavelet:
        return transform(self.dims, self.wavelet, self.levels, z.dtype.name, self.axes)

    def _coefficients(self, z: Array) -> tuple[Array, Array]:
        """Wz, and a view of those that do not count."""
        W = self._transform(z)
        c = W.apply(z)
        free = W.coefficients(c)[0]
        return c, free[:0] if self.coarse else free

    def _values(self, z: Array) -> np.ndarray:
        c, free = self._coefficients(z)
        free[...] = 0
        return backend.reduce_sum(abs(c), True) + 0.0 * backend.reduce_sum(abs(z), True)  # NaN also of what is free

    def _proxes(self, z: Array, t: Any) -> Array:
        xp = backend.array_module(z)
        c, free = self._coefficients(z)
        kept, size = free.copy(), abs(c)
        c *= xp.maximum(size - t, 0) / xp.where(size > 0, size, 1)
        free[...] = kept
        return self._transform(z).apply_adjoint(c)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = W* P(Wy): the projection on |Wy| <= λ, and on zero where coefficients do not count."""
        xp, z = backend.array_module(y), self._samples(y)
        c, free = self._coefficients(z)
        c /= xp.maximum(abs(c) / self.weight, 1)
        free[...] = 0
        out[...] = self._transform(z).apply_adjoint(c).reshape(out.shape)

    def _conjugates(self, z: Array, weight: float) -> np.ndarray:
        xp = backend.array_module(z)
        c, free = self._coefficients(z)
        rounding = weight * room(z, z[0].size)
        inside = xp.ones(len(z), dtype=bool)
        if len(free):
            inside = (abs(free).reshape((len(z), -1)) <= rounding).all(axis=1)
            free[...] = 0
        inside = inside & (abs(c).reshape((len(z), -1)) <= weight + rounding).all(axis=1)
        return np.where(backend.to_host(inside), 0.0, np.inf)


@functools.lru_cache(maxsize=32)
def transform(dims: tuple[int, ...], wavelet: str, levels: int | None, dtype: str, axes: tuple[int, ...]) -> Wavelet:
    """The transform of images of a dtype; it holds no image."""
    return Wavelet(dims, wavelet, levels, dtype, axes)
