"""What the methods on hypergradients share: steps from state to state, and solves within what is left of the work."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.methods.minimiser import Minimiser
from ipbox.bilevel.methods.session import Session, Spent
from ipbox.bilevel.problem.adjoint import AdjointSolution, solve_adjoint_samples
from ipbox.bilevel.problem.error_constants import ErrorConstants
from ipbox.bilevel.problem.hypergradient import Hypergradient, hypergradient
from ipbox.bilevel.problem.oracle import LowerSolution
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.upper import Evaluation, Evaluator
from ipbox.solvers.core.state import State


class DescentSession(Session):
    """A run on hypergradients.  Its state holds θ as ``x``, and all else that a resumed run needs."""

    source: Evaluator

    def __post_init__(self) -> None:
        super().__post_init__()
        self.problem = self.source.problem
        self.lipschitz = 2 * self.problem.residual_lipschitz**2  # L_g
        self.constants = ErrorConstants()

    def get_state(self) -> dict[str, Any]:
        return {"evaluator": super().get_state(), "constants": self.constants.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state["evaluator"])
        self.constants = ErrorConstants(**state["constants"])

    # ------------------------------------------------------------ within the budget

    def known(self, s: State) -> Evaluation:
        """The evaluation at θ that the state holds."""
        none = np.zeros(len(s.certificate), dtype=int)
        return self.source.assess(s.x, LowerSolution(s.u, s.certificate, none, Cost()))

    def evaluate(self, theta: np.ndarray, eps: float, start: Array | None = None) -> Evaluation:
        """f̃(θ) from images with ‖u_i - û_i(θ)‖ <= ε."""
        if start is not None:
            self.source.u = start
        return self._within(eps, lambda: self.source.evaluate(theta, self.problem.residual_lipschitz * eps))

    def gradient(
        self, theta: np.ndarray, eps: float, delta: float, q: Array | None, evaluation: Evaluation | None = None
    ) -> Hypergradient:
        """The hypergradient, by images to ε and residuals to δ."""
        return self._within(eps, lambda: hypergradient(self.source, theta, eps, delta, q, evaluation, self.constants))

    def adjoint(self, e: Evaluation, delta: float, q: Array) -> AdjointSolution:
        """The solution of the adjoint equation at an evaluated point."""
        self.budget.check(0, self.source.work())
        u, source, own = e.lower.u, self.source, self.source.share.problem
        found = solve_adjoint_samples(own.lower, e.theta, u, own.fit_gradient(u), delta, q, source.processes)
        _, found.cost = source.share.total(cost=found.cost)
        source.cost += found.cost
        return found

    def _within(self, eps: float, solve: Callable[[], Any], evaluator: Evaluator | None = None) -> Any:
        """What ``solve`` gives, where no solve of the lower level takes more than what is left of the work."""
        evaluator, work = evaluator or self.source, self.budget.work
        self.budget.check(0, evaluator.work())
        left = most = evaluator.max_iterations
        if work < math.inf:
            left = min(most, math.ceil((work - evaluator.work()) / evaluator.problem.lower.n))
        evaluator.max_iterations = left
        try:
            found = solve()
        finally:
            evaluator.max_iterations = most
        lower = found.lower
        if left < most and ((lower.iterations >= left) & ~(lower.certificate <= eps)).any():
            raise Spent("work")
        return found

    # ------------------------------------------------------------ history

    def accept(self, s: State, e: Evaluation, **row: Any) -> None:
        """Take the point of ``e`` for the iterate, and append a row to the history."""
        s.x, s.u, s.certificate = e.theta, e.lower.u, e.lower.certificate
        row = {"iteration": len(self.history), "theta": e.theta, "f": e.f, "f_bound": e.bound, **row}
        self.record(row | self.source.spent())


class FirstOrder(Minimiser):
    """Base of the methods on hypergradients: a subclass gives ``_init`` and ``_step``."""

    _session = DescentSession
    _least = 0
    _uncounted = 1
    _tells_first = True

    def _check(self, evaluator: Any) -> None:
        super()._check(evaluator)
        if evaluator.iterations is not None:
            raise ValueError(
                f"evaluator has iterations = {evaluator.iterations}; expected None: the method chooses the accuracy"
            )

    def _init(self, run: Any) -> State:
        """The state at the start, which has been accepted."""
        raise NotImplementedError("abstract")

    def _step(self, run: Any, s: State) -> str | None:
        """One iteration; the reason where the method is at its end."""
        raise NotImplementedError("abstract")

    def _loop(self, run: DescentSession) -> str:
        if run.new:
            run.state = self._init(run)
            run.state.history = run.history
            run.save()
        s, stop = run.state, None
        run.history = s.history
        try:
            while stop is None:
                run.check_left(len(run.history), 0.0)
                run.in_step = True
                stop = self._step(run, s)
                if stop is None:
                    s.k += 1
                    run.in_step = False
                    run.save()
        finally:
            run.source.u = s.u
        return stop
