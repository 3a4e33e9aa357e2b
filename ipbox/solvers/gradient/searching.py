"""Gradient methods whose step a line search finds: their base, Armijo's, and Barzilai and Borwein's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_choice, check_count
from ipbox.solvers.core.protocol import Certificate, Parts, Problem, Solver, State, Verdict
from ipbox.solvers.gradient.line_search import Armijo
from ipbox.solvers.per_sample import inner, number, ratio, squares


@dataclass(frozen=True)
class Descent(Solver):
    """Base of the methods u ← u + αd whose α a line search finds; the gradient's Lipschitz constant is not needed.

    The state holds f and ∇f at u, the direction d, and the same at the last trial point.
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        silent = next((f.name for f in problem.terms if not f.explicit), None)
        if silent is not None:
            raise ValueError(f"{silent} fits no role of {type(self).__name__}: it has no value, so no line search")
        return p

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, evaluations=1)
        s.g, s.d, s.x_new, s.g_new = (p.xp.empty_like(x0) for _ in range(4))
        s.f, _ = p.smooth.value_grad(s.x, s.g, s.scratch["smooth"], p.batch is not None)
        if not np.isfinite(s.f).all():
            raise ValueError(f"x0 has the objective {s.f}; expected a start where {p.smooth.name} is finite")
        s.gg, s.gg0 = squares(s.g, p), squares(s.g, p)
        s.size = 0.0 * s.gg
        self.steepest(p, s)
        s.alpha = first_trial(p, s)
        return s

    @staticmethod
    def accept(p: Parts, s: State) -> None:
        """The last trial point becomes u."""
        s.x[...], s.g[...], s.f = s.x_new, s.g_new, s.f_new
        s.gg = squares(s.g, p)

    @staticmethod
    def stands_out(p: Parts, s: State, yy: Any, ss: Any) -> Any:
        """Whether a change y of ∇f along a step is more than rounding, that of gradients of size ‖∇f(u_0)‖, (2L|f|)^½.

        ``s.size`` is the largest ‖y‖/‖s‖ so far, in the place of L.
        """
        rounding = 4 * float(np.finfo(p.problem.dtype).eps)
        known = yy > rounding**2 * (s.gg0 + 2 * s.size * np.abs(s.f))
        s.size = number(np.where(known, np.maximum(s.size, np.sqrt(ratio(yy, ss))), s.size))
        return known

    @staticmethod
    def steepest(p: Parts, s: State) -> None:
        """d = -∇f; ``slope`` is <∇f, d>, of every direction."""
        p.xp.negative(s.g, out=s.d)
        s.slope = -s.gg

    def objective(self, p: Parts, s: State) -> Any:
        return s.f

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇f(u)‖ relative to its value at the start."""
        return np.sqrt(ratio(s.gg, s.gg0))

    def certificate(self, p: Parts, s: State) -> Certificate:
        mu = p.smooth.mu
        return Certificate("‖∇f‖/μ", np.sqrt(s.gg) / mu) if mu > 0 else super().certificate(p, s)

    def _theorem(self, p: Parts) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "f is not convex: where its level sets are bounded, limit points are stationary only")
        return self._convex_theorem(p)

    def _convex_theorem(self, p: Parts) -> Verdict:
        raise NotImplementedError("abstract")


def first_trial(p: Parts, s: State) -> Any:
    """A step of 1 % of ‖u‖ along -∇f, or f/‖∇f‖² from u = 0: free of scale (Hager and Zhang 2005, I0)."""
    size = np.sqrt(squares(s.x, p))
    relative, absolute = ratio(0.01 * size, np.sqrt(s.gg)), ratio(np.abs(s.f), s.gg)
    guess = np.where(size > 0, relative, np.where(np.asarray(absolute) > 0, absolute, 1.0))
    return number(guess)


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
        Armijo(self.c1)

    def step(self, p: Parts, s: State) -> None:
        s.alpha = 2 * Armijo(self.c1).search(p, s, s.alpha)
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
        check_choice(self.rule, "rule", ("long", "short", "alternating"))
        check_count(self.memory, "memory")
        Armijo(self.c1)

    def init(self, p: Parts, x0: Array) -> State:
        s = super().init(p, x0)
        s.recent = [s.f] * self.memory
        s.shortest = np.inf + 0.0 * s.alpha  # of the steps from changes of ∇f that stand out of rounding: near 1/L
        return s

    def step(self, p: Parts, s: State) -> None:
        alpha = Armijo(self.c1).search(p, s, s.alpha, reference=number(np.max(np.array(s.recent), axis=0)))
        s.g -= s.g_new  # -y
        sy, yy, ss = -alpha * inner(s.d, s.g, p), squares(s.g, p), alpha**2 * s.gg
        self.accept(p, s)
        s.recent[s.k % self.memory] = s.f
        short = self.rule == "short" or (self.rule == "alternating" and s.k % 2)
        guess = np.where(sy > 0, ratio(sy, yy) if short else ratio(ss, sy), 2 * alpha)
        known = self.stands_out(p, s, yy, ss)
        s.shortest = number(np.where(known & (sy > 0), np.minimum(s.shortest, guess), s.shortest))
        s.alpha = number(np.where(known, guess, np.minimum(guess, s.shortest)))
        self.steepest(p, s)

    def _convex_theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "f is convex: limit points are stationary, so minimisers (Raydan 1997, theorem 2.1)")
