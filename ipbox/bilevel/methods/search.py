"""Baselines that look at f alone: a grid, and the bounded search of one parameter."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.bilevel.methods.evaluations import Evaluations
from ipbox.bilevel.methods.first_order import Box
from ipbox.bilevel.problem.result import BilevelResult
from ipbox.solvers.core.stop_rule import positive
from ipbox.solvers.gradient.descent import check_count

AT_MOST = 3  # parameters of a grid


@dataclass(frozen=True)
class GridSearch:
    """f on a product grid of the box; the best point is the result.

    Parameters
    ----------
    points : int or tuple of int
        Number of points along every axis, or along each; the ends of the box are among them.
    accuracy : float
        Bound on the error of the residuals r_i = √scale ‖û_i - u_i‖.

    Notes
    -----
    The grid is walked to and fro, so that neighbours start from each other's reconstructions.

    Raises
    ------
    ValueError, TypeError
        for other points or accuracies, no bounds, or more than three parameters.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, GridSearch, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> GridSearch(points=9).minimise(problem.evaluator(), bounds=(-2.0, 0.0)).theta
    array([-1.25])
    """

    points: int | tuple[int, ...] = 11
    accuracy: float = 1e-3

    def __post_init__(self) -> None:
        for k in np.atleast_1d(np.asarray(self.points, dtype=object)):
            check_count(k, "points")
        positive(self.accuracy, "accuracy")

    def minimise(
        self,
        evaluator: Any,
        theta0: Any = None,
        bounds: Any = None,
        *,
        work: float = math.inf,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        progress: bool = False,
    ) -> BilevelResult:
        """Evaluate f on the grid.

        Parameters
        ----------
        evaluator : Evaluator
        theta0 : array, optional
            Not used; where given it must be in the box.
        bounds : pair of arrays or numbers
            Lower and upper bounds of θ.
        work : float
            Gradients of the lower level, after which no evaluation begins.
        checkpoint : path, optional
            Written after every evaluation; where it is there already, the run goes on from it.
        callback : function, optional
            Called with every new row of the history.
        progress : bool
            Show a bar.
        """
        box = _box(evaluator, theta0, bounds)
        p = len(box.lower)
        if p > AT_MOST:
            raise ValueError(f"theta has {p} entries; expected at most {AT_MOST}: a grid of more is no baseline")
        if not isinstance(self.points, numbers.Integral) and len(self.points) != p:
            raise ValueError(f"points is {self.points}; expected an integer, or {p} of them")
        counts = [int(k) for k in np.broadcast_to(np.asarray(self.points), (p,))]
        axes = [_axis(a, b, k) for a, b, k in zip(box.lower, box.upper, counts, strict=True)]
        log = _log(self, evaluator, box, math.prod(counts), work, checkpoint, callback, progress)

        def walk() -> str:
            for index in _to_and_fro(counts):
                log(np.array([x[i] for x, i in zip(axes, index, strict=True)]), "grid")
            return "grid"

        return log.result(walk)


@dataclass(frozen=True)
class ScalarSearch:
    """Brent's bounded minimisation of one parameter: golden sections and parabolas.

    Parameters
    ----------
    tol : float
        Ends the search where θ is known to about this.
    accuracy : float
        Bound on the error of the residuals r_i = √scale ‖û_i - u_i‖: errors of f hide its minimum.

    Raises
    ------
    ValueError
        for other accuracies, no bounds, or more than one parameter.

    References
    ----------
    Brent, Algorithms for Minimization without Derivatives, 1973, chapter 5.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, ScalarSearch, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> ScalarSearch().minimise(problem.evaluator(), bounds=(-2.0, 0.0)).theta.round(1)
    array([-1.2])
    """

    tol: float = 1e-3
    accuracy: float = 1e-6

    def __post_init__(self) -> None:
        positive(self.tol, "tol")
        positive(self.accuracy, "accuracy")

    def minimise(
        self,
        evaluator: Any,
        theta0: Any = None,
        bounds: Any = None,
        *,
        iterations: int = 100,
        work: float = math.inf,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        progress: bool = False,
    ) -> BilevelResult:
        """Minimise f between the bounds; parameters as for `GridSearch.minimise`, ``iterations`` are evaluations."""
        from scipy.optimize import minimize_scalar

        box = _box(evaluator, theta0, bounds)
        if len(box.lower) != 1:
            raise ValueError(f"theta has {len(box.lower)} entries; ScalarSearch expects one")
        log = _log(self, evaluator, box, iterations, work, checkpoint, callback, progress)
        ends = float(box.lower[0]), float(box.upper[0])

        def f(t: float) -> float:
            return log(np.array([t]), "search")["f"]

        def search() -> str:
            if ends[0] == ends[1]:
                f(ends[0])
            else:
                options = {"xatol": self.tol, "maxiter": 10 * iterations}
                minimize_scalar(f, bounds=ends, method="bounded", options=options)
            return "tol"

        return log.result(search)


# ---------------------------------------------------------------- parts


def _box(evaluator: Any, theta0: Any, bounds: Any) -> Box:
    """The box, which must be finite."""
    if not callable(getattr(evaluator, "evaluate", None)):
        raise TypeError(f"evaluator is {type(evaluator).__name__}; expected problem.evaluator()")
    if bounds is None:
        raise ValueError("bounds is None; expected a pair (lower, upper): they are what is searched")
    lower = evaluator.problem.lower
    p = len(lower.names)
    inside = np.broadcast_to(np.asarray(bounds[0], dtype=np.float64), (p,)) if theta0 is None else lower.check(theta0)
    box = Box(bounds, inside)
    if not (np.isfinite(box.lower).all() and np.isfinite(box.upper).all()):
        raise ValueError(f"bounds is {bounds!r}; expected finite numbers")
    return box


def _log(method: Any, evaluator: Any, box: Box, most: int, work: float, checkpoint: Any, callback: Any, progress: bool):
    def evaluate(theta: np.ndarray) -> dict[str, Any]:
        found = evaluator.evaluate(theta, method.accuracy)
        return {"f": found.f, "bound": found.bound, "accuracy": method.accuracy}

    run = f"{method!r} {box} for {evaluator.problem.lower.names}"
    return Evaluations(
        evaluator, evaluate, run, most=most, work=work, checkpoint=checkpoint, callback=callback, progress=progress
    )


def _axis(lower: float, upper: float, points: int) -> np.ndarray:
    return np.linspace(lower, upper, points) if points > 1 else np.array([(lower + upper) / 2])


def _to_and_fro(counts: list[int]) -> Any:
    """The grid's indices, each a neighbour of the one before."""
    last = None
    for outer in itertools.product(*(range(k) for k in counts[:-1])) if len(counts) < 3 else _to_and_fro(counts[:-1]):
        ascending = last != counts[-1] - 1 or counts[-1] == 1
        for last in range(counts[-1]) if ascending else range(counts[-1] - 1, -1, -1):
            yield (*outer, last)
