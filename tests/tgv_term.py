"""Second-order total generalised variation as a dual term: it has a primal block v of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend, kernels
from ipbox.backend import Array
from ipbox.functionals import DualTerm, Functional
from ipbox.functionals.base import Work, buffer


class TGV(Functional, DualTerm):
    """TGV(u) = min_v α1 ‖∇u - v‖_{2,1} + α0 ‖E v‖_{2,1} of 2-D images, E the symmetrised derivative.

    ∇ are forward differences; ∇u - v is taken where they exist (not at the last index of an axis), so that affine
    images are free.  The dual variable holds p (2 components) and q = (q_00, q_11, √2 q_01), whose Euclidean length
    is the Frobenius norm.

    References
    ----------
    Bredies, Kunisch and Pock, SIAM J. Imaging Sci. 3 (2010).
    """

    def __init__(self, dims: tuple[int, int], alpha1: float, alpha0: float) -> None:
        self.alpha1, self.alpha0 = float(alpha1), float(alpha0)
        super().__init__(dims)
        self.aux = ((2,) + dims,)

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return (5,) + self.dims

    def as_dual(self, like: Any) -> TGV:
        return self

    def term_norm(self) -> float:
        """A bound: the norm of ((‖∇‖, 1), (0, ‖E‖)), with ‖∇‖² and ‖E‖² below 8."""
        return math.sqrt((17 + math.sqrt(17**2 - 4 * 64)) / 2)

    def forward(self, u: Array, v: Array, work: Work) -> Array:
        """K(u, v) = (∇u - v, E v)."""
        lead = u.shape[:-2]
        out = buffer(work, "K", u, lead + self.dual_dims)
        gradient = buffer(work, "gradient", u, lead + (2,) + self.dims)
        kernels.gradient(u, gradient, ndim=2)
        gradient -= v
        out[..., 0, :, :], out[..., 1, :, :] = gradient[..., 0, :, :], gradient[..., 1, :, :]
        out[..., 0, -1, :] = out[..., 1, :, -1] = 0
        jacobian = buffer(work, "jacobian", u, lead + (2, 2) + self.dims)
        kernels.gradient(v, jacobian, ndim=2)  # [..., i, a] = ∂_a v_i
        out[..., 2, :, :], out[..., 3, :, :] = jacobian[..., 0, 0, :, :], jacobian[..., 1, 1, :, :]
        out[..., 4, :, :] = jacobian[..., 0, 1, :, :] + jacobian[..., 1, 0, :, :]
        out[..., 4, :, :] *= 0.5**0.5
        return out

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        xp, k = backend.array_module(y), self.forward(*x_bar, work)
        k *= sigma
        y += k
        for part, radius in ((y[..., :2, :, :], self.alpha1), (y[..., 2:, :, :], self.alpha0)):
            part /= xp.maximum(xp.sqrt((part**2).sum(axis=-3, keepdims=True)) / radius, 1)

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        lead = y.shape[:-3]
        p = buffer(work, "p", y, lead + (2,) + self.dims)
        p[...] = y[..., :2, :, :]
        kernels.gradient_adjoint(p, out[0], ndim=2, add=add)
        rows = buffer(work, "rows", y, lead + (2, 2) + self.dims)
        rows[..., 0, 0, :, :], rows[..., 1, 1, :, :] = y[..., 2, :, :], y[..., 3, :, :]
        rows[..., 0, 1, :, :] = rows[..., 1, 0, :, :] = y[..., 4, :, :]
        rows[..., 0, 1, :, :] *= 0.5**0.5
        rows[..., 1, 0, :, :] *= 0.5**0.5
        kernels.gradient_adjoint(rows, out[1], ndim=2)
        p[..., 0, -1, :] = p[..., 1, :, -1] = 0
        out[1] -= p

    def term_value(self, x: list[Array], batch: bool) -> Any:
        """The value at (u, v): an upper bound of TGV(u), reached at the best v."""
        k = self.forward(*x, None)
        xp, total = backend.array_module(k), 0.0
        for part, alpha in ((k[..., :2, :, :], self.alpha1), (k[..., 2:, :, :], self.alpha0)):
            total += alpha * backend.reduce_sum(xp.sqrt((part**2).sum(axis=-3)), batch)
        return total

    def dual_value(self, y: Array, batch: bool) -> Any:
        return np.zeros(y.shape[0]) if batch else 0.0
