"""Weighted least squares of Fourier samples by their normal equations, and whole solves with it for signals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import Functional, Sum, Tikhonov, WeightedL2
from ipbox.functionals.core.base import Work
from ipbox.functionals.total_variation.smoothed_norm import SmoothedNorm
from ipbox.kernels.smoothed_tv.sampled import sampled_loop
from ipbox.operators import FourierTransform
from ipbox.operators.core.base import count_normal


class IsometricL2(WeightedL2):
    """½‖Fu - b‖²_S for an F that keeps norms: μ = min s."""

    @property
    def _mu(self) -> float:
        return self._data_mu

    def _with_data(self, A: Any, part: Any) -> WeightedL2:
        if A is not self.A:
            return WeightedL2(self.A, self.b, self.weights)._with_data(A, part)
        return super()._with_data(A, part)


class FourierL2(IsometricL2):
    """½‖Fu - b‖²_S of complex images for a unitary F, by its normal equations: ∇ = F*SF u - F*Sb.

    The weights s depend on the positions along ``axes`` alone, and along the others F*SF does nothing.  There the
    shifts by whole pixels cancel: it is the plain inverse transform of s times the plain transform.
    """

    dims: tuple[int, ...]

    def __init__(self, F: FourierTransform, b: Array, weights: Array, axes: tuple[int, ...]) -> None:
        super().__init__(F, b, weights)
        line = weights[tuple(slice(None) if k - weights.ndim in axes else slice(1) for k in range(weights.ndim))]
        self.axes, self.multiplier = axes, backend.array_module(weights).fft.ifftshift(line, axes=axes)
        self._backprojected: Array | None = None

    @property
    def backprojected(self) -> Array:
        """F*Sb, computed once."""
        if self._backprojected is None:
            self._backprojected = self.operator.apply_adjoint(self.b * self.weights)
        return self._backprojected

    def _with_data(self, A: Any, part: Any) -> WeightedL2:
        f = super()._with_data(A, part)
        if A is self.A:
            f._backprojected = self.backprojected[part]
        return f

    def normal(self, u: Array, out: Array) -> None:
        """out <- F*SF u, which counts as one application of F and one of F*."""
        count_normal(self.A, math.prod(u.shape[: u.ndim - len(self.dims)]))
        fft = backend.fft_module(u)
        y = fft.fftn(u, axes=self.axes)
        y *= self.multiplier
        out[...] = fft.ifftn(y, axes=self.axes, overwrite_x=True)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self.normal(x, out)
        out -= self._shaped(self.backprojected, out)

    _value_grad = Functional._value_grad

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        self.normal(v, out)


# ---------------------------------------------------------------- whole solves


def signal_loop(f: Functional, mu: float, L: float, method: str) -> Callable[..., Any] | None:
    """The fused solve of min_u f(u), in place on u, where f is `FourierL2` of signals with a smoothed TV and a square.

    None for anything else: images, other regularisers, device arrays.
    """
    first, *rest = _summands(f)
    if not isinstance(first, FourierL2) or len(first.dims) != 1 or not isinstance(first.b, np.ndarray):
        return None
    alpha, nu, xi, boundary = 0.0, 1.0, 0.0, "neumann"
    for g in rest:
        if isinstance(g, Tikhonov) and g.order == 0:
            xi += g.weight
        elif isinstance(g, SmoothedNorm) and g.K.boundary is not None and alpha == 0.0:
            alpha, nu = g.weight * g.alpha[0], g.eps
            xi, boundary = xi + g.weight * g.xi, g.K.boundary
        else:
            return None
    if first.weight != 1.0 or not (alpha >= 0 and xi >= 0):
        return None
    column = np.fft.ifft(np.asarray(first.multiplier, dtype=np.float64))

    def loop(u: Array, accuracy: np.ndarray, most: int, fixed: int | None) -> tuple[np.ndarray, np.ndarray]:
        settings = (mu, L), alpha, nu, xi, boundary, method, fixed is not None
        found = sampled_loop(first.backprojected, u, column, accuracy, most, *settings)
        count_normal(first.A, int(found[0].sum()))
        return found

    return loop


def _summands(f: Functional) -> list[Functional]:
    return [h for g in f.terms for h in _summands(g)] if isinstance(f, Sum) else [f]
