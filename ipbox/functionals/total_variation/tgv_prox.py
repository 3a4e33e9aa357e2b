"""TGV denoising and TGV's value by the over-relaxed primal-dual method, each with a certificate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.kernels.differences import front as derivatives
from ipbox.kernels.tgv import front as kernels
from ipbox.operators.images.differences import check_spacing

RHO = 1.9  # over-relaxation: about 1.8 times fewer iterations than 1
EVERY = 25


@dataclass(frozen=True)
class Geometry:
    """TGV's voxel sizes and weights, in a unit of length in which the voxels' mean size is 1.

    With h = κ⁻¹ h', v = κ v': TGV_h(u; β) = κ (‖∇'u - v'‖ + βκ ‖E'v'‖).  All blocks of K then have norms of one size,
    which the step sizes rely on.
    """

    spacing: tuple[float, ...]  # h'
    factor: float  # κ
    beta: float  # β κ

    @classmethod
    def of(cls, c: int, beta: float, spacing: Any) -> Geometry:
        h = np.array(check_spacing(1.0 if spacing is None else spacing, c))
        kappa = float(np.exp(-np.log(h).mean()))
        return cls(tuple(float(k) for k in h * kappa), kappa, beta * kappa)

    def radii(self, weight: float) -> tuple[float, float]:
        """Bounds on |p| and |q|."""
        return weight * self.factor, weight * self.factor * self.beta

    def value(self, size_p: Any, size_q: Any) -> Any:
        return self.factor * (size_p + self.beta * size_q)

    def norm(self, dims: tuple[int, ...]) -> float:
        """A bound on ‖K‖: the norm of ((g, 1), (0, g)) with g >= ‖∇‖, ‖E‖."""
        g = sum((2 * math.cos(math.pi / (2 * n)) / h) ** 2 for n, h in zip(dims, self.spacing, strict=True))
        return math.sqrt(g + 0.5 + math.sqrt(g + 0.25))

    def primal_step(self, b: Array, weight: float, least: float = 0.005) -> float:
        """τ, in proportion to the image's contrast over the weight, as the primal and dual variables are.

        The factor is measured: 0.005 and 0.05 (for values) were best on photographs, more on images of few pixels.
        """
        spread = math.sqrt(max(backend.sum_squares(b - b.mean()) / b.size, 0.0))
        factor = max(least, 0.3 / b.size ** (1 / len(self.spacing)))
        return factor * spread / (weight * self.factor) if spread > 0 else 1.0

    def make_feasible(self, y: Array, radius_p: float, radius_q: float) -> tuple[Array, float]:
        """y <- s (E*q, q), q shrunk where |E*q| is too large and s <= 1 what is still missing; returns p and s.

        q is divided by 1 + w, w >= 2 (|E*q|/radius_p - 1), where w falls off so slowly that its slope takes away no
        more than half of the gain.  Few pixels are in excess, so this costs far less of the dual value than s alone.
        """
        xp, c = backend.array_module(y), len(self.spacing)
        q = y[c:]
        q /= xp.maximum(xp.sqrt((q * q).sum(axis=0)) / radius_q, 1)
        p = self._divergence(y)
        w = 2 * xp.maximum(xp.sqrt((p * p).sum(axis=0)) / radius_p - 1, 0)
        self._spread(w)
        w += 1
        q /= w
        p = self._divergence(y)
        largest = math.sqrt(float((p * p).sum(axis=0).max()))
        s = radius_p / largest if largest > radius_p else 1.0
        y[:c] = p
        y *= s
        return y[:c], s

    def _divergence(self, y: Array) -> Array:
        """E*q; p is overwritten with 0."""
        xp, c = backend.array_module(y), len(self.spacing)
        y[:c] = 0
        d, p = xp.empty(y.shape[1:], dtype=y.dtype), xp.empty(y[:c].shape, dtype=y.dtype)
        kernels.tgv_adjoint(y, d, p, self.spacing)
        return p

    def _spread(self, w: Array) -> None:
        """w[i] <- max_k w[i + k] Π_a γ_a^|k_a|, |k_a| < 32, where √c β (1/γ_a - 1)/h_a = ½."""
        xp = backend.array_module(w)
        for a, h in enumerate(self.spacing):
            gamma = 1 / (1 + h / (2 * math.sqrt(w.ndim) * self.beta))
            along = xp.moveaxis(w, a, 0)
            for k in (1, 2, 4, 8, 16):
                before, after = along[:-k] * gamma**k, along[k:] * gamma**k
                along[k:] = xp.maximum(along[k:], before)
                along[:-k] = xp.maximum(along[:-k], after)


def denoise(b: Array, t: float, geometry: Geometry, accuracy: float, niter: int, u: Array, v: Array, y: Array) -> float:
    """u <- argmin_u ½‖u - b‖² + t TGV(u), from (u, v, y); returns the certified bound on its error.

    ½‖u - p‖² <= gap, since the objective is strongly convex.
    """
    size, eps = backend.norm(b), float(np.finfo(b.dtype).eps)

    def bounds(p: Array, d: Array) -> tuple[float, float]:
        primal = 0.5 * backend.reduce_sum((u - b) ** 2) + t * geometry.value(*_sizes(u, v, geometry))
        product, square = backend.reduce_sum(b * d), backend.reduce_sum(d * d)
        s = min(max(product / square, 0.0), 1.0) if square > 0 else 0.0  # the best multiple
        return primal, s * product - 0.5 * s * s * square

    def bound(primal: float, dual: float) -> float:
        rounding = 4 * eps * (abs(primal) + size * eps * size)
        return math.sqrt(2 * (max(primal - dual, 0.0) + rounding))

    tau = geometry.primal_step(b, t)
    return _iterate(b, tau, t, geometry, niter, u, v, y, bounds, bound, accuracy * size, "prox")


def least_value(u: Array, geometry: Geometry, accuracy: float, niter: int) -> float:
    """TGV(u), at most a share ``accuracy`` of it (or of 2e-3 TV(u)) too large."""
    xp, c = backend.array_module(u), len(u.shape)
    v, y = xp.zeros((c,) + u.shape, u.dtype), xp.zeros((kernels.components(c),) + u.shape, u.dtype)
    derivatives.spaced_gradient(u, v, geometry.spacing)  # the exact v of an affine image
    tv = geometry.value(*_sizes(u, xp.zeros_like(v), geometry))
    best = [math.inf]

    def bounds(p: Array, d: Array) -> tuple[float, float]:
        best[0] = min(best[0], tv, geometry.value(*_sizes(u, v, geometry)))
        return best[0], backend.reduce_sum(u * d)

    def share(primal: float, dual: float) -> float:
        return (primal - dual) / max(abs(primal), 2e-3 * tv, 1e-300)

    tau = geometry.primal_step(u, 1.0, least=0.05)
    _iterate(None, tau, 1.0, geometry, niter, u, v, y, bounds, share, accuracy, "value")
    return best[0]


def _sizes(u: Array, v: Array, geometry: Geometry) -> tuple[float, float]:
    sizes = kernels.tgv_sizes(u, v, geometry.spacing)
    return float(sizes[0, 0]), float(sizes[1, 0])


def _iterate(
    b: Array | None,
    tau: float,
    t: float,
    geometry: Geometry,
    niter: int,
    u: Array,
    v: Array,
    y: Array,
    bounds: Callable[[Array, Array], tuple[float, float]],
    error: Callable[[float, float], float],
    tol: float,
    what: str,
) -> float:
    """Condat's over-relaxed steps on (u, v, y), with u fixed where ``b`` is None, until ``error`` is at most ``tol``.

    ``bounds`` gives the primal value at (u, v) and the dual one at a feasible p, d = ∇*p; the best dual value counts.
    """
    xp, h = backend.array_module(u), geometry.spacing
    p_max, q_max = geometry.radii(t)
    sigma = 1 / (tau * geometry.norm(u.shape) ** 2)
    d, u_bar, dv, v_bar = xp.empty_like(u), u.copy(), xp.empty_like(v), xp.empty_like(v)
    dual, found = -math.inf, math.inf
    anchor, turn = [u.copy(), v.copy(), y.copy()], 8 * EVERY
    for k in range(niter + 1):
        if k % EVERY == 0:
            p, _ = geometry.make_feasible(y.copy(), p_max, q_max)
            derivatives.spaced_gradient_adjoint(xp.ascontiguousarray(p), d, h)
            primal, new = bounds(p, d)
            dual = max(dual, new)
            found = error(primal, dual)
            if found <= tol or math.isnan(found):
                return found
        if k == turn:
            tau *= _balance([u, v, y], anchor, tau * geometry.norm(u.shape))
            sigma, turn = 1 / (tau * geometry.norm(u.shape) ** 2), 2 * turn
        kernels.tgv_adjoint(y, d, dv, h)
        if b is not None:
            kernels.relaxed_step(u, d, tau, RHO, u_bar, b=b)
        kernels.relaxed_step(v, dv, tau, RHO, v_bar)
        kernels.tgv_dual_step(y, u_bar, v_bar, sigma, p_max, q_max, h, RHO)
    warnings.warn(
        f"TGV.{what} stopped after niter={niter} with a certified error of {found:.1e}; asked for {tol:.1e}",
        RuntimeWarning,
        stacklevel=6,
    )
    return found


def _balance(x: list[Array], anchor: list[Array], tau: float) -> float:
    """The factor of τ, at most 4 or at least ¼, that makes ‖Δ(u, v)‖ = τ ‖K‖ ‖Δy‖ for what moved since ``anchor``.

    References
    ----------
    Applegate and others, Practical large-scale linear programming using primal-dual hybrid gradient, NeurIPS 2021.
    """
    moved = [backend.norm(a - b) for a, b in zip(x, anchor, strict=True)]
    for a, b in zip(x, anchor, strict=True):
        b[...] = a
    if not (moved[2] > 0 and max(moved[:2]) > 0):
        return 1.0
    return min(max(math.sqrt(math.hypot(*moved[:2]) / (tau * moved[2])), 0.25), 4.0)
