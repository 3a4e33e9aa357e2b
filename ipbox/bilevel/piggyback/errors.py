r"""A-posteriori bounds of what a piggyback iterate tells of the objective and its gradient.

With M = ∇²f, d = u - û, e = p - Kû and H between ∇²g(p) and ∇²g(Kû), strong monotonicity reads

.. math:: ‖d‖_M^2 + ‖e‖_H^2 \le ‖∇f(u) + K^*y‖_{M^{-1}} ‖d‖_M + ‖Ku - p‖_H ‖e‖_H;

a and b being these norms of the residuals, ‖d‖_M <= (a + (a² + b²)^½)/2 and ‖e‖_H the same with a and b exchanged.  The
adjoint equation linearised at p gives the same for U and KU with its residuals.  That the second derivatives are those
at p and not at Kû changes them by ΔH K U, whose norm in M^{-1} after K*, or in H^{-1}, takes the place of a or b: in
every pixel that which is smaller.  ΔH is at most T_i |e_i|, T_i the largest third derivative of α(|p|² + ν²)^½ within
reach of p_i, and H at least h_i, its second derivative there: far from flat parts the former, in them the latter are
much better than the constants for all images.  Nothing is estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.piggyback.iteration import Iteration
from ipbox.bilevel.problem.samples import inner, norms
from ipbox.bilevel.terms.base import LN10

TURN = 3**-0.5  # of |p|/s: beyond, third derivatives of s are largest askew to p


@dataclass
class Estimates:
    """What an iterate tells of every sample, shape (n,) but for ``z``, its part of ∇f(θ), shape (n, p).

    ``z_bound`` bounds the error of z, ``certificate`` that of u, and ``lower`` <= ℓ_i(û_i) <= ``upper``.
    """

    z: np.ndarray
    z_bound: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    certificate: np.ndarray


def estimates(it: Iteration) -> Estimates:
    """The gradient and the objective at an iterate, with their bounds."""
    saddle, scale = it.saddle, it.saddle.scale
    a, b = saddle.residual_norm(it.r_u), _steepest(it)
    x, y = _errors(a, b)
    fields = [_Field(it, k, x, y) for k in range(len(saddle.alpha))]
    Hs = saddle.curve(it.p, it.s, it.s_w)  # ∇²g(p) (W - KU)
    a_U = saddle.residual_norm(it.s_u)
    x_U, y_U = _errors(a_U, np.sqrt(np.maximum(inner(it.s_w, Hs), 0.0)))
    through_K, within = np.array([f.variation(x_U, y_U) for f in fields]).sum(axis=0)
    x_near, y_near = _errors(2 * scale * x / saddle.mu_observed + through_K, within)
    z, z_bound = _gradient(it, fields, x, (x_U + x_near, y_U + y_near))

    distance = norms(saddle.lower.observed(it.u) - saddle.truths)
    observed = x / math.sqrt(saddle.mu_observed)
    value, plain, square = scale * distance**2, 2 * scale * distance * observed, scale * observed**2
    first = -inner(it.U, it.r_u) - inner(it.Y, it.r_p)
    parts = zip(saddle.K.parts(Hs), fields, strict=True)
    second = a_U * x + sum(f.total(f.modulus(part)) + f.remainder() for part, f in parts)
    lower = value + np.maximum(first - second, -plain)
    upper = value + np.minimum(first + second, plain) + square
    return Estimates(z, z_bound, np.maximum(lower, 0.0), upper, x / math.sqrt(saddle.mu))


def _errors(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest x and the largest y with x² + y² <= ax + by."""
    both = np.hypot(a, b)
    return (a + both) / 2, (b + both) / 2


def _steepest(it: Iteration) -> np.ndarray:
    """A bound of ‖Ku - p‖_H: H <= α_k/ν."""
    saddle = it.saddle
    parts = zip(saddle.alpha, saddle.K.parts(it.r_p), strict=True)
    return np.sqrt(sum((alpha / saddle.nu) * norms(part) ** 2 for alpha, part in parts))


def _gradient(
    it: Iteration, fields: list[_Field], x: np.ndarray, adjoint: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """z = -<U, ∂∇f(u)> - <KU, ∂∇g(p)>, and a bound of its error.

    It is ‖∂(∇f(u) + K*∇g(p))‖ in M^{-1} times that of U, with what <Û, .> and <KÛ, .> make of the changes of ∂∇f
    and ∂∇g from the iterate to û.
    """
    saddle, n, nu = it.saddle, len(it.u), it.saddle.nu
    x_U, eps = adjoint[0], x / math.sqrt(saddle.mu)
    z, change = np.zeros((n, len(saddle.by_theta))), np.zeros((n, len(saddle.by_theta)))
    columns: list[Array | None] = [None] * len(saddle.by_theta)
    wanted = saddle.by_theta.any(axis=1)
    for k, f in enumerate(fields):
        if wanted[k]:  # ∂∇g = ln 10 y_k
            z[:, k] = -LN10 * inner(f.KU, f.y)
            change[:, k] = LN10 * f.change(f.slope(), *adjoint)
            columns[k] = LN10 * (it.Kty if len(fields) == 1 else _pulled(it, k))
    if wanted[-2]:  # ∂∇f = ln 10 ξu, ξ that of the norm alone
        z[:, -2] = -LN10 * saddle.own_xi * inner(it.U, it.u)
        change[:, -2] = LN10 * saddle.own_xi * eps * (norms(it.U) + x_U / math.sqrt(saddle.mu))
        columns[-2] = LN10 * saddle.own_xi * it.u
    if wanted[-1]:  # ∂∇g = -ln 10 ν²/s² y
        y = backend.array_module(it.y).empty_like(it.y)
        for f, part in zip(fields, saddle.K.parts(y), strict=True):
            part[...] = f.y * (nu / f.s) ** 2
            change[:, -1] += LN10 * f.change(f.slope_by_nu(), *adjoint)
        z[:, -1] = LN10 * inner(it.KU, y)
        columns[-1] = -LN10 * saddle.adjoint(y)
    M = saddle.by_theta
    C = [sum(m * c for m, c in zip(column, columns, strict=True) if m != 0) for column in M.T]
    gram = np.array([[inner(a, saddle.inverse_hessian(b)) for a in C] for b in C]).transpose(2, 0, 1)
    size = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[:, -1], 0.0))
    return z @ M, size * x_U + np.linalg.norm(change @ abs(M), axis=1)


