"""Finite differences."""

from __future__ import annotations

import math
from typing import Any

from ipbox import kernels
from ipbox.backend import Array
from ipbox.operators.base import Operator, check_dims


class Gradient(Operator):
    """Forward differences ∇ with Neumann boundary, in pixel units.

    (∇u)_a[i] = u[i + e_a] - u[i], and 0 at the last index of axis a; the adjoint is -div.

    Parameters
    ----------
    dims : tuple of int
        Image shape, two or three axes.
    dtype : dtype
        float32 or float64.

    Notes
    -----
    Data shape: (len(dims),) + dims.  The norm is exact: ||∇||² = Σ_a 4 cos²(π / (2 n_a)).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> D = ip.Gradient((2, 3), dtype="float64")
    >>> D.apply(np.array([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]))[1]
    array([[1., 2., 0.],
           [1., 2., 0.]])
    """

    def __init__(self, dims: tuple[int, ...], dtype: Any = "float32") -> None:
        dims = check_dims(dims, "dims")
        if len(dims) not in (2, 3):
            raise ValueError(f"dims is {dims}; Gradient expects two or three axes")
        super().__init__(dims, (len(dims),) + dims, dtype, name="∇")
        if self.dtype_in.kind == "c":
            raise TypeError(f"dtype is {self.dtype_in}; Gradient expects float32 or float64")

    def _apply(self, x: Array, out: Array) -> None:
        kernels.gradient(x, out, ndim=len(self.dims))

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        kernels.gradient_adjoint(y, out, ndim=len(self.dims))

    def _compute_norm(self) -> tuple[float, str]:
        return math.sqrt(sum(4 * math.cos(math.pi / (2 * n)) ** 2 for n in self.dims)), "exact"
