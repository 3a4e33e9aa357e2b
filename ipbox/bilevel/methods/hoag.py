"""HOAG: hyperparameter optimisation with an approximate gradient, whose accuracy follows a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ipbox.backend import norm
from ipbox.bilevel.methods.first_order import DescentSession, FirstOrder
from ipbox.bilevel.problem.hypergradient import Hypergradient
from ipbox.checks import check_between, check_choice, check_fields, check_not_negative, check_positive
from ipbox.solvers.core.state import State

SCHEDULES = ("exponential", "quadratic", "cubic", "exact")
C = 0.25


@dataclass(frozen=True)
class HOAG(FirstOrder):
    r"""Projected gradient descent θ⁺ = P(θ - p/L) on hypergradients whose errors ε_k are summable.

    ε_k is both the accuracy ‖u_i - û_i(θ)‖ of the images and, times L_g, the residual of the adjoint equation.  It is
    in units of the largest value c of the true images, and gradients are in units of c².

    Parameters
    ----------
    schedule : {"exponential", "quadratic", "cubic", "exact"}
        ε_k = ε0 decay^k, ε0/(k + 1)², ε0/(k + 1)³, or ``floor`` throughout.
    eps0 : float
        ε0.
    decay : float
        Of the exponential schedule.
    L : float, optional
        Lipschitz constant of ∇f, as it is, where it is known: then L does not adapt.
    floor : float
        ε_k is not reduced below.
    tol : float
        Ends the method where ‖p‖ + ω <= tol, ω the bound of the error of p.

    Notes
    -----
    L adapts: it starts from ‖p_0‖/√dim θ; with g the objective, as computed, and Δ = ‖θ⁺ - θ‖, L is reduced by a
    twentieth where g(θ⁺) <= g(θ) + c² (C ε_{k+1} + (1 + C) ε_k Δ) - L Δ², C = 1/4; where g(θ⁺) >= 1.2 g(θ) the step is
    rejected, L is doubled and all later ε_k are halved.  f may rise again, most of
    all where L has become too small near a minimiser; the best iterate is returned.

    Raises
    ------
    ValueError
        where a parameter is out of its range.

    References
    ----------
    Pedregosa, Hyperparameter optimization with approximate gradient, ICML 2016.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import HOAG, BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> HOAG("quadratic", L=0.15).minimise(problem.evaluator(), [-1.5]).theta.round(2)
    array([-1.17])
    """

    schedule: str = "exponential"
    eps0: float = 1e-3
    decay: float = 0.9
    L: float | None = None
    floor: float = 1e-10
    tol: float = 0.0

    def __post_init__(self) -> None:
        check_choice(self.schedule, "schedule", SCHEDULES)
        check_between(self.decay, "decay", 0, 1)
        check_fields(self, check_positive, "eps0", "floor", optional=("L",))
        check_not_negative(self.tol, "tol")

    def _eps(self, run: DescentSession, s: State, k: int) -> float:
        unit = run.source.unit
        if self.schedule == "exact":
            return self.floor * unit
        decay = {"exponential": self.decay**k, "quadratic": (k + 1) ** -2.0, "cubic": (k + 1) ** -3.0}[self.schedule]
        return max(self.eps0 * decay * s.factor, self.floor) * unit

    def _init(self, run: DescentSession) -> State:
        s = State(q=None, factor=1.0)
        h = run.gradient(run.theta, *self._tolerances(run, s, 0), None)
        size = norm(h.z) / run.source.unit**2
        adaptive = (size / len(h.z) ** 0.5 if size > 1e-3 else 1.0) * run.source.unit**2
        s.L = adaptive if self.L is None else float(self.L)
        self._take(run, s, h, self._eps(run, s, 0), 0.0, "start")
        return s

    def _step(self, run: DescentSession, s: State) -> str | None:
        unit = run.source.unit
        if s.error <= self.tol * unit**2:
            return "stationary"
        theta, f, p = s.x, run.history[-1]["f"], s.p
        before = self._eps(run, s, s.k)
        while True:
            eps = self._eps(run, s, s.k + 1)
            e = run.evaluate(run.bounds.project(theta - p / s.L), eps, s.u)
            step = norm(e.theta - theta)
            if self.L is not None:
                taken = 1 / s.L
                break
            if e.f <= f + (C * eps + before * (C + 1) * step) * unit - s.L * step**2:
                taken, s.L = 1 / s.L, 0.95 * s.L
                break
            if e.f < 1.2 * f:
                taken = 1 / s.L
                break
            if step == 0:
                return "accuracy"  # rounding leaves nothing of the step
            s.L, s.factor = 2 * s.L, 0.5 * s.factor
        h = run.gradient(e.theta, *self._tolerances(run, s, s.k + 1), s.q, e)
        self._take(run, s, h, eps, taken, "step")
        return None

    def _best(self, history: list[dict[str, Any]]) -> dict[str, Any]:
        return min(history, key=lambda row: row["f"] + row["f_bound"])

    def _tolerances(self, run: DescentSession, s: State, k: int) -> tuple[float, float]:
        eps = self._eps(run, s, k)
        return eps, run.lipschitz * eps

    def _take(self, run: DescentSession, s: State, h: Hypergradient, eps: float, step: float, kind: str) -> None:
        z = run.bounds.free(h.evaluation.theta, h.z)
        s.p, s.q, s.error = h.z, h.q, norm(z) + h.bound
        run.accept(s, h.evaluation, grad_norm=norm(z), accuracy=eps, step=step, kind=kind)
