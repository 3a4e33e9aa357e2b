"""Sampling: masks on the grid, chosen entries, and downsampling."""

from __future__ import annotations

import itertools
import math
import numbers
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_dims, check_flag, check_no_picture
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.held import HeldArray, host_array


class Mask(Operator):
    """Multiplication with a mask on the grid: (A u)_i = m_i u_i, as for inpainting.

    Parameters
    ----------
    mask : array of bool, or of real weights
        Of the image's shape; True, or a weight, where a pixel is measured.
    dtype : dtype
        float32, float64, complex64 or complex128; weights are rounded to its precision.

    Notes
    -----
    Self-adjoint; data have the image's shape.  The norm is exact: max |m_i|.  `Sampling` gives the measured values
    alone.

    Raises
    ------
    ValueError, TypeError
        for a mask that is zero everywhere, not finite, or neither bool nor real floating.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Mask(np.array([[True, False], [False, True]]), dtype="float64")
    >>> A.apply(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 0.],
           [0., 4.]])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, mask: Array, dtype: Any = "float32") -> None:
        mask = _check_mask(mask)
        super().__init__(mask.shape, mask.shape, dtype, name="Mask")
        self._weights = HeldArray(mask.astype(backend.real_dtype(dtype)))
        if not np.isfinite(self._weights.host).all() or not self._weights.host.any():
            raise ValueError(f"mask has entries beyond the range of {np.dtype(dtype)}; expected smaller ones")

    @property
    def mask(self) -> np.ndarray:
        """The mask as weights, on the host (a copy)."""
        return self._weights.host.copy()

    def _apply(self, x: Array, out: Array) -> None:
        backend.array_module(x).multiply(x, self._weights.like(x), out=out)

    _apply_adjoint = _apply  # type: ignore[assignment]  # its argument has another name

    def _apply_normal(self, x: Array, out: Array) -> None:
        self._apply(x, out)
        out *= self._weights.like(x)

    def _compute_norm(self) -> tuple[float, str]:
        return float(np.abs(self._weights.host).max()), "exact"


class Sampling(Operator):
    """The entries of u where a mask is True, in C order: A u = u[mask].

    Parameters
    ----------
    mask : array of bool
        Of the image's shape, True at m entries.
    dtype : dtype
        float32, float64, complex64 or complex128.

    Notes
    -----
    Data shape: (m,).  The adjoint puts the values back and zeros elsewhere; A A* = I and the norm is 1.

    Raises
    ------
    ValueError, TypeError
        for a mask that is False everywhere, or not bool.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Sampling(np.array([[True, False], [False, True]]), dtype="float64")
    >>> A.apply(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 4.])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, mask: Array, dtype: Any = "float32") -> None:
        mask = _check_mask(mask)
        if mask.dtype != bool:
            raise TypeError(f"mask has dtype {mask.dtype}; Sampling expects bool")
        self._indices = HeldArray(np.flatnonzero(mask))
        super().__init__(mask.shape, (self._indices.host.size,), dtype, name="Sampling")

    @property
    def mask(self) -> np.ndarray:
        """The mask, on the host (a new array)."""
        mask = np.zeros(math.prod(self.dims), dtype=bool)
        mask[self._indices.host] = True
        return mask.reshape(tuple(self.dims))

    def _apply(self, x: Array, out: Array) -> None:
        out[...] = x.reshape(x.shape[0], -1)[:, self._indices.like(x)]

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        out[...] = 0
        out.reshape(y.shape[0], -1)[:, self._indices.like(y)] = y

    def _compute_norm(self) -> tuple[float, str]:
        return 1.0, "exact"


class Downsampling(Operator):
    r"""Downsampling of each axis by a whole factor f_a: block averages, or every f_a-th entry.

    .. math:: (A u)_i = \frac{1}{\prod_a f_a} \sum_{0 \le k_a < f_a} u_{f i + k} \qquad\text{or}\qquad (A u)_i = u_{f i}

    Parameters
    ----------
    dims : tuple of int
        Image shape; each size a multiple of its factor.
    factor : int or tuple of int
        f, the same for every axis, or one for each.
    average : bool
        Block averages, as larger detector pixels measure; otherwise plain decimation, to be composed with a blur.
    dtype : dtype
        float32, float64, complex64 or complex128.

    Notes
    -----
    The norm is exact: 1/√(Π f_a) for averages, 1 for decimation.

    Raises
    ------
    ValueError, TypeError
        for a factor that is not a positive integer or does not divide its axis, or an ``average`` that is not bool.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Downsampling((2, 4), 2, dtype="float64")
    >>> A.apply(np.array([[1.0, 3.0, 0.0, 0.0], [5.0, 7.0, 0.0, 8.0]]))
    array([[4., 2.]])
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(
        self, dims: tuple[int, ...], factor: int | tuple[int, ...], average: bool = True, dtype: Any = "float32"
    ) -> None:
        dims = check_dims(dims, "dims")
        factors = check_dims(factor, "factor")
        factors = factors * len(dims) if isinstance(factor, numbers.Integral) else factors
        if len(factors) != len(dims) or any(n % f for n, f in zip(dims, factors, strict=True)):
            raise ValueError(f"factor is {factor}; expected a divisor of every size of dims, which is {dims}")
        self.factors, self.average = factors, check_flag(average, "average")
        super().__init__(dims, tuple(n // f for n, f in zip(dims, factors, strict=True)), dtype, name="Downsampling")
        offsets = itertools.product(*map(range, factors)) if average else [(0,) * len(dims)]
        # one strided view for each entry of a block: summing them is several times faster than a mean over short axes
        self._views = [(slice(None), *map(slice, k, [None] * len(k), factors)) for k in offsets]

    def _apply(self, x: Array, out: Array) -> None:
        first, *others = self._views
        out[...] = x[first]
        for view in others:
            out += x[view]
        if others:
            out *= 1.0 / len(self._views)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        if self.average:
            y = y * (1.0 / len(self._views))
        else:
            out[...] = 0
        for view in self._views:
            out[view] = y

    def _compute_norm(self) -> tuple[float, str]:
        return 1.0 / math.sqrt(len(self._views)), "exact"


def _check_mask(mask: Any) -> np.ndarray:
    """A new host array, bool or floating, finite, and not zero everywhere."""
    mask = host_array(mask, "mask", "a NumPy or CuPy array", "bf", "bool, or real floating weights", dtype=None)
    if mask.ndim == 0:
        raise ValueError("mask is a number; expected an array of the image's shape")
    if not mask.any():
        raise ValueError(f"mask of shape {mask.shape} is zero everywhere; expected at least one measured entry")
    return check_no_picture(mask)
