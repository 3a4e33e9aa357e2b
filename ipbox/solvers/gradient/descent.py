"""Gradient descent with a fixed step (Landweber's iteration), and Nesterov's method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_flag
from ipbox.solvers.core.protocol import Certificate, NextStep, Parts, Solver, State, Verdict
from ipbox.solvers.per_sample import inner, norms, number, ratio, squares


@dataclass(frozen=True)
class FixedStep(Solver):
    """Base of the gradient methods whose step size τ is fixed; the state holds the last gradient, ``grad``."""

    takes: ClassVar[tuple[str, ...]] = ("smooth",)
    by_ranks: ClassVar[bool] = True

    def _step_size(self, p: Parts) -> float:
        return step_size(self.tau, p)

    def certificate(self, p: Parts, s: State) -> Certificate:
        """‖u - u*‖ <= ‖∇f(u)‖/μ, and the same from z with ∇f(z) for the gradient step u from z."""
        mu = p.smooth.mu
        return Certificate("‖∇f‖/μ", norms(s.grad, p) / mu) if mu > 0 else super().certificate(p, s)

    def _theorem(self, p: Parts) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "the objective is not convex")
        self._step_size(p)
        where = lipschitz_only_on(p)
        return self._convex_theorem(p) if where is None else where

    def _convex_theorem(self, p: Parts) -> Verdict:
        raise NotImplementedError("abstract")


@dataclass(frozen=True)
class GradientDescent(FixedStep):
    """u ← u - τ ∇f(u); for f = ½‖Au - b‖² Landweber's iteration.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/L; by default 1/L, or 2/(L + μ) where f is strongly convex.

    Notes
    -----
    f(u_k) - f* <= L‖u_0 - u*‖²/(2k) for τ = 1/L; with strong convexity linear, and ‖u - u*‖ <= ‖∇f(u)‖/μ.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.array([1.0, 2.0])))
    >>> ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(5)).x
    array([1., 2.])
    """

    tau: float | None = None
    knows_next_step: ClassVar[bool] = True

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, grad=p.xp.empty_like(x0), tau=self._step_size(p))
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])
        s.grad0 = norms(s.grad, p)
        return s

    def step(self, p: Parts, s: State) -> None:
        backend.axpy(-s.tau, s.grad, s.x)
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇f(u)‖ relative to its value at the start."""
        return ratio(norms(s.grad, p), s.grad0)

    def data_residual(self, p: Parts, s: State) -> Any:
        r = s.scratch["smooth"].get("residual")  # A u - b at the current u, left there by the gradient
        return super().data_residual(p, s) if r is None else norms(r, p, p.problem.fidelity)

    def next_step(self, p: Parts, s: State, memory: dict[str, Any]) -> NextStep:
        """w = τλr for f = λ/2 ‖Au - b‖², A*w = -τ∇f(u); given as r."""
        D = p.problem.D
        r = -D.residual(s.x)
        return NextStep(r, r, s.tau / D.weight * squares(s.grad, p))

    def _convex_theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "f is convex with an L-Lipschitz gradient and τ < 2/L (Nesterov 2004, theorem 2.1.14)")


