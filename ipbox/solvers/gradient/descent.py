"""Gradient descent with a fixed step (Landweber's iteration), Armijo's or Barzilai and Borwein's; Nesterov's method."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.loop import Certificate, Parts, Solver, State, Verdict
from ipbox.solvers.gradient.line_search import Descent, backtrack, check_between, inner, number, ratio, squares


@dataclass(frozen=True)
class GradientDescent(Solver):
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
    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, grad=p.xp.empty_like(x0), tau=step_size(self.tau, p))
        p.smooth.grad(s.x, out=s.grad, work=s.work)
        s.grad0 = _norms(s.grad, p)
        return s

    def step(self, p: Parts, s: State) -> None:
        backend.axpy(-s.tau, s.grad, s.x)
        p.smooth.grad(s.x, out=s.grad, work=s.work)

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇f(u)‖ relative to its value at the start."""
        return _norms(s.grad, p) / np.where(s.grad0 > 0, s.grad0, 1.0)

    def data_residual(self, p: Parts, s: State) -> Any:
        r = s.work.get("residual")  # A u - b at the current u, left there by the gradient
        return super().data_residual(p, s) if r is None else np.sqrt(backend.sum_squares(r, p.batch is not None))

    def certificate(self, p: Parts, s: State) -> Certificate:
        mu = p.smooth.mu
        return Certificate("‖∇f‖/μ", _norms(s.grad, p) / mu) if mu > 0 else super().certificate(p, s)

    def _theorem(self, p: Parts) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "the objective is not convex")
        step_size(self.tau, p)
        if (where := lipschitz_only_on(p)) is not None:
            return where
        return Verdict(True, "f is convex with an L-Lipschitz gradient and τ < 2/L (Nesterov 2004, theorem 2.1.14)")


@dataclass(frozen=True)
class ArmijoGradientDescent(Descent):
    """u ← u - α∇f(u) with α reduced until f(u - α∇f(u)) <= f(u) - c₁ α‖∇f(u)‖².

    Every search begins with twice the last α.

    Parameters
    ----------
    c1 : float
        0 < c₁ < 1.

    Notes
    -----
    α >= min(α_0, (1 - c₁)/L); with c₁ >= ½: f(u_k) - f* <= ‖u_0 - u*‖²/(2 Σ α_i), that is O(1/k).

    References
    ----------
    Armijo, Pacific J. Math. 16 (1966); Beck, First-Order Methods in Optimization, 2017, chapter 10.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.Huber(b=np.array([3.0, -1.0]), delta=0.5))
    >>> ip.solve(problem, ip.ArmijoGradientDescent(), stop=ip.stop.residual(1e-8, every=1)).x.round(6)
    array([ 3., -1.])
    """

    c1: float = 0.5

    def __post_init__(self) -> None:
        check_between(self.c1, "c1", 0, 1)

    def step(self, p: Parts, s: State) -> None:
        s.alpha = 2 * backtrack(p, s, s.alpha, self.c1)
        self.accept(p, s)
        self.steepest(p, s)

    def _convex_theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "f is convex with a locally Lipschitz gradient (Burachik et al., Optimization 32, 1995)")


@dataclass(frozen=True)
class BarzilaiBorwein(Descent):
    """u ← u - α∇f(u), α from the last step s and the change y of the gradient; f may rise for a while (Raydan).

    α = ‖s‖²/<s, y> (long) or <s, y>/‖y‖² (short), reduced until f(u - α∇f(u)) <= max f - c₁ α‖∇f(u)‖² over the last
    iterates.

    Parameters
    ----------
    rule : str
        ``"long"``, ``"short"``, or ``"alternating"`` between both.
    memory : int
        How many of the last iterates have their f looked at; 1 makes f decrease.
    c1 : float
        0 < c₁ < 1.

    References
    ----------
    Barzilai and Borwein, IMA J. Numer. Anal. 8 (1988); Raydan, SIAM J. Optim. 7 (1997).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.diag([1.0, 5.0]))
    >>> problem = ip.Problem(ip.L2(A, np.array([1.0, 10.0])))
    >>> ip.solve(problem, ip.BarzilaiBorwein(), stop=ip.stop.residual(1e-8, every=1)).x.round(6)
    array([1., 2.])
    """

    rule: str = "long"
    memory: int = 10
    c1: float = 1e-4

    def __post_init__(self) -> None:
        if self.rule not in ("long", "short", "alternating"):
            raise ValueError(f"rule is {self.rule!r}; expected 'long', 'short' or 'alternating'")
        check_count(self.memory, "memory")
        check_between(self.c1, "c1", 0, 1)

    def init(self, p: Parts, x0: Array) -> State:
        s = super().init(p, x0)
        s.recent = [s.f] * self.memory
        return s

    def step(self, p: Parts, s: State) -> None:
        alpha = backtrack(p, s, s.alpha, self.c1, number(np.max(np.array(s.recent), axis=0)))
        s.g -= s.g_new  # -y
        sy, yy, ss = -alpha * inner(s.d, s.g, p), squares(s.g, p), alpha**2 * s.gg
        self.accept(p, s)
        s.recent[s.k % self.memory] = s.f
        short = self.rule == "short" or (self.rule == "alternating" and s.k % 2)
        s.alpha = number(np.where(sy > 0, ratio(sy, yy) if short else ratio(ss, sy), 2 * alpha))
        self.steepest(p, s)

    def _convex_theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "f is convex: limit points are stationary, so minimisers (Raydan 1997, theorem 2.1)")


