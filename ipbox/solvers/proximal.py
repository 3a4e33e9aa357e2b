"""Forward-backward splitting and its acceleration, FISTA."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core import Certificate, Parts, Solver, State, Verdict
from ipbox.solvers.smooth import step_size


@dataclass(frozen=True)
class ForwardBackward(Solver):
    """u ← prox_{τg}(u - τ∇f(u)) for min f(u) + g(u), f smooth.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/L, by default 1/L.

    Notes
    -----
    With τ = 1/L: F(u_k) - F* <= L‖u_0 - u*‖²/(2k).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.array([-1.0, 2.0])) + ip.NonNegative())
    >>> ip.solve(problem, ip.ForwardBackward(), stop=ip.stop.niter(5)).x
    array([0., 2.])
    """

    tau: float | None = None
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")

    def init(self, p: Parts, x0: Array) -> State:
        return State(x=x0, grad=p.xp.empty_like(x0), tau=self._step_size(p), f={}, g={})

    def _step_size(self, p: Parts) -> float:
        return step_size(self.tau, p)

    def step(self, p: Parts, s: State) -> None:
        p.smooth.grad(s.x, out=s.grad, work=s.f)
        backend.axpy(-s.tau, s.grad, s.x)
        p.prox.prox(s.x, s.tau, out=s.x, work=s.g)

    def residual(self, p: Parts, s: State) -> Any:
        """‖u⁺ - u‖ relative to the larger of ‖u‖ and ‖u⁺‖, u⁺ = prox_{τg}(u - τ∇f(u))."""
        x_new = self._forward_backward(p, s)
        sizes = [np.sqrt(backend.sum_squares(a, p.batch is not None)) for a in (s.x, x_new, x_new - s.x)]
        return sizes[2] / np.maximum(np.maximum(sizes[0], sizes[1]), np.finfo(np.float32).tiny)

    @staticmethod
    def _forward_backward(p: Parts, s: State) -> Array:
        """u⁺ from a cold start: nothing in the state changes."""
        return p.prox.prox(s.x - s.tau * p.smooth.grad(s.x), s.tau)

    def certificate(self, p: Parts, s: State) -> Certificate:
        mu = p.smooth.mu + p.prox.mu
        if mu <= 0:
            return super().certificate(p, s)
        # (u - u⁺)/τ + ∇f(u⁺) - ∇f(u) is a subgradient at u⁺, so ‖u⁺ - u*‖ <= (1/τ + L)/μ ‖u - u⁺‖
        r = np.sqrt(backend.sum_squares(s.x - self._forward_backward(p, s), p.batch is not None))
        return Certificate("(1 + (1/τ + L)/μ) ‖u - u⁺‖", (1 + (1 / s.tau + p.smooth.L) / mu) * r)

    def _theorem(self, p: Parts) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "the smooth part is not convex")
        if not p.prox.explicit:
            return Verdict(False, f"{p.prox.name} is implicit: it may be no proximal operator of a convex functional")
        self._step_size(p)
        return Verdict(True, "f, g convex, ∇f L-Lipschitz, τ < 2/L (Combettes and Wajs 2005, theorem 3.4)")


@dataclass(frozen=True)
class FISTA(ForwardBackward):
    """Forward-backward with Nesterov's extrapolation.

    u⁺ = prox_{τg}(z - τ∇f(z)),  z = u⁺ + β(u⁺ - u),  t⁺ = (1 - q t² + √((1 - q t²)² + 4t²))/2,
    β = (t - 1)/t⁺ · (1 + τμ_g - t⁺ τμ)/(1 - τμ_f),  q = τμ/(1 + τμ_g),  μ = μ_f + μ_g.

    Parameters
    ----------
    tau : float, optional
        0 < τ <= 1/L, by default 1/L.

    Notes
    -----
    F(u_k) - F* <= 2L‖u_0 - u*‖²/(k + 1)²; with strong convexity linear with factor 1 - √q.

    References
    ----------
    Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009); Chambolle and Pock, Acta Numerica 25 (2016), algorithm 5.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.array([3.0, 0.5])) + ip.L1())
    >>> ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(50)).x.round(6)
    array([2., 0.])
    """

    def init(self, p: Parts, x0: Array) -> State:
        return State(x=x0, z=x0.copy(), grad=p.xp.empty_like(x0), t=1.0, tau=self._step_size(p), f={}, g={})

    def _step_size(self, p: Parts) -> float:
        if self.tau is None:
            step_size(None, p)  # refuses a smooth part with no Lipschitz gradient
            return 1 / p.smooth.L if p.smooth.L > 0 else 1.0
        if not self.tau > 0 or not self.tau * p.smooth.L <= 1 + 1e-9:
            bound = 1 / p.smooth.L if p.smooth.L else math.inf
            raise ValueError(f"tau is {self.tau:g}; FISTA expects a step size in (0, 1/L] with 1/L = {bound:g}")
        return float(self.tau)

    def step(self, p: Parts, s: State) -> None:
        p.smooth.grad(s.z, out=s.grad, work=s.f)
        backend.axpy(-s.tau, s.grad, s.z)
        x_new = p.prox.prox(s.z, s.tau, out=s.grad, work=s.g)
        s.t, beta = self._extrapolation(s.t, s.tau, p.smooth.mu, p.prox.mu)
        s.z[...] = x_new
        s.z -= s.x
        s.z *= beta
        s.z += x_new
        s.x[...] = x_new

    @staticmethod
    def _extrapolation(t: float, tau: float, mu_f: float, mu_g: float) -> tuple[float, float]:
        mu = mu_f + mu_g
        q = tau * mu / (1 + tau * mu_g)
        t_new = (1 - q * t**2 + math.sqrt((1 - q * t**2) ** 2 + 4 * t**2)) / 2
        if mu == 0 or tau * mu_f == 1:  # τμ_f = 1: f is a multiple of the identity's square, solved in one step
            return t_new, (t - 1) / t_new if mu == 0 else 0.0
        return t_new, (t - 1) / t_new * (1 + tau * mu_g - t_new * tau * mu) / (1 - tau * mu_f)

    def _theorem(self, p: Parts) -> Verdict:
        verdict = super()._theorem(p)
        return Verdict(True, "f, g convex, τ <= 1/L (Beck and Teboulle 2009, theorem 4.4)") if verdict else verdict
