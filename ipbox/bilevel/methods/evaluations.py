"""The log of evaluations that lets any deterministic minimiser stop, and go on after a restart."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.bilevel.problem.result import BilevelResult
from ipbox.progress import bar
from ipbox.solvers.core.state import State
from ipbox.solvers.gradient.descent import check_count


class EndOfBudget(Exception):
    """Raised where an evaluation would begin after the last one allowed."""


def check_checkpoint(path: Any) -> None:
    """Refuse, before anything is computed, what could not be written."""
    if path is None:
        return
    if not isinstance(path, str | Path):
        raise TypeError(f"checkpoint is {path!r}; expected a path")
    if Path(path).is_dir() or not Path(path).parent.is_dir():
        raise ValueError(f"checkpoint is {path}; expected a file (.npz) in a folder that is there")


def check_callback(callback: Any) -> None:
    """Refuse, before anything is computed, what could not be called."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {type(callback).__name__}; expected a function of a row of the history")


def check_work(work: Any) -> float:
    """A budget, which may be infinite."""
    if not isinstance(work, numbers.Real) or not work > 0:
        raise ValueError(f"work is {work!r}; expected a positive number")
    return float(work)


def check_same_problem(saved: dict[str, Any] | None, now: dict[str, Any] | None, eps: float) -> None:
    """Refuse the checkpoint of another problem: numbers that tell of it differ by more than rounding."""
    a, b = (np.empty(0) if d is None else d["numbers"] for d in (saved, now))
    if a.shape != b.shape or not np.allclose(a, b, rtol=eps**0.5, atol=0.0):
        raise ValueError(
            "the checkpoint is of another problem; expected the same true images, data, lower level, penalty and "
            "convention (for a new run, another path)"
        )


class Evaluations:
    """Evaluations of f, logged; a restarted minimiser is given those in the log again, and so comes to where it was.

    Parameters
    ----------
    evaluator
        Has ``cost``, ``get_state`` and ``set_state``.
    evaluate : function
        θ -> dict with ``f``, ``bound`` and what else the minimiser needs: numbers and arrays.
    run : str
        What makes this run this one: the checkpoint of another is refused.
    most : int
        Number of evaluations allowed.
    work : float
        Gradients and Hessian products of the lower level, after which no evaluation begins.
    checkpoint : path, optional
        Written after every evaluation; read where it is there.
    callback : function, optional
        Called with every new row of the history.
    progress : bool
        Show a bar.
    """

    def __init__(
        self,
        evaluator: Any,
        evaluate: Callable[[np.ndarray], dict[str, Any]],
        run: str,
        *,
        most: int,
        work: float = math.inf,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        progress: bool = False,
    ) -> None:
        check_count(most, "iterations")
        check_callback(callback)
        check_checkpoint(checkpoint)
        self.evaluator, self._evaluate, self.run = evaluator, evaluate, run
        self.most, self.work, self.checkpoint, self.callback = int(most), check_work(work), checkpoint, callback
        self.log: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.done = 0  # evaluations that the minimiser has had
        if checkpoint is not None and Path(checkpoint).is_file():
            xp = getattr(evaluator.problem.lower, "xp", np).__name__
            saved = State.load(checkpoint, xp)
            if getattr(saved, "run", None) != run:
                raise ValueError(f"checkpoint is {checkpoint}, of another run; expected one of {run}")
            self.log, self.history = saved.log, saved.history
            evaluator.set_state(saved.evaluator)
        self._bar = bar(run.split("(")[0], "evaluation", initial=len(self.log), shown=progress)

    def __call__(self, theta: np.ndarray, kind: str = "") -> dict[str, Any]:
        """The evaluation at θ: from the log, or a new one.

        Raises
        ------
        EndOfBudget
        ValueError
            where the log is of other points, so not of this minimiser with these data.
        """
        theta = np.array(theta, dtype=np.float64)
        if self.done == len(self.log):
            if self.done >= self.most:
                raise EndOfBudget("iterations")
            if self.evaluator.cost.total >= self.work:
                raise EndOfBudget("work")
            self._new(theta, kind)
        entry = self.log[self.done]
        if not np.array_equal(entry["theta"], theta):
            raise ValueError(f"checkpoint is {self.checkpoint}, with theta = {entry['theta']} where {theta} is due")
        self.done += 1
        return entry

    def _new(self, theta: np.ndarray, kind: str) -> None:
        entry = {"theta": theta, **self._evaluate(theta)}
        if not math.isfinite(entry["f"]):
            raise FloatingPointError(f"f is {entry['f']} at theta = {theta}")
        cost = self.evaluator.cost
        row = {
            "iteration": len(self.history),
            "theta": theta,
            "f": entry["f"],
            "f_bound": entry["bound"],
            "grad_norm": float(np.linalg.norm(entry["z"])) if "z" in entry else math.nan,
            "accuracy": entry.get("accuracy", math.nan),
            "gradients": float(cost.gradients),
            "hessians": float(cost.hessians),
            "work": float(cost.total),
            "step": 0.0 if not self.log else float(np.linalg.norm(theta - self.log[-1]["theta"])),
            "kind": kind,
        }
        self.log.append(entry)
        self.history.append(row)
        if self.checkpoint is not None:
            state = State(x=theta, k=len(self.log), run=self.run, log=self.log, history=self.history)
            state.evaluator = self.evaluator.get_state()
            state.save(self.checkpoint)
        if self.callback is not None:
            self.callback(dict(row))
        self._bar.update(1)
        self._bar.set_postfix_str(f"f = {min(e['f'] for e in self.log):.6g}")

    def result(self, minimiser: Callable[[], str]) -> BilevelResult:
        """The best of the evaluations that the minimiser asks for; it returns why it stopped."""
        try:
            stop = minimiser()
        except EndOfBudget as end:
            stop = str(end)
        finally:
            self._bar.close()
        if not self.log:
            raise ValueError(f"work is {self.work:g}, spent before the first evaluation; expected more")
        best = min(self.log[: self.done], key=lambda e: e["f"])
        return BilevelResult(
            best["theta"].copy(), best["f"], best["bound"], stop, list(self.history), self.evaluator.cost
        )
