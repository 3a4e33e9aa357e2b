"""A tolerance that counts once the image has settled: small steps alone are no convergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend, scratch
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.core.protocol import Solver
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.stop_rule import StopRule

RATIO = 1.15  # of the iterations between which the image is compared


@dataclass(frozen=True)
class Settled(StopRule):
    """``rule``, and the image within about ``accuracy`` of its limit, relative; the name is the rule's.

    An error that falls like 1/k is ‖u_k - u_j‖ j/(k - j) at step k, and any faster one is smaller: so the image is
    compared over a share of all iterations, not from step to step, and short steps cannot pass for convergence.  Where
    the solver bounds the error (`Solver.error_bound`), the bound is taken.
    """

    rule: StopRule
    accuracy: float

    @property
    def name(self) -> str:
        return self.rule.name

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        self.rule.check_applies(solver, parts)

    def take(self, index: np.ndarray) -> StopRule:
        return Settled(self.rule.take(index), self.accuracy)

    def fired(self, run: Run) -> np.ndarray:
        if run.k % self.rule.every:
            return np.array([None], dtype=object)
        return np.where(self._change(run) <= self.accuracy, self.rule.fired(run), None)

    def _change(self, run: Run) -> Any:
        """What is known of the image's relative error, a number for each sample."""
        size = np.atleast_1d(np.sqrt(backend.sum_squares(run.x, run.batch is not None)))
        bound = run.solver.error_bound(run.parts, run.state)
        if bound is not None:
            return _relative(bound, size)
        memory = run.state.loop
        if "settled_x" not in memory:
            memory.update(settled_x=scratch.copied(run.x), settled_k=run.k, settled=np.full(run.batch or 1, np.inf))
            return memory["settled"]
        j = memory["settled_k"]
        if run.k >= RATIO * j and run.k > j:
            moved = backend.distance(run.x, memory["settled_x"], run.batch is not None)
            # after the first steps, j = 0, nothing is known, unless the image stays where it is
            far = moved * (j / (run.k - j)) if j else np.where(moved > 0, np.inf, 0.0)
            memory["settled"] = _relative(far, size)
            memory["settled_x"][...], memory["settled_k"] = run.x, run.k
        return memory["settled"]


def _relative(error: Any, size: np.ndarray) -> np.ndarray:
    """error/size, 0 where both are 0."""
    error = np.broadcast_to(np.asarray(error, np.float64), size.shape)
    with np.errstate(over="ignore"):
        return np.divide(error, size, out=np.where(error > 0, np.inf, 0.0), where=size > 0)
