"""Smoothed total variation with a quadratic, as a function of its logarithmic weight, smoothing and convexity."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.terms.base import LN10, ParametricTerm
from ipbox.functionals import Functional
from ipbox.functionals.core.base import Work
from ipbox.functionals.total_variation.smoothed import THIRD
from ipbox.kernels.smoothed_tv import front as kernels

PARAMETERS = ("alpha", "xi", "nu")


class SmoothedTVRegulariser(ParametricTerm):
    """R_θ(u) = α Σ_j √(|(Du)_j|² + ν²) + (ξ/2) ‖u‖², θ the log10 of those of α, ξ, ν (in this order) that are learned.

    D takes backward differences of neighbours (isotropic in two dimensions), and |·| the modulus where u is complex.
    ξ makes R strongly convex; μ = ξ and L = 4 ndim α/ν + ξ.

    Parameters
    ----------
    dims : tuple of int
        Shape of a signal or an image.
    learn : tuple of str
        Which of ``"alpha"``, ``"xi"`` and ``"nu"`` are learned.
    alpha, xi, nu : float, optional
        α > 0, ξ >= 0 and ν > 0, in units of the differences, where they are not learned.
    boundary : str
        ``"neumann"``: a first pixel has no difference; ``"zero"``, for signals: it is compared with 0.

    Raises
    ------
    ValueError
        for other names, values or dims.

    References
    ----------
    M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning, J. Math. Imaging Vis. 63
    (2021).

    Examples
    --------
    >>> import numpy as np
    >>> term = SmoothedTVRegulariser((2,), learn=("alpha", "nu"), xi=1.0)
    >>> term.names
    ('log10 alpha', 'log10 nu')
    >>> f, u = term.functional(np.log10([1.0, 4.0])), np.array([[0.0, 3.0]])
    >>> f.value(u), f.grad(u).round(6).tolist()
    (13.5, [[-0.6, 3.6]])
    """

    def __init__(
        self,
        dims: tuple[int, ...],
        learn: tuple[str, ...] = PARAMETERS,
        alpha: float | None = None,
        xi: float = 1e-3,
        nu: float = 1e-3,
        boundary: str = "neumann",
    ) -> None:
        self.dims = tuple(dims)
        if len(self.dims) not in (1, 2) or not all(isinstance(n, numbers.Integral) and n > 0 for n in self.dims):
            raise ValueError(f"dims is {dims}; expected one or two positive integers")
        if isinstance(learn, str) or not learn or not set(learn) <= set(PARAMETERS) or len(set(learn)) < len(learn):
            raise ValueError(f"learn is {learn!r}; expected some of 'alpha', 'xi' and 'nu'")
        if boundary not in ("neumann", "zero") or (boundary == "zero" and len(self.dims) == 2):
            raise ValueError(f"boundary is {boundary!r}; expected 'neumann', or 'zero' for signals")
        self.boundary = boundary
        self.learn = tuple(name for name in PARAMETERS if name in learn)
        self.names = tuple(f"log10 {name}" for name in self.learn)
        self.fixed = {"alpha": alpha, "xi": xi, "nu": nu}
        for name in set(PARAMETERS) - set(learn):
            _check_value(name, self.fixed[name])

    def parameters(self, theta: np.ndarray) -> tuple[float, float, float]:
        """α, ξ, ν at θ."""
        values = self.fixed | {name: _power(float(t)) for name, t in zip(self.learn, theta, strict=True)}
        return tuple(_check_value(name, values[name]) for name in PARAMETERS)

    def functional(self, theta: np.ndarray) -> Functional:
        return SmoothedTVWithSquare(self.dims, *self.parameters(theta), self.boundary)

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        return self.functional(theta).mixed(u, q)[:, [PARAMETERS.index(name) for name in self.learn]]

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        d = dict.fromkeys(PARAMETERS, 0.0) | dict(zip(self.learn, map(float, dtheta), strict=True))
        return self.functional(theta).mixed_apply(u, d["alpha"], d["xi"], d["nu"])

    def mixed_lipschitz(self, theta: np.ndarray) -> float:
        alpha, xi, nu = self.parameters(theta)
        edges = 4 * len(self.dims) * alpha / nu
        return LN10 * math.hypot(*({"alpha": edges, "xi": xi, "nu": edges}[name] for name in self.learn))

    def denoising_loop(self, theta: np.ndarray, b: Array, method: str) -> Callable[..., Any] | None:
        """The fused solve of min_u ½ ‖u - b_i‖² + R_θ(u), in place on u; None for complex and device arrays."""
        if not _has_kernels(b):
            return None
        alpha, xi, nu = self.parameters(theta)

        def loop(u: Array, accuracy: np.ndarray, most: int, fixed: int | None) -> tuple[np.ndarray, np.ndarray]:
            settings = alpha, nu, xi, self.boundary, method, fixed is not None
            return kernels.denoise_loop(b, u, accuracy, most, *settings)

        return loop


def _power(t: float) -> float:
    return 10.0**t if t < 308 else math.inf


def _check_value(name: str, value: float | None) -> float:
    least = ">= 0" if name == "xi" else "> 0"
    if not isinstance(value, numbers.Real) or not (value > 0 or (name == "xi" and value == 0)) or value == math.inf:
        raise ValueError(f"{name} is {value}; expected a number {least}, or {name!r} in learn and a moderate theta")
    return float(value)


def _has_kernels(u: Array) -> bool:
    return isinstance(u, np.ndarray) and u.dtype.kind == "f" and u.flags.c_contiguous


class SmoothedTVWithSquare(Functional):
    """α Σ √(|Du|² + ν²) + (ξ/2) ‖u‖², by the kernels for real arrays on the host, by array functions otherwise."""

    has_grad = True

    def __init__(self, dims: tuple[int, ...], alpha: float, xi: float, nu: float, boundary: str) -> None:
        super().__init__(dims)
        self.alpha, self.xi, self.nu, self.boundary = alpha, xi, nu, boundary
        self._mu = xi
        self._L = 4 * len(dims) * alpha / nu + xi
        # as for SmoothedTV: third derivatives, ‖D‖², and the norm of u ↦ (Du)_j
        self._hessian_lipschitz = THIRD * 4 * len(dims) * alpha / nu**2 * math.sqrt(len(dims) + 1)

    def hessian_variation(self, q: Array) -> np.ndarray:
        size = backend.array_module(q).sqrt((abs(self._differences(q)) ** 2).sum(axis=0)).reshape(len(q), -1)
        edges = THIRD * 4 * len(self.dims) * self.alpha / self.nu**2
        largest = backend.to_host(size.max(axis=1)).astype(np.float64)
        return abs(self.weight) * np.minimum(edges * largest, super().hessian_variation(q) / abs(self.weight))

    @property
    def _arguments(self) -> tuple[float, float, float, str]:
        return self.alpha, self.nu, self.xi, self.boundary

    def _value(self, x: Array, batch: bool) -> Any:
        x = x.reshape((-1, *self.dims))
        if _has_kernels(x):
            values = kernels.smoothed_tv_value(x, *self._arguments)
        else:
            x = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
            tv = backend.reduce_sum(self._s(self._differences(x)), True)
            values = self.alpha * tv + 0.5 * self.xi * backend.reduce_sum(abs(x) ** 2, True)
        return values if batch else float(values.sum())

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        if _has_kernels(x) and _has_kernels(out) and not np.may_share_memory(x, out):
            shape = (-1, *self.dims)
            kernels.smoothed_tv_gradient(x.reshape(shape), out.reshape(shape), *self._arguments)
            return
        p = self._differences(x)
        p *= self.alpha / self._s(p)
        out[...] = self._adjoint(p) + self.xi * x

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        shared = not isinstance(out, np.ndarray) or np.may_share_memory(x, out) or np.may_share_memory(v, out)
        if _has_kernels(x) and _has_kernels(v) and _has_kernels(out) and not shared:
            x, v, out = (a.reshape((-1, *self.dims)) for a in (x, v, out))
            kernels.smoothed_tv_hessian(x, v, out, *self._arguments, data=False)
            return
        p, w = self._differences(x), self._differences(v)
        s = self._s(p)
        w -= p * ((p.conj() * w).real.sum(axis=0) / s**2)
        w *= self.alpha / s
        out[...] = self._adjoint(w) + self.xi * v

    # ------------------------------------------------------------ derivatives by log10 of the parameters

    def mixed(self, u: Array, q: Array) -> np.ndarray:
        """<∂∇f(u), q> by log10 of α, ξ, ν: float64, shape (n, 3)."""
        if _has_kernels(u) and _has_kernels(q):
            return kernels.smoothed_tv_mixed(u, q, *self._arguments)
        p, w = self._differences(u), self._differences(q)
        s = self._s(p)
        inner = (p.conj() * w).real.sum(axis=0) / s
        sums = [backend.reduce_sum(a, True) for a in (inner, (u.conj() * q).real, inner / s**2)]
        return np.stack(sums, axis=1) * (LN10 * np.array([self.alpha, self.xi, -self.alpha * self.nu**2]))

    def mixed_apply(self, u: Array, dalpha: float, dxi: float, dnu: float) -> Array:
        """The change of ∇f(u) with log10 of α, ξ, ν."""
        p = self._differences(u)
        s = self._s(p)
        p *= (dalpha - dnu * (self.nu / s) ** 2) * (LN10 * self.alpha / s)
        return self._adjoint(p) + (LN10 * self.xi * dxi) * u

    # ------------------------------------------------------------ by array functions

    def _differences(self, u: Array) -> Array:
        """D u, shape (ndim,) + that of u."""
        p = backend.array_module(u).zeros((len(self.dims), *u.shape), dtype=u.dtype)
        p[0, ..., 1:] = u[..., 1:] - u[..., :-1]
        if self.boundary == "zero":
            p[0, ..., 0] = u[..., 0]
        if len(self.dims) == 2:
            p[1, ..., 1:, :] = u[..., 1:, :] - u[..., :-1, :]
        return p

    def _adjoint(self, p: Array) -> Array:
        """D* p for p that is 0 where D u is."""
        g = p.sum(axis=0)
        g[..., :-1] -= p[0, ..., 1:]
        if len(self.dims) == 2:
            g[..., :-1, :] -= p[1, ..., 1:, :]
        return g

    def _s(self, p: Array) -> Array:
        """√(|p|² + ν²)."""
        size = (p.real**2).sum(axis=0)
        if p.dtype.kind == "c":
            size += (p.imag**2).sum(axis=0)
        size += self.nu**2
        return backend.array_module(p).sqrt(size)
