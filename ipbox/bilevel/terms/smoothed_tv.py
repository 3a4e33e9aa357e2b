"""Smoothed total variation with a quadratic, as a function of its logarithmic weight, smoothing and convexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.terms.base import LN10, ParametricTerm
from ipbox.checks import is_integer, is_number, shown
from ipbox.functionals.total_variation.smoothed_norm import FieldMap, SmoothedNorm
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
        if len(self.dims) not in (1, 2) or not all(is_integer(n) and n > 0 for n in self.dims):
            raise ValueError(f"dims is {dims}; expected one or two positive integers")
        known = not isinstance(learn, str) and all(name in PARAMETERS for name in learn)
        if not known or not learn or len(set(learn)) < len(learn):
            raise ValueError(f"learn is {shown(learn)}; expected some of 'alpha', 'xi' and 'nu'")
        if boundary not in ("neumann", "zero") or (boundary == "zero" and len(self.dims) == 2):
            raise ValueError(f"boundary is {boundary!r}; expected 'neumann', or 'zero' for signals")
        self.boundary = boundary
        self.learn = tuple(name for name in PARAMETERS if name in learn)
        self.names = tuple(f"log10 {name}" for name in self.learn)
        self.fixed = {"alpha": alpha, "xi": xi, "nu": nu}
        for name, value in self.fixed.items():
            if value is not None and not is_number(value):
                raise ValueError(f"{name} is {shown(value)}; expected a number")
        for name in set(PARAMETERS) - set(learn):
            _check_value(name, self.fixed[name])

    def parameters(self, theta: np.ndarray) -> tuple[float, float, float]:
        """α, ξ, ν at θ."""
        values = self.fixed | {name: _power(float(t)) for name, t in zip(self.learn, theta, strict=True)}
        alpha, xi, nu = (_check_value(name, values[name]) for name in PARAMETERS)
        return alpha, xi, nu

    def functional(self, theta: np.ndarray) -> SmoothedNorm:
        return SmoothedTVWithSquare(self.dims, *self.parameters(theta), self.boundary)

    def smoothed_norm(self, theta: np.ndarray) -> tuple[SmoothedNorm, np.ndarray]:
        return self.functional(theta), np.eye(3)[:, [PARAMETERS.index(name) for name in self.learn]]

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        return self.functional(theta).mixed(u, q)[:, [PARAMETERS.index(name) for name in self.learn]]

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        d = dict.fromkeys(PARAMETERS, 0.0) | dict(zip(self.learn, map(float, dtheta), strict=True))
        return self.functional(theta).mixed_apply(u, (d["alpha"],), d["xi"], d["nu"])

    def mixed_lipschitz(self, theta: np.ndarray) -> float:
        f = self.functional(theta)
        return LN10 * math.hypot(*(f.xi if name == "xi" else f.slopes[0] for name in self.learn))

    def denoising_loop(self, theta: np.ndarray, b: Array, method: str) -> Callable[..., Any] | None:
        """The fused solve of min_u ½ ‖u - b_i‖² + R_θ(u), in place on u; None for complex and device arrays."""
        if not (isinstance(b, np.ndarray) and b.dtype.kind == "f" and b.flags.c_contiguous):
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
    if not is_number(value) or not (value > 0 or (name == "xi" and value == 0)) or value == math.inf:
        expected = f"a number {least}, or {name!r} in learn and a moderate theta"
        raise ValueError(f"{name} is {shown(value)}; expected {expected}")
    return float(value)


class SmoothedTVWithSquare(SmoothedNorm):
    """α Σ √(|Du|² + ν²) + (ξ/2) ‖u‖²."""

    def __init__(self, dims: tuple[int, ...], alpha: float, xi: float, nu: float, boundary: str) -> None:
        super().__init__(BackwardDifferences(dims, boundary), nu, (alpha,), xi)


class BackwardDifferences(FieldMap):
    """D: signals or images to their backward differences, batch + (ndim,) + dims."""

    def __init__(self, dims: tuple[int, ...], boundary: str) -> None:
        nd = len(dims)
        self.dims, self.field_dims, self.boundary = dims, (nd, *dims), boundary
        self.axes, self.bounds = (-(nd + 1),), [(4.0 * nd, math.sqrt(nd + 1))]

    def forward(self, x: Array, out: Array) -> Array:
        for p, u in self._along(out, x):
            p[..., 1:] = u[..., 1:] - u[..., :-1]
            p[..., 0] = u[..., 0] if self.boundary == "zero" else 0
        return out

    def adjoint(self, y: Array, out: Array, add: bool) -> None:
        """D*y for y that is 0 where D u is."""
        if not add:
            out[...] = 0
        for p, g in self._along(y, out):
            g += p
            g[..., :-1] -= p[..., 1:]

    def _along(self, y: Array, x: Array) -> Iterator[tuple[Array, Array]]:
        """Every component of the field ``y`` and ``x``, with the axis of its differences last."""
        nd, xp = len(self.dims), backend.array_module(x)
        components = xp.moveaxis(y, -(nd + 1), 0)
        for a in range(nd):
            yield xp.moveaxis(components[a], -(a + 1), -1), xp.moveaxis(x, -(a + 1), -1)
