"""Smoothed total variation."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import Functional, Work, buffer
from ipbox.functionals.total_variation.image_gradient import ImageGradient

THIRD = 48 / (25 * math.sqrt(5))  # max of 3t/(t² + 1)^{5/2}, at t = 1/2


class SmoothedTV(Functional):
    r"""Total variation with a smoothed modulus, twice differentiable.

    .. math:: R(u) = V \sum_i \sqrt{|(∇u)_i|^2 + ν^2}

    ∇, |·| and V as for `TV`; no prox.

    Parameters
    ----------
    dims : tuple of int
        Image shape, one to three axes, after that of the channels where there are some.
    eps : float
        ν > 0, in units of ∇u: differences well below are squared, well above as in total variation.
    spacing : float or tuple of float, optional
        Voxel size of every axis; pixel units where not given.
    channels : bool
        The first axis of ``dims`` counts channels, which share their edges.

    Notes
    -----
    ∇R(u) = V ∇*(∇u/s), s_i = (|(∇u)_i|² + ν²)^½, with Lipschitz constant V‖∇‖²/ν; that of the Hessian is at
    most 48/(25√5) V‖∇‖² (Σ_k h_k⁻² + max_k h_k⁻²)^½/ν², h the voxel sizes.

    Raises
    ------
    ValueError, TypeError
        for other dims or spacings, or ν that is not positive.

    References
    ----------
    Acar and Vogel, Inverse Problems 10 (1994); Vogel and Oman, SIAM J. Sci. Comput. 17 (1996).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f, u = ip.SmoothedTV((2, 2), eps=0.75), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> f.value(u), f.grad(u).tolist()
    (4.0, [[-0.8, 0.8], [-0.8, 0.8]])
    """

    has_grad = True

    def __init__(self, dims: tuple[int, ...], eps: float, spacing: Any = None, channels: bool = False) -> None:
        self.gradient = ImageGradient(dims, spacing, channels)
        if not isinstance(eps, numbers.Real) or not 0 < eps < math.inf:
            raise ValueError(f"eps is {eps!r}; expected a positive number")
        self.eps = float(eps)
        super().__init__(self.gradient.dims)
        self._L = self.gradient.factor * self.gradient.norm**2 / self.eps
        # third derivatives of (|p|² + ν²)^½ are at most THIRD/ν², and u ↦ (∇u)_i has at most the norm ``pixel``
        inverse = [h**-2 for h in self.gradient.spacing or (1.0,) * self.gradient.ndim]
        pixel = math.sqrt(sum(inverse) + max(inverse))
        self._hessian_lipschitz = THIRD * self._L * pixel / self.eps

    def _value(self, x: Array, batch: bool) -> Any:
        xp = backend.array_module(x)
        x = x.reshape((-1, *self.dims)).astype(np.complex128 if x.dtype.kind == "c" else np.float64)
        p = self.gradient.forward(xp.ascontiguousarray(x), xp.empty((len(x), *self.gradient.field_dims), dtype=x.dtype))
        values = self.gradient.factor * backend.reduce_sum(self._s(p), True)
        return values if batch else float(values.sum())

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        p = self._field(x, "p", work)
        p *= self.gradient.factor / self._s(p)
        self.gradient.adjoint(p, out, False)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        """out <- V ∇*(w/s - p Re<p, w>/s³) with p = ∇x, w = ∇v."""
        p, w = self._field(x, "p", work), self._field(v, "w", work)
        s = self._s(p)
        axes = (-(self.gradient.ndim + 1),) + ((-(self.gradient.ndim + 2),) if self.gradient.channels else ())
        inner = (p.conj() * w).real.sum(axis=axes, keepdims=True)
        inner /= s**2
        w -= p * inner
        w *= self.gradient.factor / s
        self.gradient.adjoint(w, out, False)

    def hessian_variation(self, q: Array) -> np.ndarray:
        """T = THIRD V‖∇‖²/ν² max_i |(∇q)_i|, the third derivatives being sums over the pixels."""
        largest = self.gradient.modulus(self._field(q, "q", None), True).reshape(len(q), -1).max(axis=1)
        local = abs(self.weight) * THIRD * self._L / self.eps * backend.to_host(largest).astype(np.float64)
        return np.minimum(local, super().hessian_variation(q))

    def _field(self, x: Array, key: str, work: Work) -> Array:
        """∇x in the scratch ``work[key]``."""
        batch = x.shape[: x.ndim - len(self.dims)]
        x = backend.array_module(x).ascontiguousarray(x)
        return self.gradient.forward(x, buffer(work, key, x, batch + self.gradient.field_dims))

    def _s(self, p: Array) -> Array:
        """s = (|p|² + ν²)^½, with the axes of the field."""
        size = self.gradient.modulus(p, True)
        size *= size
        size += self.eps**2
        return backend.array_module(p).sqrt(size)
