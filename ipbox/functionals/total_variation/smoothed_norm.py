"""Sums of smoothed moduli of fields K u, with all their derivatives: what smoothed TV and smoothed TGV are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import Functional, Work, buffer
from ipbox.kernels.smoothed_tv import front as kernels

THIRD = 48 / (25 * math.sqrt(5))  # max of 3t/(t² + 1)^{5/2}, at t = 1/2
LEAST = 1.1e-19  # its square is a number of single precision too


class FieldMap:
    """u ↦ K u = (K_1 u, K_2 u, ...), linear, with a modulus in every pixel of every part; see `SmoothedNorm`.

    Attributes
    ----------
    dims, field_dims : tuple of int
        Shape of u and of K u; a batch may stand before both.
    axes : tuple of int
        Axes of a field, counted from the last, that hold a pixel's components.
    bounds : sequence of (float, float)
        For every part, bounds of ‖K_k‖² and of the norm of u ↦ (K_k u)_i.
    boundary : str or None
        Where K takes the differences of `ipbox.kernels.smoothed_tv`: what a first pixel is compared with there.
    flips : tuple of int
        The axes along which it takes them from the other end.
    """

    dims: tuple[int, ...]
    field_dims: tuple[int, ...]
    axes: tuple[int, ...]
    bounds: Sequence[tuple[float, float]]
    boundary: str | None = None
    flips: tuple[int, ...] = ()

    def forward(self, x: Array, out: Array) -> Array:
        """out <- K x."""
        raise NotImplementedError("abstract")

    def adjoint(self, y: Array, out: Array, add: bool) -> None:
        """out <- K*y, or += with ``add``."""
        raise NotImplementedError("abstract")

    def parts(self, y: Array) -> list[Array]:
        """Views of the parts of a field."""
        return [y]

    def curvature(self, weights: Sequence[float]) -> float:
        """A bound of ‖Σ_k w_k K_k*K_k‖."""
        return weights[0] * self.bounds[0][0]


class SmoothedNorm(Functional):
    """Σ_k α_k Σ_i √(|(K_k u)_i|² + ν²) + (ξ/2)‖u‖²: strongly convex for ξ > 0, twice differentiable.

    Parameters
    ----------
    K : FieldMap
    eps : float
        ν > 0.
    alpha : sequence of float
        α_k >= 0, a weight for each part of K.
    xi : float
        ξ >= 0.

    Notes
    -----
    With p = K u, s = (|p|² + ν²)^½ and one part, ∇ = αK*(p/s) + ξu has the Lipschitz constant α‖K‖²/ν + ξ and
    ∇²v = αK*(w/s - p Re<p, w>/s³) + ξv, w = K v, at most 48/(25√5) α‖K‖² max_i ‖u ↦ (K u)_i‖/ν².  Differences in
    pixel units of real images on the host are taken by fused kernels.
    """

    _L: float
    _mu: float
    _hessian_lipschitz: float | None
    dims: tuple[int, ...]
    has_grad = True

    def __init__(self, K: FieldMap, eps: float, alpha: Sequence[float] = (1.0,), xi: float = 0.0) -> None:
        super().__init__(K.dims)
        self.K, self.eps, self.alpha, self.xi = K, eps, tuple(alpha), xi
        self.slopes = tuple(a * square / eps for a, (square, _) in zip(self.alpha, K.bounds, strict=True))
        self._mu = xi
        self._L = K.curvature(self.alpha) / eps + xi
        # third derivatives of (|p|² + ν²)^½ are at most THIRD/ν²
        self._hessian_lipschitz = (
            THIRD / eps * sum(s * pixel for s, (_, pixel) in zip(self.slopes, K.bounds, strict=True))
        )

    def hessian_variation(self, q: Array) -> np.ndarray:
        """T = THIRD/ν² Σ_k α_k ‖K_k‖² max_i |(K_k q)_i|, the third derivatives being sums over the pixels."""
        local = np.zeros(len(q))
        for slope, part in zip(self.slopes, self.K.parts(self._field(q)), strict=True):
            largest = self._inner(part, part).reshape(len(q), -1).max(axis=1)
            local += slope * np.sqrt(backend.to_host(largest).astype(np.float64))
        return np.minimum(abs(self.weight) * THIRD / self.eps * local, super().hessian_variation(q))

    # ------------------------------------------------------------ derivatives by u

    def _value(self, x: Array, batch: bool) -> Any:
        if self.fused(x):
            return kernels.smoothed_tv_value(self._rows(x), *self._settings)
        x = self._double(x).reshape((-1, *self.dims))
        values = 0.5 * self.xi * backend.sum_squares(x, True) if self.xi else 0.0
        for alpha, part in zip(self.alpha, self.K.parts(self._field(x)), strict=True):
            values = values + alpha * backend.reduce_sum(self._s(part), True)
        return values

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        if self._beyond(x):
            y = self._double(x)
            g = backend.array_module(y).empty_like(y)
            self._grad(y, g, None)
            out[...] = g
            return
        if self.fused(x):
            self._run(kernels.smoothed_tv_gradient, out, x)
            return
        p = self._field(x, work)
        for alpha, part in zip(self.alpha, self.K.parts(p), strict=True):
            part *= alpha / self._s(part)
        self._back(p, self.xi, x, out)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        if self._beyond(x):
            y, w = self._double(x), self._double(v)
            g = backend.array_module(y).empty_like(y)
            self._hessian(y, w, g, None)
            out[...] = g
            return
        if self.fused(x):
            self._run(kernels.smoothed_tv_hessian, out, x, v, data=False)
            return
        p, w = self._field(x, work), self._field(v, work, "w")
        for alpha, part, change in zip(self.alpha, self.K.parts(p), self.K.parts(w), strict=True):
            s = self._s(part)
            change -= part * (self._inner(part, change) / s**2)
            change *= alpha / s
        self._back(w, self.xi, v, out)

    # ------------------------------------------------------------ derivatives by log10 of the parameters

    def mixed(self, u: Array, q: Array) -> np.ndarray:
        """<∂∇f(u), q> by log10 of every α_k, of ξ and of ν: float64, shape (n, parts + 2)."""
        if self.fused(u):
            return kernels.smoothed_tv_mixed(self._rows(u), self._rows(q), *self._settings)
        p, w, by_nu, columns = self._field(u), self._field(q), 0.0, []
        for alpha, part, change in zip(self.alpha, self.K.parts(p), self.K.parts(w), strict=True):
            s = self._s(part)
            inner = self._inner(part, change) / s
            columns.append(alpha * backend.reduce_sum(inner, True))
            by_nu = by_nu - alpha * self.eps**2 * backend.reduce_sum(inner / s**2, True)
        by_xi = self.xi * backend.reduce_sum((u.conj() * q).real, True)
        return kernels.LN10 * np.stack([*columns, by_xi, by_nu], axis=1)

    def mixed_apply(self, u: Array, dalpha: Sequence[float], dxi: float = 0.0, dnu: float = 0.0) -> Array:
        """The change of ∇f(u) with log10 of every α_k, of ξ and of ν."""
        p, out = self._field(u), backend.array_module(u).empty(u.shape, u.dtype)
        for alpha, d, part in zip(self.alpha, dalpha, self.K.parts(p), strict=True):
            s = self._s(part)
            part *= (d - dnu * (self.eps / s) ** 2) * (kernels.LN10 * alpha / s)
        self._back(p, kernels.LN10 * self.xi * dxi, u, out)
        return out

    # ------------------------------------------------------------ by array functions

    def _field(self, x: Array, work: Work = None, key: str = "p") -> Array:
        """K x, in the scratch ``work[key]``."""
        batch = x.shape[: x.ndim - len(self.dims)]
        x = backend.array_module(x).ascontiguousarray(x)
        return self.K.forward(x, buffer(work, key, x, batch + self.K.field_dims))

    def _back(self, y: Array, xi: float, x: Array, out: Array) -> None:
        """out <- K*y + ξx; ``out`` may be ``x``."""
        more = xi * x if xi else None
        self.K.adjoint(y, out, False)
        if more is not None:
            out += more

    def _inner(self, p: Array, w: Array) -> Array:
        """Re<p, w> of every pixel, with the axes of the field."""
        products = p.real * w.real + p.imag * w.imag if p.dtype.kind == "c" else p * w
        return products.sum(axis=self.K.axes, keepdims=True)

    def _s(self, p: Array) -> Array:
        """s = (|p|² + ν²)^½, with the axes of the field."""
        size = self._inner(p, p)
        size += self.eps**2
        return backend.array_module(p).sqrt(size)

    def _beyond(self, x: Array) -> bool:
        """Whether ν, so also what ∇u is compared with, has a square beyond single precision, which ``x`` is of."""
        return backend.real_dtype(x.dtype) == np.float32 and not LEAST < self.eps < 1 / LEAST

    @staticmethod
    def _double(x: Array) -> Array:
        return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)

    # ------------------------------------------------------------ by kernels

    def fused(self, x: Array) -> bool:
        """Whether the kernels take ``x``."""
        return self.K.boundary is not None and self.eps > LEAST and isinstance(x, np.ndarray) and x.dtype.kind == "f"

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self.alpha[0], self.eps, self.xi, self.K.boundary

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """``x`` as the kernels take it."""
        return np.ascontiguousarray(np.flip(x, self.K.flips)).reshape((-1, *self.dims))

    def _run(self, kernel: Callable[..., None], out: np.ndarray, *arrays: np.ndarray, **options: bool) -> None:
        """out <- what the kernel makes of the arrays, which may be ``out``."""
        apart = bool(self.K.flips) or any(np.may_share_memory(a, out) for a in arrays)
        rows = [self._rows(a) for a in arrays]
        result = np.empty_like(rows[0]) if apart else out.reshape(rows[0].shape)
        kernel(*rows, result, *self._settings, **options)
        if apart:
            out.reshape(result.shape)[...] = np.flip(result, self.K.flips)
