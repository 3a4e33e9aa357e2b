"""Total generalised variation of second order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_dims, check_positive
from ipbox.functionals.core.base import Work
from ipbox.functionals.total_variation.inner import IteratedProx, PrimalDual
from ipbox.functionals.total_variation.tgv_geometry import Geometry
from ipbox.kernels.differences import front as derivatives
from ipbox.kernels.tgv import front as kernels

METHOD = PrimalDual(rho=1.9, turn=200, most=4.0)  # over-relaxed: about 1.8 times fewer iterations than with 1
EVERY = 25  # steps, the certificate is looked at


class TGV(IteratedProx):
    r"""Total generalised variation of second order, TGV(u) = min_v ‖∇u - v‖_{2,1} + β ‖E v‖_{2,1}.

    Edges cost what they do in TV, and affine pieces nothing: no staircases on ramps.

    Parameters
    ----------
    dims : tuple of int
        Image shape, two or three axes.
    beta : float
        β > 0, a length in the units of ``spacing``: α1 = λ and α0 = λβ in the usual notation.
    spacing : float or tuple of float, optional
        Voxel sizes of the axes that are coupled; 1 by default (β and λ are then in pixel units).
    accuracy : float, optional
        `prox` ends when its duality gap certifies ‖p - prox(x)‖ <= accuracy ‖x‖; 2e-3 for float32 images and 1e-3 for
        float64 by default.
    value_accuracy : float
        `value`, which is a minimum over v, is at most this share too large.
    niter : int
        Bound on the iterations of `prox` and `value`, which warn where it was not enough.
    axes : tuple of int, optional
        Those that are coupled, all by default; along the others the image is a stack, such as of slices or channels.

    Notes
    -----
    ∇: forward differences, Neumann boundary; v_a exists where ∂_a u does, E v = (J + Jᵀ)/2 of backward differences of
    what exists, so affine images are free up to the boundary.  Dual: sup <u, ∇*p> over |q| <= β, p = E*q, |p| <= 1.
    A dual q is shrunk until |E*q| <= 1 holds, which makes the gap finite.  As a dual term it has the primal block v.
    `value` minimises over v in double precision, to a gap of 5e-6 of the value or 1e-8 of TV: on large images it takes
    as long as denoising does.  Of a complex image the moduli couple real and imaginary parts; the fused kernels are of
    real ones, so that a step takes a few times as long.

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

    dims: tuple[int, ...]
    starts = ("y", "u", "v")

    def __init__(
        self,
        dims: tuple[int, ...],
        beta: float = 2.0,
        spacing: Any = None,
        accuracy: float | None = None,
        niter: int = 20000,
        value_accuracy: float = 1e-4,
        axes: tuple[int, ...] | None = None,
    ) -> None:
        dims = check_dims(dims, "dims")
        if len(dims) not in (2, 3):
            signal = f": shape=(1, {dims[0]}) for a signal, or b[None] without A" if len(dims) == 1 else ""
            raise ValueError(f"dims is {dims}; TGV expects two or three axes{signal}")
        self.beta, self.value_accuracy = check_positive(beta, "beta"), check_positive(value_accuracy, "value_accuracy")
        self.accuracy = None if accuracy is None else check_positive(accuracy, "accuracy")
        self.niter = check_count(niter, "niter")
        self.geometry = Geometry.of(len(dims), self.beta, spacing, axes)
        super().__init__(dims)
        self.aux = ((len(dims),) + dims,)
        self.has_feasible_dual = True

    # ------------------------------------------------------------ value and prox

    def _value(self, x: Array, batch: bool) -> Any:
        z = self._image(x).astype(np.complex128 if x.dtype.kind == "c" else np.float64).reshape((-1, *self.dims))
        return np.array([self._least(zi) for zi in z])

    def _start(self, z: Array) -> dict[str, Array]:
        v = backend.array_module(z).zeros(z.shape[:1] + self.aux[0], dtype=z.dtype)
        return super()._start(z) | {"u": z.copy(), "v": v}

    def _denoise(self, z: Array, t: float, start: dict[str, Array]) -> tuple[Array, float]:
        """½‖u - p‖² <= gap, since the objective is strongly convex."""
        u, v, y = (start[key] for key in ("u", "v", "y"))
        size, eps, dual, bound = backend.norm(z), float(np.finfo(z.dtype).eps), -math.inf, math.inf

        def error() -> float:
            nonlocal dual, bound
            d = self._divergence(y, t)
            product, square = backend.inner(z, d), backend.inner(d, d)
            s = min(max(product / square, 0.0), 1.0) if square > 0 else 0.0  # the best multiple
            primal = 0.5 * backend.inner(u - z, u - z) + t * self._at(u, v)
            dual = max(dual, s * product - 0.5 * s * s * square)
            rounding = 4 * eps * (abs(primal) + size * eps * size)
            bound = math.sqrt(2 * (max(primal - dual, 0.0) + rounding))
            return bound

        accuracy = self.accuracy or (2e-3 if backend.real_dtype(z.dtype) == np.float32 else 1e-3)
        steps = self.steps("prox", error, accuracy, EVERY, size)
        self._iterate(steps, [u, v], y, z, self.geometry.primal_step(z, t), t)
        return u, bound

    def _least(self, u: Array) -> float:
        """TGV(u), at most a share ``value_accuracy`` of it (or of 2e-3 TV(u)) too large."""
        v, y = (self._start(u[None])[key][0] for key in ("v", "y"))
        tv, best, dual = self._at(u, v), math.inf, -math.inf
        derivatives.spaced_gradient(u, v, self.geometry.spacing)  # the exact v of an affine image

        def error() -> float:
            nonlocal best, dual
            best = min(best, tv, self._at(u, v))
            dual = max(dual, backend.inner(u, self._divergence(y, 1.0)))
            return (best - dual) / max(abs(best), 2e-3 * tv, 1e-300)

        tau = self.geometry.primal_step(u, 1.0, least=0.05)
        self._iterate(self.steps("value", error, self.value_accuracy, EVERY), [u, v], y, None, tau, 1.0)
        return best

    def _iterate(self, steps: Iterator[int], x: list[Array], y: Array, b: Array | None, tau: float, t: float) -> None:
        """The primal-dual method for the weight t, on (u, v) = ``x`` and ``y``."""
        h, radii = self.geometry.spacing, self.geometry.radii(t)

        def adjoint(y: Array, d: list[Array]) -> None:
            kernels.tgv_adjoint(y, d[0], d[1], h)

        def ascend(y: Array, x_bar: list[Array], sigma: float) -> None:
            kernels.tgv_dual_step(y, x_bar[0], x_bar[1], sigma, radii[0], radii[1], h, METHOD.rho)

        METHOD.run(steps, x, y, b, tau, self.term_norm(), adjoint, ascend)

    def _at(self, u: Array, v: Array) -> float:
        """‖∇u - v‖ + β ‖E v‖."""
        return float(self.geometry.value(*kernels.tgv_sizes(u, v, self.geometry.spacing))[0])

    def _divergence(self, y: Array, t: float) -> Array:
        """∇*p of a dual variable near ``y`` in the balls, with p = E*q."""
        xp, p = backend.array_module(y), self.geometry.make_feasible(y.copy(), *self.geometry.radii(t))
        d = xp.empty(self.dims, dtype=y.dtype)
        derivatives.spaced_gradient_adjoint(xp.ascontiguousarray(p), d, self.geometry.spacing)
        return d

    # ------------------------------------------------------------ the dual term, with the primal block v

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return (kernels.components(len(self.dims)),) + self.dims

    def _fields(self, x: list[Array], out: Array, work: Work) -> Array:
        """out <- K(u, v) = (∇u - v, E v)."""
        kernels.tgv_forward(x[0], x[1], out, self.geometry.spacing)
        return out

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        p, q = self.geometry.radii(self.weight)
        kernels.tgv_dual_step(y, x_bar[0], x_bar[1], sigma, p, q, self.geometry.spacing)

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        kernels.tgv_adjoint(y, out[0], out[1], self.geometry.spacing, add)

    def term_norm(self) -> float:
        return self.geometry.norm(self.dims)

    def term_value(self, x: list[Array], batch: bool) -> Any:
        """The value at (u, v): an upper bound of λ TGV(u), reached at the best v."""
        values = self.weight * self.geometry.value(*kernels.tgv_sizes(x[0], x[1], self.geometry.spacing))
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
