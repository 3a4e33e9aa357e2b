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

ROUNDINGS = 0.3  # of A*b: a gradient that is updated along and below that says nothing of the true one


@dataclass(frozen=True)
class Balanced(StopRule):
    """‖A*(Au - b) + λL*Lu‖ <= tol ‖λL*Lu‖, of ½‖Au - b‖² + λ/2 ‖Lu‖².

    At the minimiser the two parts of the gradient balance.  For L = I it bounds the error by tol ‖u‖, for every λ: a
    residual relative to ‖A*b‖ is met by u_λ for all λ that are small enough, and says nothing of them.
    """

    tol: float
    name: ClassVar[str] = "residual"

    def met(self, run: Run) -> Any:
        penalties = run.problem.terms[1:]
        size = backend.norm(Sum(penalties).grad(run.x)) if penalties else 0.0
        return np.sqrt(run.state.gamma) <= self.tol * size


@dataclass(frozen=True)
class Rounded(StopRule):
    """The gradient is less than a rounding of A*b: more steps do not make u_λ more accurate, started anew they may."""

    size: float
    name: ClassVar[str] = "rounding"

    def met(self, run: Run) -> Any:
        return np.sqrt(run.state.gamma) <= self.size


def as_accurate_as_the_weight_asks(problem: Problem, tol: float) -> StopRule:
    """`Balanced`, as far as the precision allows."""
    start = backend.norm(Sum(problem.terms).grad(problem.start(None)))
    return Balanced(tol) | Rounded(ROUNDINGS * float(np.finfo(problem.dtype).eps) * start)
