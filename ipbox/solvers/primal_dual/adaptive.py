"""PDHG with step sizes that adapt to the iterates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag
from ipbox.solvers.core.protocol import Parts, Problem, State
from ipbox.solvers.primal_dual.pdhg import PDHG

FAR = 100.0  # of τ from where it began: terms as the L1 norm, whose duals stay at their bounds, would take it to 0


@dataclass(frozen=True)
class AdaptivePDHG(PDHG):
    """`PDHG` whose ratio τ/σ follows the residuals of the two optimality conditions.

    With p = √τ‖(u - u⁺)/τ - K*(y - y⁺)‖ and d = (Σ σ_i‖(y_i - y_i⁺)/σ_i - K_i(u - u⁺)‖²)^½:
    τ ← τ/(1 - α), σ_i ← (1 - α)σ_i where p > 2d, the other way round where d > 2p; and then α ← decay · α.

    Parameters
    ----------
    tau, sigma, theta, balance, accelerate
        Where to start, as in `PDHG`; not accelerated.
    every : int
        The residuals are looked at in every so many iterations, at the price of one more K.
    first, decay : float
        α at the start, in (0, 1), and its factor, in (0, 1): then the changes are summable.

    Notes
    -----
    τ Σ_i σ_i ‖K_i‖² never changes.  The weights √τ and √σ_i make the comparison independent of the units of u and y;
    Goldstein et al. compare with a factor the user chooses.  Refused for batches, whose samples share the step sizes.

    References
    ----------
    Goldstein, Li and Yuan, NIPS (2015), algorithm 1.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((2, 2)))
    >>> ip.solve(problem, ip.AdaptivePDHG(), stop=ip.stop.gap(1e-9)).x.round(4)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """

    accelerate: bool | None = False
    every: int = 5
    first: float = 0.5
    decay: float = 0.95

    def prepare(self, problem: Problem) -> Parts:
        if problem.batch is not None:
            raise ValueError(f"batch is {problem.batch}; {type(self).__name__} expects one image, use PDHG for a batch")
        if self.accelerate is not None and check_flag(self.accelerate, "accelerate"):
            raise ValueError("accelerate is True; AdaptivePDHG expects False, use PDHG")
        check_count(self.every, "every")
        if not (0 < self.first < 1 and 0 < self.decay < 1):
            raise ValueError(f"first is {self.first} and decay {self.decay}; expected numbers in (0, 1)")
        return super().prepare(problem)

    def init(self, p: Parts, x0: Array) -> State:
        s = super().init(p, x0)
        s.alpha = float(self.first)
        s.scratch["old"] = [a.copy() for a in self._watched(s)]
        return s

    @staticmethod
    def _watched(s: State) -> list[Array]:
        return [s.x, s.d, *s.y, *(v for own in s.aux + s.aux_d for v in own)]

    def step(self, p: Parts, s: State) -> None:
        look = s.k > 0 and s.k % self.every == 0 and s.alpha > 1e-4
        if look:
            for a, old in zip(self._watched(s), s.scratch["old"], strict=True):
                old[...] = a
        super().step(p, s)
        if look:
            self._adapt(s, self.step_sizes(p)[0], *self._residuals(p, s))

    def _residuals(self, p: Parts, s: State) -> tuple[float, float]:
        """p and d; ``s.scratch["old"]`` becomes old - new on the way."""
        for a, old in zip(self._watched(s), s.scratch["old"], strict=True):
            old -= a
        n, m = len(s.y), sum(len(own) for own in s.aux)
        dx, dd, *rest = s.scratch["old"]
        dy, dv, dw = rest[:n], rest[n : n + m], rest[n + m :]
        dual, k = 0.0, 0
        for y, sigma, term, own in zip(dy, s.sigma, p.dual, s.aux, strict=True):
            y /= sigma
            y -= term.forward([dx, *dv[k : k + len(own)]])
            with shares.shared_by(term.ranks):
                dual, k = dual + sigma * backend.sum_squares(y), k + len(own)
        primal = 0.0
        for u, K in zip([dx, *dv], [dd, *dw], strict=True):
            u /= s.tau
            u -= K
            primal += s.tau * backend.sum_squares(u)
        return math.sqrt(primal), math.sqrt(dual)

    def _adapt(self, s: State, first: float, primal: float, dual: float) -> None:
        if not (primal > 2 * dual or dual > 2 * primal):
            return
        factor = 1 / (1 - s.alpha) if primal > 2 * dual else 1 - s.alpha
        if not first / FAR <= factor * s.tau <= FAR * first:
            return
        s.tau, s.sigma = factor * s.tau, [sigma / factor for sigma in s.sigma]
        s.alpha *= self.decay

    def _sweeps(self, p: Parts, s: State) -> bool:
        return False  # the residuals want K*y

    def accelerates(self, p: Parts) -> bool:
        return False