@dataclass(frozen=True)
class Nesterov(Solver):
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
    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.restart, bool):
            raise TypeError(f"restart is {self.restart!r}; expected True or False")

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, z=x0.copy(), grad=p.xp.empty_like(x0), d=p.xp.empty_like(x0), tau=self._step_size(p))
        p.smooth.grad(s.x, out=s.grad, work=s.work)
        s.grad0 = _norms(s.grad, p)
        s.t = np.ones(p.batch) if self.restart and p.batch is not None else 1.0
        return s

    def _step_size(self, p: Parts) -> float:
        L = p.smooth.L
        tau = step_size(1 / L if self.tau is None and L > 0 else self.tau, p)
        if not tau * L <= 1 + 1e-9:
            raise ValueError(f"tau is {tau:g}; Nesterov expects a step size in (0, 1/L] with 1/L = {1 / L:g}")
        return tau

    def step(self, p: Parts, s: State) -> None:
        p.smooth.grad(s.z, out=s.grad, work=s.work)
        backend.axpy(-s.tau, s.grad, s.z)  # u⁺
        p.xp.subtract(s.z, s.x, out=s.d)
        s.x[...] = s.z
        s.t, beta = self._momentum(s.t, s.tau * p.smooth.mu)
        if self.restart:
            uphill = inner(s.grad, s.d, p) > 0
            s.t, beta = number(np.where(uphill, 1.0, s.t)), number(np.where(uphill, 0.0, beta))
        backend.axpy(beta, s.d, s.z)

    @staticmethod
    def _momentum(t: Any, q: float) -> tuple[Any, Any]:
        t_new = (1 - q * t**2 + np.sqrt((1 - q * t**2) ** 2 + 4 * t**2)) / 2
        return t_new, (t - 1) / t_new * ((1 - q * t_new) / (1 - q) if q < 1 else 0.0)

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇f(u)‖ relative to its value at the start; ∇f is computed for it."""
        return ratio(_norms(p.smooth.grad(s.x), p), s.grad0)

    def certificate(self, p: Parts, s: State) -> Certificate:
        """‖u - u*‖ <= ‖z - u*‖ <= ‖∇f(z)‖/μ for the gradient step u from z, where ∇f is known anyway."""
        mu = p.smooth.mu
        return Certificate("‖∇f‖/μ", _norms(s.grad, p) / mu) if mu > 0 else super().certificate(p, s)

    def _theorem(self, p: Parts) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "the objective is not convex")
        self._step_size(p)
        if (where := lipschitz_only_on(p)) is not None:
            return where
        if self.restart:
            return Verdict(False, "with restarts f is convex and τ <= 1/L do not suffice: no theorem is known")
        return Verdict(True, "f is convex with an L-Lipschitz gradient and τ <= 1/L (Nesterov 2004, theorem 2.2.2)")


def step_size(tau: float | None, p: Parts) -> float:
    """τ checked against 2/L of the smooth part, or its default."""
    L, mu = p.smooth.L, p.smooth.mu + p.prox.mu
    if not L < math.inf:
        raise ValueError(f"{p.smooth.name} has no Lipschitz gradient; expected smooth terms")
    if tau is None:
        return 2 / (L + mu) if mu > 0 and mu < L and not p.labels["prox"] else 1 / L if L > 0 else 1.0
    if not 0 < tau or not tau * L < 2:
        raise ValueError(f"tau is {tau:g}; expected a step size in (0, 2/L) with 2/L = {2 / L if L else math.inf:g}")
    return float(tau)


def lipschitz_only_on(p: Parts) -> Verdict | None:
    """The missing condition where a term's Lipschitz constant holds on a part of the space only."""
    f = next((f for f in p.problem.terms if f.name in p.labels["smooth"] and f.L_holds_on is not None), None)
    if f is None:
        return None
    return Verdict(False, f"the Lipschitz constant of {f.name} holds where {f.L_holds_on}, which iterates may leave")


def check_count(value: Any, name: str, least: int = 1) -> None:
    """Refuse what is no integer from ``least``, 1 or 0, on."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        expected = "a positive integer" if least else "an integer that is not negative"
        raise ValueError(f"{name} is {value!r}; expected {expected}")


def _norms(x: Array, p: Parts) -> Any:
    return np.sqrt(backend.sum_squares(x, p.batch is not None))
