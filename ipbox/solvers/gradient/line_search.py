"""How far to go along a direction: backtracking to a sufficient decrease, and the strong Wolfe conditions.

Batches are searched in step: every sample has its own α, and those that are done keep it.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.loop import Certificate, Parts, Problem, Solver, State, Verdict

TRIALS = 30  # of one search; a third of them halve the interval


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
        s.f, _ = p.smooth.value_grad(s.x, s.g, s.work, p.batch is not None)
        if not np.isfinite(s.f).all():
            raise ValueError(f"x0 has the objective {s.f}; expected a start where {p.smooth.name} is finite")
        s.gg, s.gg0 = squares(s.g, p), squares(s.g, p)
        self.steepest(p, s)
        s.alpha = first_trial(p, s)
        return s

    @staticmethod
    def accept(p: Parts, s: State) -> None:
        """The last trial point becomes u."""
        s.x[...], s.g[...], s.f = s.x_new, s.g_new, s.f_new
        s.gg = squares(s.g, p)

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


def evaluate(p: Parts, s: State, alpha: Any) -> tuple[Any, Any]:
    """φ(α) = f(u + αd) and φ'(α); the point and its gradient stay in ``x_new`` and ``g_new``."""
    s.x_new[...] = s.x
    with np.errstate(over="ignore", invalid="ignore"):  # a trial may lie where f is infinite: it is refused
        backend.axpy(alpha, s.d, s.x_new)
        s.f_new, _ = p.smooth.value_grad(s.x_new, s.g_new, s.work, p.batch is not None)
        s.evaluations += 1
        return s.f_new, inner(s.g_new, s.d, p)


def backtrack(p: Parts, s: State, alpha: Any, c1: float, reference: Any = None) -> Any:
    """Reduce α until φ(α) <= reference + c1 α φ'(0); the reference is φ(0) unless another is given (Armijo).

    By half, or further to 0.9 of the zero of a secant of φ', so never below 0.9/L in vain.
    """
    reference, slope = s.f if reference is None else reference, s.slope
    for _ in range(2 * TRIALS):
        phi, dphi = evaluate(p, s, alpha)
        done = _decreases(p, phi, dphi, alpha, reference, slope, c1)
        if np.all(done):
            return alpha
        share = np.where((dphi > -slope) & np.isfinite(dphi), 0.9 * ratio(slope, slope - dphi), 0.5)
        alpha = number(np.where(done, alpha, alpha * share))
    return _settle(p, s, np.where(done, alpha, 0.0))


def strong_wolfe(p: Parts, s: State, alpha: Any, c1: float, c2: float) -> Any:
    """α with φ(α) <= φ(0) + c1 α φ'(0) and |φ'(α)| <= c2 |φ'(0)|.

    ``lo`` fulfils the first condition with φ' < 0, ``hi`` does not or has φ' > 0: between them lies a solution.  It is
    sought by secants of φ', which rounding spoils less than values of φ; every third trial halves the interval.
    """
    slope = s.slope
    lo, dlo, hi, dhi = 0.0 * slope, slope, np.inf + 0.0 * slope, np.nan + 0.0 * slope
    for trial in range(TRIALS):
        phi, dphi = evaluate(p, s, alpha)
        enough = _decreases(p, phi, dphi, alpha, s.f, slope, c1)
        done = enough & (np.abs(dphi) <= -c2 * slope)
        if np.all(done):
            return alpha
        left = enough & (dphi <= 0)
        lo, dlo = np.where(left, alpha, lo), np.where(left, dphi, dlo)
        hi, dhi = np.where(left, hi, alpha), np.where(left, dhi, dphi)
        alpha = number(np.where(done, alpha, _between(lo, dlo, hi, dhi, slope, trial)))
    return _settle(p, s, np.where(done, alpha, lo))


def _decreases(p: Parts, phi: Any, dphi: Any, alpha: Any, reference: Any, slope: Any, c1: float) -> Any:
    """Armijo's condition; where f can no longer tell because of rounding, by φ' (Hager and Zhang 2005, (4.1)).

    For a quadratic φ both say the same.
    """
    rounding = 16 * np.finfo(p.problem.dtype).eps * np.abs(reference)
    armijo = phi <= reference + c1 * np.multiply(alpha, slope)
    return armijo | ((np.abs(phi - reference) <= rounding) & (dphi <= (2 * c1 - 1) * slope))


def _between(lo: Any, dlo: Any, hi: Any, dhi: Any, slope: Any, trial: int) -> Any:
    """The next trial: by a secant of φ', beyond ``lo`` where there is no ``hi`` yet."""
    with np.errstate(all="ignore"):
        secant = lo - dlo * (hi - lo) / (dhi - dlo)
        good = (lo < secant) & (secant < hi) & (trial % 3 < 2)
        beyond = lo * slope / (slope - dlo)  # the zero of the line through φ'(0) and φ'(lo)
        beyond = np.clip(np.where(slope < dlo, beyond, np.inf), 2 * lo, 10 * lo)
        return np.where(np.isinf(hi), beyond, np.where(good, secant, 0.5 * (lo + np.minimum(hi, 1e300))))


def _settle(p: Parts, s: State, alpha: Any) -> Any:
    """End a search without success at the best α known, which may be 0: rounding allows no more."""
    alpha = number(alpha)
    evaluate(p, s, alpha)
    return alpha


def first_trial(p: Parts, s: State) -> Any:
    """A step of 1 % of ‖u‖ along -∇f, or f/‖∇f‖² from u = 0: free of scale (Hager and Zhang 2005, I0)."""
    size = np.sqrt(squares(s.x, p))
    relative, absolute = ratio(0.01 * size, np.sqrt(s.gg)), ratio(np.abs(s.f), s.gg)
    guess = np.where(size > 0, relative, np.where(np.asarray(absolute) > 0, absolute, 1.0))
    return number(guess)


# ---------------------------------------------------------------- numbers: floats, or one per sample


def number(a: Any) -> Any:
    """A float instead of an array without axes."""
    return float(a) if np.ndim(a) == 0 else a


def squares(x: Array, p: Parts) -> Any:
    """‖x‖²."""
    return backend.sum_squares(x, p.batch is not None)


def inner(x: Array, y: Array, p: Parts) -> Any:
    """Re<x, y>."""
    if p.batch is None:
        return backend.dot(x, y)
    return np.array([backend.dot(a, b) for a, b in zip(x, y, strict=True)])


def ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where b = 0: there the solution is reached."""
    if np.ndim(b) == 0:
        return 0.0 if b == 0 else a / b  # NaN goes on, to be refused
    return np.divide(a, b, out=np.zeros_like(b), where=b != 0)


def check_between(value: Any, name: str, low: float, high: float) -> None:
    """Refuse a parameter outside (low, high)."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not low < value < high:
        raise ValueError(f"{name} is {value!r}; expected a number between {low:g} and {high:g}, ends excluded")
