"""Total generalised variation of second order."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import REAL_DTYPES, Functional, Work, buffer
from ipbox.functionals.core.composition import DualTerm
from ipbox.functionals.total_variation.tgv_prox import Geometry, denoise, least_value
from ipbox.kernels.tgv import front as kernels
from ipbox.operators.core.base import check_dims


class TGV(Functional, DualTerm):
    r"""Total generalised variation of second order, TGV(u) = min_v ‖∇u - v‖_{2,1} + β ‖E v‖_{2,1}.

    Edges cost what they do in TV, and affine pieces nothing: no staircases on ramps.

    Parameters
    ----------
    dims : tuple of int
        Image shape, two or three axes.
    beta : float
        β > 0, a length in the units of ``spacing``: α1 = λ and α0 = λβ in the usual notation.
    spacing : float or tuple of float, optional
        Voxel sizes; 1 by default (β and λ are then in pixel units).
    accuracy : float, optional
        `prox` ends when its duality gap certifies ‖p - prox(x)‖ <= accuracy ‖x‖; 2e-3 for float32 images and 1e-3 for
        float64 by default.
    value_accuracy : float
        `value`, which is a minimum over v, is at most this share too large.
    niter : int
        Bound on the iterations of `prox` and `value`, which warn where it was not enough.

    Notes
    -----
    ∇: forward differences, Neumann boundary; v_a exists where ∂_a u does, E v = (J + Jᵀ)/2 of backward differences of
    what exists, so affine images are free up to the boundary.  Dual: sup <u, ∇*p> over |q| <= β, p = E*q, |p| <= 1.
    A dual q is shrunk until |E*q| <= 1 holds, which makes the gap finite.  As a dual term it has the primal block v.
    `value` minimises over v in double precision, to a gap of 5e-6 of the value or 1e-8 of TV: on large images it takes
    as long as denoising does.

    References
    ----------
    Bredies, Kunisch and Pock, SIAM J. Imaging Sci. 3 (2010); Condat, J. Optim. Theory Appl. 158 (2013).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ramp = np.add.outer(np.arange(6.0), 2 * np.arange(5.0))
    >>> round(ip.TGV((6, 5)).value(ramp), 2), round(ip.TV((6, 5)).value(ramp), 2)
    (0.0, 57.72)
    """

    dtypes = REAL_DTYPES
    has_prox = True

    def __init__(
        self,
        dims: tuple[int, ...],
        beta: float = 2.0,
        spacing: Any = None,
        accuracy: float | None = None,
        niter: int = 20000,
        value_accuracy: float = 1e-4,
    ) -> None:
        dims = check_dims(dims, "dims")
        if len(dims) not in (2, 3):
            raise ValueError(f"dims is {dims}; TGV expects two or three axes")
        for name, value in (("beta", beta), ("accuracy", accuracy), ("value_accuracy", value_accuracy)):
            if not (value is None and name == "accuracy") and not (
                isinstance(value, numbers.Real) and 0 < value < math.inf
            ):
                raise ValueError(f"{name} is {value!r}; expected a positive number")
        if not isinstance(niter, numbers.Integral) or niter < 1:
            raise ValueError(f"niter is {niter!r}; expected a positive integer")
        self.beta, self.accuracy, self.niter = float(beta), accuracy, int(niter)
        self.value_accuracy = float(value_accuracy)
        self.geometry = Geometry.of(len(dims), self.beta, spacing)
        super().__init__(dims)
        self.aux = ((len(dims),) + dims,)
        self.has_feasible_dual = True

    # ------------------------------------------------------------ value and prox

    def _value(self, x: Array, batch: bool) -> Any:
        z = self._real(x).astype(np.float64).reshape((-1,) + self.dims)
        values = np.array([least_value(zi, self.geometry, self.value_accuracy, self.niter) for zi in z])
        return values if batch else float(values.sum())

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        z = self._real(x).reshape((-1,) + self.dims)
        t = np.broadcast_to(np.asarray(t, dtype=np.float64), z.shape[:1])
        lead = z.shape[:1]
        warm = work is not None and "y" in work and work["y"].shape == lead + self.dual_dims
        y = buffer(work, "y", z, lead + self.dual_dims)
        v = buffer(work, "v", z, lead + self.aux[0])
        u = buffer(work, "u", z, z.shape)
        if not warm:
            y[...], v[...], u[...] = 0, 0, z
        bounds = np.zeros(len(z))
        for i in range(len(z)):  # one stop for each sample
            if warm and work["t"][i] > 0:  # 0: a sample of a batch that has no y yet
                y[i] *= float(t[i] / work["t"][i])
            elif warm:
                u[i] = z[i]
            bounds[i] = denoise(z[i], float(t[i]), self.geometry, self._accuracy(x), self.niter, u[i], v[i], y[i])
        out.reshape(z.shape)[...] = u
        if work is not None:
            work["t"], work["bound"] = t.copy(), bounds

    def _accuracy(self, x: Array) -> float:
        return self.accuracy or (2e-3 if x.dtype == np.float32 else 1e-3)

    # ------------------------------------------------------------ the dual term, with the primal block v

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return (kernels.components(len(self.dims)),) + self.dims

    def as_dual(self, like: Any) -> Any:
        return self

    def forward(self, x: list[Array], out: Array | None = None, work: Work = None) -> Array:
        """K(u, v) = (∇u - v, E v)."""
        u, v = x
        if out is None:
            out = backend.array_module(u).empty(u.shape[: u.ndim - len(self.dims)] + self.dual_dims, dtype=u.dtype)
        kernels.tgv_forward(u, v, out, self.geometry.spacing)
        return out

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        p, q = self.geometry.radii(self.weight)
        kernels.tgv_dual_step(y, *x_bar, sigma, p, q, self.geometry.spacing)

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        kernels.tgv_adjoint(y, *out, self.geometry.spacing, add)

    def term_norm(self) -> float:
        return self.geometry.norm(self.dims)

    def term_value(self, x: list[Array], batch: bool) -> Any:
        """The value at (u, v): an upper bound of λ TGV(u), reached at the best v."""
        values = self.weight * self.geometry.value(*kernels.tgv_sizes(*x, self.geometry.spacing))
        return values if batch else float(values.sum())

    def dual_value(self, y: Array, batch: bool) -> Any:
        """0 on the balls, which every y of `ascend` and of `feasible_dual` is in."""
        return np.zeros(y.shape[0]) if batch else 0.0

    def feasible_dual(self, y: Array) -> Array:
        """(E*q, q), scaled into the balls: K* of it is 0 in the block v, as a finite dual value needs."""
        c = len(self.dims)
        lead = y.shape[: y.ndim - c - 1]
        z = y.copy().reshape((-1,) + self.dual_dims)
        for zi in z:
            self.geometry.make_feasible(zi, *self.geometry.radii(self.weight))
        return z.reshape(lead + self.dual_dims)

    def denoising_step(self, b: Array) -> float:
        """τ for ½‖u - b‖² + λ TGV(u)."""
        return self.geometry.primal_step(b, self.weight)

    @staticmethod
    def _real(x: Array) -> Array:
        if x.dtype.kind == "c":
            raise TypeError(f"x has dtype {x.dtype}; TGV expects a real image")
        return backend.array_module(x).ascontiguousarray(x)
