"""What a method evaluates: it counts its work, and a run that was stopped goes on from the state it gave."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox.bilevel.problem.result import Cost
from ipbox.distributed.ranks import Ranks


class Resumable:
    """Base of what is evaluated.

    Attributes
    ----------
    library : str
        Where the arrays of its state go when a checkpoint is read.
    unit : float
        Size of what it gives: accuracies of the methods are in this unit.
    ranks : Ranks or None
        Those who do the same with other samples: they go on together, and each writes its own checkpoint.
    """

    library = "numpy"
    unit = 1.0
    ranks: Ranks | None = None

    def work(self) -> float:
        """Work so far."""
        raise NotImplementedError("abstract")

    def spent(self) -> dict[str, float]:
        """The work so far, as a row of the history has it."""
        return {"work": self.work()}

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint has to hold."""
        raise NotImplementedError("abstract")

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        raise NotImplementedError("abstract")


class ProblemEvaluator(Resumable):
    """Base of the evaluators of a ``problem``, which is kept; ``cost`` is what they have spent in its lower level."""

    problem: Any
    cost: Cost

    @property
    def library(self) -> str:  # type: ignore[override]  # read only: that of the problem
        return self.problem.lower.xp.__name__

    @property
    def unit(self) -> float:  # type: ignore[override]  # read only: that of the problem
        return self.problem.unit

    def evaluate(self, theta: Any, accuracy: float) -> Any:
        """f̃(θ) as ``f``, and ``bound`` >= |f̃(θ) - f(θ)|, from residuals that are this accurate."""
        raise NotImplementedError("abstract")

    def work(self) -> float:
        """Gradients and Hessian-vector products of the lower level so far, over all samples."""
        return float(self.cost.total)

    def spent(self) -> dict[str, float]:
        cost = self.cost
        return {"gradients": float(cost.gradients), "hessians": float(cost.hessians), "work": self.work()}


def check_same_problem(saved: dict[str, Any] | None, now: dict[str, Any] | None, eps: float) -> None:
    """Refuse the checkpoint of another problem: numbers that tell of it differ by more than rounding."""
    a, b = (np.empty(0) if d is None else d["numbers"] for d in (saved, now))
    if a.shape != b.shape or not np.allclose(a, b, rtol=eps**0.5, atol=0.0):
        raise ValueError(
            "the checkpoint is of another problem; expected the same true images, data, lower level, penalty and "
            "convention (for a new run, another path)"
        )
