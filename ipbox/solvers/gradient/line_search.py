"""How far to go along a direction: searches for a step α, as objects that any method can hold.

Batches are searched in step: every sample has its own α, and those that are done keep it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.checks import check_between
from ipbox.solvers.core.protocol import Parts, State
from ipbox.solvers.per_sample import inner, number, ratio

TRIALS = 30  # of one search; a third of them halve the interval


def shorten(alpha: Any, trial: Callable[[Any], tuple[Any, Any]], most: int) -> tuple[Any, Any]:
    """Try α, shorter and shorter, until all samples are done, at most so many times; α and who is done.

    ``trial(α)`` says which samples are done, and a shorter α for the others.
    """
    for _ in range(most):
        done, shorter = trial(alpha)
        if np.all(done):
            break
        alpha = number(np.where(done, alpha, shorter))
    return alpha, done


@dataclass(frozen=True)
class LineSearch:
    """Base of the searches for φ(α) = f(u + αd): ``state`` holds u, d, f, its slope <∇f, d>, and the last trial point.

    c₁ is that of Armijo's condition φ(α) <= φ(0) + c₁ α φ'(0).
    """

    c1: float

    def __post_init__(self) -> None:
        check_between(self.c1, "c1", 0, 1)

    def search(self, p: Parts, s: State, alpha: Any) -> Any:
        """α, the first trial being given; f and ∇f at u + αd are ``f_new`` and ``g_new``."""
        raise NotImplementedError("abstract")

    @staticmethod
    def evaluate(p: Parts, s: State, alpha: Any) -> tuple[Any, Any]:
        """φ(α) and φ'(α); the point and its gradient stay in ``x_new`` and ``g_new``."""
        s.x_new[...] = s.x
        with np.errstate(over="ignore", invalid="ignore"):  # a trial may lie where f is infinite: it is refused
            backend.axpy(alpha, s.d, s.x_new)
            s.f_new, _ = p.smooth.value_grad(s.x_new, s.g_new, s.scratch["smooth"], p.batch is not None)
            s.evaluations += 1
            return s.f_new, inner(s.g_new, s.d, p)

    def decreases(self, p: Parts, s: State, phi: Any, dphi: Any, alpha: Any, reference: Any) -> Any:
        """Armijo's condition; where f can no longer tell because of rounding, by φ' (Hager and Zhang 2005, (4.1)).

        For a quadratic φ both say the same.
        """
        armijo = phi <= reference + self.c1 * np.multiply(alpha, s.slope)
        return armijo | (self.silent(p, phi, reference) & (dphi <= (2 * self.c1 - 1) * s.slope))

    @staticmethod
    def silent(p: Parts, phi: Any, reference: Any) -> Any:
        """Where f does not tell one point from the other."""
        return np.abs(phi - reference) <= 16 * np.finfo(p.problem.dtype).eps * np.abs(reference)

    def settle(self, p: Parts, s: State, alpha: Any) -> Any:
        """End a search without success at the best α known, which may be 0: rounding allows no more."""
        alpha = number(alpha)
        self.evaluate(p, s, alpha)
        return alpha


@dataclass(frozen=True)
class Armijo(LineSearch):
    """φ(α) <= φ(0) + c₁ α φ'(0), by backtracking.

    By half, or further to 0.9 of the zero of a secant of φ', so never below 0.9/L in vain.
    """

    def search(self, p: Parts, s: State, alpha: Any, reference: Any = None) -> Any:
        """``reference`` stands for φ(0) where one is given."""
        reference, slope = s.f if reference is None else reference, s.slope

        def trial(alpha: Any) -> tuple[Any, Any]:
            phi, dphi = self.evaluate(p, s, alpha)
            share = np.where((dphi > -slope) & np.isfinite(dphi), 0.9 * ratio(slope, slope - dphi), 0.5)
            return self.decreases(p, s, phi, dphi, alpha, reference), alpha * share

        alpha, done = shorten(alpha, trial, 2 * TRIALS)
        return alpha if np.all(done) else self.settle(p, s, np.where(done, alpha, 0.0))


@dataclass(frozen=True)
class StrongWolfe(LineSearch):
    """φ(α) <= φ(0) + c₁ α φ'(0) and |φ'(α)| <= c₂ |φ'(0)|, 0 < c₁ < c₂ < 1.

    ``lo`` fulfils the first condition with φ' < 0, ``hi`` does not or has φ' > 0: between them lies a solution.  It is
    sought by secants of φ', which rounding spoils less than values of φ; every third trial halves the interval.
    """

    c2: float

    def __post_init__(self) -> None:
        check_between(self.c2, "c2", 0, 1)
        check_between(self.c1, "c1", 0, self.c2)

    def search(self, p: Parts, s: State, alpha: Any) -> Any:
        slope = s.slope
        lo, dlo, hi, dhi = 0.0 * slope, slope, math.inf + 0.0 * slope, math.nan + 0.0 * slope
        for trial in range(TRIALS):
            phi, dphi = self.evaluate(p, s, alpha)
            enough = self.decreases(p, s, phi, dphi, alpha, s.f)
            left = enough & (dphi <= 0)
            done = enough & (np.abs(dphi) <= -self.c2 * slope)
            done = done | (left & np.isinf(hi) & self.silent(p, phi, s.f))  # further away all is rounding, without end
            if np.all(done):
                return alpha
            lo, dlo = np.where(left, alpha, lo), np.where(left, dphi, dlo)
            hi, dhi = np.where(left, hi, alpha), np.where(left, dhi, dphi)
            alpha = number(np.where(done, alpha, self._between(lo, dlo, hi, dhi, slope, trial)))
        return self.settle(p, s, np.where(done, alpha, lo))

    @staticmethod
    def _between(lo: Any, dlo: Any, hi: Any, dhi: Any, slope: Any, trial: int) -> Any:
        """The next trial: by a secant of φ', beyond ``lo`` where there is no ``hi`` yet."""
        with np.errstate(all="ignore"):
            secant = lo - dlo * (hi - lo) / (dhi - dlo)
            good = (lo < secant) & (secant < hi) & (trial % 3 < 2)
            beyond = lo * slope / (slope - dlo)  # the zero of the line through φ'(0) and φ'(lo)
            beyond = np.clip(np.where(slope < dlo, beyond, np.inf), 2 * lo, 10 * lo)
            return np.where(np.isinf(hi), beyond, np.where(good, secant, 0.5 * (lo + np.minimum(hi, 1e300))))