@dataclass(frozen=True)
class Nesterov(FixedStep):
    """Nesterov's accelerated gradient method: u⁺ = z - τ∇f(z), z = u⁺ + β(u⁺ - u).

    t⁺ = (1 - q t² + √((1 - q t²)² + 4t²))/2, β = (t - 1)/t⁺ · (1 - q t⁺)/(1 - q), q = τμ; β = (t - 1)/t⁺ without strong
    convexity.

    Parameters
    ----------
    tau : float, optional
        0 < τ <= 1/L, by default 1/L.
    restart : bool
        Set t = 1 where <∇f(z), u⁺ - u> > 0: then the momentum points uphill.  Adapts to an unknown μ.

    Notes
    -----
    f(u_k) - f* <= 2‖u_0 - u*‖²/(τ(k + 1)²); with μ > 0 at most
    (1 + √q)(1 - √q)^k (f(u_0) - f* + μ/2 ‖u_0 - u*‖²).

    References
    ----------
    Nesterov, Soviet Math. Dokl. 27 (1983), and Introductory Lectures on Convex Optimization, 2004, section 2.2;
    Chambolle and Pock, Acta Numerica 25 (2016), theorem 4.10; O'Donoghue and Candès, Found. Comput. Math. 15 (2015).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.diag([1.0, 5.0]))
    >>> problem = ip.Problem(ip.L2(A, np.array([1.0, 10.0])))
    >>> ip.solve(problem, ip.Nesterov(restart=True), stop=ip.stop.residual(1e-8, every=1)).x.round(6)
    array([1., 2.])
    """

    tau: float | None = None
    restart: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag(self.restart, "restart")

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, z=x0.copy(), grad=p.xp.empty_like(x0), d=p.xp.empty_like(x0), tau=self._step_size(p))
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])
        s.grad0 = norms(s.grad, p)
        s.t = np.ones(p.batch) if self.restart and p.batch is not None else 1.0
        return s

    def _step_size(self, p: Parts) -> float:
        return short_step_size(self.tau, p, type(self).__name__)

    def step(self, p: Parts, s: State) -> None:
        p.smooth.grad(s.z, out=s.grad, work=s.scratch["smooth"])
        backend.axpy(-s.tau, s.grad, s.z)  # u⁺
        p.xp.subtract(s.z, s.x, out=s.d)
        s.x[...] = s.z
        s.t, beta = momentum(s.t, s.tau, p.smooth.mu)
        if self.restart:
            uphill = inner(s.grad, s.d, p) > 0
            s.t, beta = number(np.where(uphill, 1.0, s.t)), number(np.where(uphill, 0.0, beta))
        backend.axpy(beta, s.d, s.z)

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇f(u)‖ relative to its value at the start; ∇f is computed for it."""
        return ratio(norms(p.smooth.grad(s.x), p), s.grad0)

    def _convex_theorem(self, p: Parts) -> Verdict:
        if self.restart:
            return Verdict(False, "with restarts f is convex and τ <= 1/L do not suffice: no theorem is known")
        return Verdict(True, "f is convex with an L-Lipschitz gradient and τ <= 1/L (Nesterov 2004, theorem 2.2.2)")


def step_size(tau: float | None, p: Parts) -> float:
    """τ checked against 2/L of the smooth part, or its default."""
    L, mu = p.smooth.L, p.smooth.mu + p.prox.mu
    if not L < math.inf:
        own = next((f for f in p.problem.terms if f.foreign and f.has_grad and not f.L < math.inf), None)
        if own is not None:
            raise ValueError(
                f"{own.name} has no Lipschitz constant that is known; expected L=... in ip.functional, or "
                f"a line search or backtracking, as in ip.LBFGS() or ip.FISTA(backtracking=True)"
            )
        raise ValueError(f"{p.smooth.name} has no Lipschitz gradient; expected smooth terms")
    if tau is None:
        return 2 / (L + mu) if mu > 0 and mu < L and not p.labels["prox"] else 1 / L if L > 0 else 1.0
    if not 0 < tau or not tau * L < 2:
        raise ValueError(f"tau is {tau:g}; expected a step size in (0, 2/L) with 2/L = {2 / L if L else math.inf:g}")
    return float(tau)


def short_step_size(tau: float | None, p: Parts, who: str) -> float:
    """τ checked against 1/L of the smooth part, or its default 1/L, of accelerated methods."""
    step_size(None, p)  # refuses a smooth part with no Lipschitz gradient
    largest = 1 / p.smooth.L if p.smooth.L > 0 else math.inf
    if tau is None:
        return largest if largest < math.inf else 1.0
    if not tau > 0 or not tau * p.smooth.L <= 1 + 1e-9:
        raise ValueError(f"tau is {tau:g}; {who} expects a step size in (0, 1/L] with 1/L = {largest:g}")
    return float(tau)


def momentum(t: Any, tau: float, mu_f: float, mu_g: float = 0.0) -> tuple[Any, Any]:
    """The next t of the accelerated methods for f + g, and the factor β of the extrapolation."""
    mu = mu_f + mu_g
    q = tau * mu / (1 + tau * mu_g)
    t_new = (1 - q * t**2 + ((1 - q * t**2) ** 2 + 4 * t**2) ** 0.5) / 2
    if mu == 0 or tau * mu_f >= 1:  # τμ_f = 1: f is a multiple of the identity's square, solved in one step
        return t_new, (t - 1) / t_new if mu == 0 else 0.0 * t
    return t_new, (t - 1) / t_new * (1 + tau * mu_g - t_new * tau * mu) / (1 - tau * mu_f)


def lipschitz_only_on(p: Parts) -> Verdict | None:
    """The missing condition where a term's Lipschitz constant holds on a part of the space only."""
    f = next((f for f in p.problem.terms if f.name in p.labels["smooth"] and f.L_holds_on is not None), None)
    if f is None:
        return None
    return Verdict(False, f"the Lipschitz constant of {f.name} holds where {f.L_holds_on}, which iterates may leave")
