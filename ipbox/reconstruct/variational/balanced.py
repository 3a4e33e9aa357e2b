"""When conjugate gradients have solved a quadratic problem as accurately as its weight λ asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.functionals import Sum
from ipbox.solvers import Problem
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.stop_rule import StopRule

ROUNDINGS = 10  # of A*b, below which a residual is nothing but rounding


@dataclass(frozen=True)
class Balanced(StopRule):
    """‖A*(Au - b) + λL*Lu‖ <= tol ‖λL*Lu‖, of ½‖Au - b‖² + λ/2 ‖Lu‖².

    At the minimiser the two parts of the gradient balance.  For L = I it bounds the error by tol ‖u‖, for every λ: a
    residual relative to ‖A*b‖ is met by u_λ for all λ that are small enough, and says nothing of them.
    """

    tol: float
    rounding: float
    name: ClassVar[str] = "residual"

    @classmethod
    def of(cls, problem: Problem, tol: float) -> Balanced:
        """The rule for this problem, in whose precision the residual is no smaller than roundings."""
        start = backend.norm(Sum(problem.terms).grad(problem.start(None)))
        return cls(tol, ROUNDINGS * float(np.finfo(problem.dtype).eps) * start)

    def met(self, run: Run) -> Any:
        penalties = run.parts.problem.terms[1:]
        size = backend.norm(Sum(penalties).grad(run.x)) if penalties else 0.0
        return np.sqrt(run.state.gamma) <= max(self.tol * size, self.rounding)