def _pulled(it: Iteration, k: int) -> Array:
    """K_k*y_k."""
    y = backend.array_module(it.y).zeros_like(it.y)
    it.saddle.K.parts(y)[k][...] = it.saddle.K.parts(it.y)[k]
    return it.saddle.adjoint(y)


class _Field:
    """The part k of the fields, and how far p_k may be from K_k û, e = p_k - K_k û.

    ``rho`` bounds |e_i|, ``distance`` ‖e‖ and ``y`` ‖e‖_H.  As h_i |e_i|² is a part of ‖e‖_H², pixels where that says
    more, ``flat``, are told from the others; both sums below are of the two.
    """

    def __init__(self, it: Iteration, k: int, x: np.ndarray, y: np.ndarray) -> None:
        saddle = it.saddle
        self.norm, self.xp, self._inner = saddle.norms[k] / math.sqrt(saddle.mu), saddle.lower.xp, saddle.norm._inner
        self.nu, self.alpha, pixel = saddle.nu, saddle.alpha[k], saddle.K.bounds[k][1] / math.sqrt(saddle.mu)
        p, self.y, self.KU = (saddle.K.parts(field)[k] for field in (it.p, it.y, it.KU))
        residual, self.s = saddle.K.parts(it.r_p)[k], it.s[k]
        t, self.m = self.modulus(p), self.modulus(self.KU)
        self.energy, self.distance = y, norms(residual) + self.norm * x
        rho = self.modulus(residual) + backend.per_sample(pixel * x, residual)
        h = self.alpha * self.nu**2 / ((t + rho) ** 2 + self.nu**2) ** 1.5
        self.root = self.xp.sqrt(h)
        self.rho = self.xp.minimum(rho, backend.per_sample(y, h) / self.root)
        self.nearest, self.farthest = self.xp.maximum(t - self.rho, 0), t + self.rho
        self.flat = self.root * backend.per_sample(self.distance, h) >= backend.per_sample(y, h)
        self.T = self._third()

    def modulus(self, v: Array) -> Array:
        """|v_i|, with the axes of the field."""
        return self.xp.sqrt(self._inner(v, v))

    def _third(self) -> Array:
        """T: with t = |p|, 3αtν²/s⁵ up to t = ν/√2 and 2α/(√3 s²) beyond; it grows up to t = ν/2 and falls then."""
        t = self.xp.clip(self.nu / 2, self.nearest, self.farthest)
        s2 = t * t + self.nu**2
        s = self.xp.sqrt(s2)
        return self.alpha * self.xp.where(t <= TURN * s, 3 * t * self.nu**2 / (s2 * s2 * s), 2 * TURN / s2)

    def slope(self) -> Array:
        """Lipschitz constants of p ↦ αp/s."""
        return self.alpha / self.xp.sqrt(self.nearest**2 + self.nu**2)

    def slope_by_nu(self) -> Array:
        """Lipschitz constants of p ↦ αν²p/s³."""
        s = self.xp.sqrt(self.nearest**2 + self.nu**2)
        return self.alpha * self.xp.minimum(1 / self.nu, 2 * self.nu**2 / s**3)

    # ------------------------------------------------------------ bounds of sums over the pixels

    def total(self, w: Array) -> np.ndarray:
        """Of Σ w_i |e_i|."""
        apart = norms(w / self.root * self.flat) * self.energy + norms(w * ~self.flat) * self.distance
        return np.minimum(backend.reduce_sum(w * self.rho, True), apart)

    def size(self, w: Array) -> np.ndarray:
        """Of (Σ w_i² |e_i|²)^½."""
        apart = np.hypot(_largest(w / self.root * self.flat) * self.energy, _largest(w * ~self.flat) * self.distance)
        return np.minimum(norms(w * self.rho), apart)

    def change(self, slope: Array, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of |<K Û, w>| for |w_i| <= slope_i |e_i|, where U is wrong by x in M and KU by y in H."""
        more = np.minimum(self.size(slope) * self.norm * x, self.size(slope / self.root) * y)
        return self.total(slope * self.m) + more

    def variation(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of ΔH K Ũ, U being wrong by x and KU by y: through K* in M^{-1}, or in H^{-1} where this is less."""
        own, more = self.T * self.m, self.T * self.rho
        within = self.root * self.norm >= 1
        through_K = self.norm * (self.size(own * ~within) + _largest(more * ~within) * self.norm * x)
        inverse = within / self.root
        return through_K, self.size(own * inverse) + _largest(more * inverse / self.root) * y

    def remainder(self) -> np.ndarray:
        """Of <K U, ∇g(Kû) - ∇g(p) + ∇²g(p) e>."""
        w = self.T * self.m
        flat, other = _largest(w / self.root**2 * self.flat), _largest(w * ~self.flat)
        apart = flat * self.energy**2 + other * self.distance**2
        return 0.5 * np.minimum(backend.reduce_sum(w * self.rho**2, True), apart)


def _largest(x: Array) -> np.ndarray:
    return backend.to_host(x.reshape(len(x), -1).max(axis=1)).astype(np.float64)
