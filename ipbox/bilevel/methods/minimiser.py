"""The base of the methods that minimise the objective of a bilevel problem."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.session import Budget, Session
from ipbox.bilevel.problem.result import BilevelResult
from ipbox.bilevel.problem.resumable import ProblemEvaluator
from ipbox.bilevel.problem.upper import Evaluator
from ipbox.checks import check_count, check_type
from ipbox.keywords import answering
from ipbox.warning import deprecated

COLUMNS = ("theta", "f", "f_bound", "grad_norm", "accuracy", "step", "gradients", "hessians", "work")


class Minimiser:
    """Base of the methods: a subclass is a frozen dataclass of settings.

    It gives ``_loop``, which says why it ends, and ``_evaluate``, which `_at` calls for evaluations that are not in the
    log.
    """

    _evaluator: ClassVar[type[ProblemEvaluator]] = Evaluator
    _session: ClassVar[type[Session]] = Session
    _least: ClassVar[int] = 1  # iterations
    _uncounted: ClassVar[int] = 0  # rows of the history, the first of all, that are no iterations
    _tells_first: ClassVar[bool] = False  # a callback that ends the run loses the last evaluation, or step

    def _check(self, evaluator: Any) -> None:
        """Refuse what the method cannot evaluate."""
        kind = self._evaluator
        check_type(evaluator, "evaluator", kind, f"{kind.__name__}, of problem.evaluator()")

    def _start(self, lower: Any, theta0: Any, bounds: Any) -> tuple[np.ndarray, Bounds]:
        """θ0 within its bounds."""
        theta, box = lower.initial() if theta0 is None else lower.check(theta0), Bounds(bounds, len(lower.names))
        return box.check(theta), box

    def _most(self, p: int) -> int:
        """Iterations, where the user does not say, for p parameters."""
        return 100

    def _loop(self, run: Any) -> str:
        """The method; it says why it ends."""
        raise NotImplementedError("abstract")

    def _evaluate(self, run: Any, theta: np.ndarray) -> dict[str, Any]:
        """``f`` and ``f_bound``, and what else a row of the history or the method needs."""
        raise NotImplementedError("abstract")

    def _close(self, run: Any) -> None:
        """What is left to do after the run, beyond its budget."""

    def _best(self, history: list[dict[str, Any]]) -> dict[str, Any]:
        """The row that is returned."""
        return min(history, key=lambda row: row["f"])

    def _at(self, run: Session, theta: np.ndarray, kind: str = "evaluation") -> dict[str, Any]:
        """The evaluation at θ, with its row."""
        theta = np.array(theta, dtype=np.float64)

        def evaluate() -> dict[str, Any]:
            found = self._evaluate(run, theta)
            if not math.isfinite(found["f"]):
                raise FloatingPointError(f"f is {found['f']} at theta = {theta}")
            return found

        entry, new = run.due(theta, evaluate)
        step = backend.norm(theta - run.history[-1]["theta"]) if run.history else 0.0
        values = {"grad_norm": math.nan, "step": step} | entry
        if new and not self._tells_first:
            run.save()
        run.record({"iteration": len(run.history), **{k: values[k] for k in COLUMNS}, "kind": kind}, new)
        if new and self._tells_first:
            run.save()
        return entry

    def minimise(
        self,
        evaluator: Any,
        theta0: Any = None,
        bounds: Any = None,
        *,
        iterations: int | None = None,
        work: float = math.inf,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        progress: bool = False,
    ) -> BilevelResult:
        """Minimise f from θ0.

        Parameters
        ----------
        evaluator : Evaluator
            Of the problem, as ``problem.evaluator()`` gives it; the work is added to its cost.
        theta0 : array, shape (p,), optional
            Start; that of the terms by default, where they have one.  A search needs none.
        bounds : pair of arrays or numbers, optional
            Lower and upper bounds of θ, infinite where there is none; a search needs finite ones.
        iterations : int, optional
            Ends the method: rows of its history at most, in first-order methods after that of the start.  A grid has as
            many as points by default, other methods 100.
        work : float
            Budget of gradients and Hessian products of the lower level: nothing is evaluated after it is spent.
        checkpoint : path, optional
            File that is written after iterations, so often that it takes at most 2 % of the time, and at the end; where
            it is there already, the run goes on from it, bit for bit.
        callback : function, optional
            Called with every new row of the history; the run ends, ``stop`` is "callback", where it returns True.
        progress : bool
            Show a bar.

        Returns
        -------
        BilevelResult

        Raises
        ------
        ValueError, TypeError
            where an argument is of no use, or the checkpoint is of another run.
        FloatingPointError
            where the lower level or its derivatives give NaN.
        """
        self._check(evaluator)
        lower = evaluator.problem.lower
        theta, box = self._start(lower, theta0, bounds)
        most = self._most(len(theta)) if iterations is None else check_count(iterations, "iterations", self._least)
        name = f"{self!r} from {theta.tolist()} {box} for {lower.names}"
        budget = Budget(most + self._uncounted, work)
        run = self._session(evaluator, name, theta, box, budget, checkpoint, callback)
        stop = run.complete(self._loop, progress)
        self._close(run)
        best = self._best(run.history)
        return BilevelResult(best["theta"].copy(), best["f"], best["f_bound"], stop, run.history, evaluator.cost)


def also_called(old: str, new: str, leaves: str) -> Callable[[Any], Any]:
    """Let a class take the argument ``new`` by its ``old`` name, with a warning, and tell its value by it."""

    def also(cls: Any) -> Any:
        init = answering(cls.__init__)

        @functools.wraps(init)
        def by_either(self: Any, *args: Any, **kwargs: Any) -> None:
            if old in kwargs:
                deprecated(f"{cls.__name__}({old}=...)", f"{cls.__name__}({new}=...)", leaves)
            init(self, *args, **{new if key == old else key: value for key, value in kwargs.items()})

        cls.__init__ = by_either
        setattr(cls, old, property(operator.attrgetter(new)))
        return cls

    return also
