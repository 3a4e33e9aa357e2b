"""The lower level as a saddle-point problem, and what a primal-dual step on it and on its derivative takes."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.problem.samples import inner
from ipbox.bilevel.terms.base import Fixed
from ipbox.functionals import L2, Tikhonov
from ipbox.functionals.total_variation.smoothed_norm import SmoothedNorm

NEWTON_STEPS = 2  # of a warm-started resolvent: whatever they leave, p and y = ∇g(p) are conjugate exactly


class Saddle:
    r"""min_u max_y f(u) + <Ku, y> - g*(y), the lower level of some samples at θ.

    .. math:: f(u) = \frac{1}{2} ‖Au - b‖^2 + \frac{ξ}{2} ‖u‖^2, \quad
              g(p) = \sum_k α_k \sum_i \sqrt{|(p_k)_i|^2 + ν^2},

    f is μ-strongly convex, and so is g* with κ_k = ν/α_k on the part k, as ∇g is α_k/ν-Lipschitz there.  Fields are
    held as p = ∇g*(y), from which y = ∇g(p) follows.

    Parameters
    ----------
    lower : LowerLevel
    theta : array, shape (p,)
    truths : array, shape (n,) + observed dims
    scale : float
        Of the upper level's fit ℓ(u) = scale Σ_i ‖Pu_i - truth_i‖².
    """

    def __init__(self, lower: LowerLevel, theta: np.ndarray, truths: Array, scale: float) -> None:
        self.lower, self.theta, self.truths, self.scale = lower, theta, truths, scale
        self.norm, self.by_theta, self.xi = smoothed_norm(lower, theta)
        self.K, self.nu, self.own_xi = self.norm.K, self.norm.eps, self.norm.weight * self.norm.xi
        self.alpha = [self.norm.weight * a for a in self.norm.alpha]
        self.norms = [math.sqrt(square) for square, _ in self.K.bounds]  # ‖K_k‖
        self.mu = lower.constants(theta)[0]
        # P*P <= I, and what is observed is what f is of where P = A
        self.mu_observed = 1.0 + self.xi if lower.observe is not None and lower.observe is lower.A else self.mu
        curvature = self.K.curvature(self.alpha) / self.nu  # >= ‖Σ κ_k^-1 K_k*K_k‖
        self.c = math.sqrt(self.mu / curvature)  # σ_k κ_k = τ μ
        self.tau = 1.0 / math.sqrt(self.mu * curvature)
        self.omega = 1.0 / (1.0 + 2.0 * self.c)
        A, b = lower.A, lower.b
        self.back = b if A is None else A.apply_adjoint(b)  # A*b

    def take(self, i: np.ndarray) -> Saddle:
        """That of the samples ``i`` alone."""
        return Saddle(self.lower.take(i), self.theta, self.truths[i], self.scale)

    # ------------------------------------------------------------ f

    def gradient(self, u: Array) -> Array:
        """∇f(u)."""
        A = self.lower.A
        return (u if A is None else A.apply_adjoint(A.apply(u))) + self.xi * u - self.back

    def hessian(self, v: Array) -> Array:
        """∇²f v."""
        A = self.lower.A
        return (v if A is None else A.apply_adjoint(A.apply(v))) + self.xi * v

    def inverse_hessian(self, v: Array) -> Array:
        """∇²f^-1 v."""
        A = self.lower.A
        return v / (1.0 + self.xi) if A is None else (v - A.apply_adjoint(A.apply(v)) / (1.0 + self.xi)) / self.xi

    def residual_norm(self, r: Array) -> np.ndarray:
        """‖r‖ in ∇²f^-1, of every sample."""
        return np.sqrt(np.maximum(inner(r, self.inverse_hessian(r)), 0.0))

    def resolvent(self, v: Array) -> Array:
        """(I + τ∇²f)^-1 v, closed since AA* = I."""
        A, tau, c = self.lower.A, self.tau, 1.0 + self.tau * self.xi
        return v / (c + tau) if A is None else (v - tau / (c + tau) * A.apply_adjoint(A.apply(v))) / c

    def fit_gradient(self, u: Array) -> Array:
        """∇ℓ(u) = 2 scale P*(Pu - truth)."""
        P = self.lower.observe
        g = (2 * self.scale * (self.lower.observed(u) - self.truths)).astype(u.dtype)
        return g if P is None else P.apply_adjoint(g)

    # ------------------------------------------------------------ K and g

    def forward(self, u: Array) -> Array:
        """Ku."""
        u = backend.array_module(u).ascontiguousarray(u)
        return self.K.forward(u, backend.array_module(u).empty((len(u), *self.K.field_dims), dtype=u.dtype))

    def adjoint(self, y: Array) -> Array:
        """K*y."""
        out = backend.array_module(y).empty((len(y), *self.K.dims), dtype=y.dtype)
        self.K.adjoint(y, out, False)
        return out

    def sizes(self, p: Array) -> list[Array]:
        """s = (|p|² + ν²)^½ of every part."""
        return [self.norm._s(part) for part in self.K.parts(p)]

    def dual(self, p: Array, s: list[Array]) -> Array:
        """∇g(p) = α p/s."""
        y = backend.array_module(p).empty_like(p)
        for alpha, part, size, out in zip(self.alpha, self.K.parts(p), s, self.K.parts(y), strict=True):
            out[...] = part * (alpha / size)
        return y

    def curve(self, p: Array, s: list[Array], w: Array) -> Array:
        """∇²g(p) w = (α/s) (w - p <p, w>/s²)."""
        out, parts = backend.array_module(p).empty_like(w), self.K.parts
        for alpha, x, size, v, change in zip(self.alpha, parts(p), s, parts(w), parts(out), strict=True):
            change[...] = (alpha / size) * (v - x * (self.norm._inner(x, v) / size**2))
        return out

    def dual_resolvent(self, y: Array, p: Array) -> tuple[Array, list[Array]]:
        """p with σp + ∇g(p) = y, so that ∇g(p) is the resolvent of σ∂g* at y, from a near p; and its s.

        |p| = νx solves cx + x/(x² + 1)^½ = |y|/α, a concave equation: Newton's method from below never leaves.
        """
        xp, c, new, s = backend.array_module(y), self.c, backend.array_module(y).empty_like(p), []
        for alpha, v, near, out in zip(self.alpha, self.K.parts(y), self.K.parts(p), self.K.parts(new), strict=True):
            r = xp.sqrt(self.norm._inner(v, v)) / alpha
            least = xp.maximum(r / (1 + c), (r - 1) / c)
            x = xp.maximum(xp.sqrt(self.norm._inner(near, near)) / self.nu, least)
            for _ in range(NEWTON_STEPS):
                t = 1 / xp.sqrt(x * x + 1)
                x = xp.maximum(x - (c * x + x * t - r) / (c + t**3), least)
            # p is parallel to y, and (σ + α/s) p = y with σ = cα/ν
            t = 1 / xp.sqrt(x * x + 1)
            out[...] = v * ((self.nu / alpha) / (c + t))
            s.append(self.norm._s(out))
        return new, s

    def curve_resolvent(self, p: Array, s: list[Array], y: Array) -> Array:
        """w with (∇²g(p) + σ) w = y, so that ∇²g(p) w is what the derivative of the resolvent makes of y."""
        out, parts = backend.array_module(p).empty_like(y), self.K.parts
        for alpha, x, size, v, w in zip(self.alpha, parts(p), s, parts(y), parts(out), strict=True):
            sigma = self.c * alpha / self.nu
            across, along = alpha / size + sigma, alpha * self.nu**2 / size**3 + sigma
            w[...] = v / across + x * (self.norm._inner(x, v) * (alpha / (size**3 * across * along)))
        return out

    def scaled(self, y: Array) -> Array:
        """σ_k y_k of every part."""
        out = backend.array_module(y).empty_like(y)
        for alpha, part, scaled in zip(self.alpha, self.K.parts(y), self.K.parts(out), strict=True):
            scaled[...] = part * (self.c * alpha / self.nu)
        return out


def smoothed_norm(lower: LowerLevel, theta: np.ndarray) -> tuple[SmoothedNorm, np.ndarray, float]:
    """g∘K with the quadratic of its own, the derivative of log10 (α_k, ξ, ν) by θ, and ξ of all terms.

    Raises
    ------
    TypeError
        where the lower level is no such saddle-point problem.
    """
    first, *rest = lower.terms
    if not isinstance(first, Fixed) or type(first.f) is not L2:
        name = type(first.f if isinstance(first, Fixed) else first).__name__
        raise TypeError(f"fidelity is {name}; Piggyback expects ½‖Au - b‖², the default")
    found, xi = None, 0.0
    for term, part in lower.parts(theta)[1:]:
        described = term.smoothed_norm(part)
        if described is not None and found is None:
            found = described
            xi += found[0].weight * found[0].xi
        elif isinstance(term, Fixed) and isinstance(term.f, Tikhonov) and term.f.order == 0:
            xi += term.f.mu
        else:
            name = term.f.name if isinstance(term, Fixed) else type(term).__name__
            what = "a second smoothed norm" if described is not None else "not a norm of Ku smoothed by ν > 0"
            raise TypeError(
                f"terms has {name}, {what}; Piggyback expects one such as SmoothedTVRegulariser, "
                "SmoothedTGVRegulariser or Weight(ip.SmoothedTV(dims, eps)), and Tikhonov(dims, order=0) beside it"
            )
    if found is None:
        raise TypeError("terms have no smoothed norm; Piggyback expects one, such as SmoothedTVRegulariser")
    return (*found, xi)


def check_resolvent(lower: LowerLevel) -> None:
    """Refuse an operator whose f has no closed resolvent.

    Raises
    ------
    TypeError
        where AA* is not the identity.
    """
    A = lower.A
    if A is None:
        return
    rng = backend.generator(0, lower.b)
    r = rng.standard_normal((1, *A.dims), dtype=backend.real_dtype(lower.dtype)).astype(lower.dtype)
    y = A.apply(r)
    error = backend.norm(A.apply(A.apply_adjoint(y)) - y) / backend.norm(y)
    if not error <= float(np.finfo(lower.dtype).eps) ** 0.5:
        raise TypeError(
            f"A is {A.name}, of which AA* is not the identity, so that ½‖Au - b‖² has no closed resolvent; Piggyback "
            "expects None (denoising), or one such as FourierTransform; MAID takes any"
        )
