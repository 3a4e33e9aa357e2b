"""Baselines that look at f alone: a grid, and the bounded search of one parameter."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.minimiser import Minimiser
from ipbox.bilevel.methods.session import Session
from ipbox.bilevel.problem.resumable import ProblemEvaluator
from ipbox.checks import check_count, check_fields, check_positive, counted, is_integer

AT_MOST = 3  # parameters of a grid


class Search(Minimiser):
    """Base of the searches between finite bounds, of any evaluator; θ0 is not used, but has to lie within."""

    accuracy: float
    _evaluator = ProblemEvaluator

    def _start(self, lower: Any, theta0: Any, bounds: Any) -> tuple[np.ndarray, Bounds]:
        if bounds is None:
            raise ValueError("bounds is None; expected a pair (lower, upper): they are what is searched")
        box = Bounds(bounds, len(lower.names))
        if theta0 is not None:
            box.check(lower.check(theta0))
        if not (np.isfinite(box.lower).all() and np.isfinite(box.upper).all()):
            raise ValueError(f"bounds is {bounds!r}; expected finite numbers")
        return box.lower, box

    def _evaluate(self, run: Session, theta: np.ndarray) -> dict[str, Any]:
        accuracy = self.accuracy * run.source.unit
        found = run.source.evaluate(theta, accuracy)
        return {"f": found.f, "f_bound": found.bound, "accuracy": accuracy}


@dataclass(frozen=True)
class GridSearch(Search):
    """f on a product grid of the box; the best point is the result.

    Parameters
    ----------
    points : int or tuple of int
        Number of points along every axis, or along each; the ends of the box are among them.
    accuracy : float
        Bound on the error of the residuals r_i = √scale ‖û_i - u_i‖, in units of the largest value of the true images.

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
        check_positive(self.accuracy, "accuracy")

    def _start(self, lower: Any, theta0: Any, bounds: Any) -> tuple[np.ndarray, Bounds]:
        p = len(lower.names)
        if p > AT_MOST:
            raise ValueError(f"theta has {p} entries; expected at most {AT_MOST}: a grid of more is no baseline")
        given: Any = self.points
        if not is_integer(given) and len(given) != p:
            raise ValueError(f"points is {self.points}; expected an integer, or {p} of them")
        return super()._start(lower, theta0, bounds)

    def _counts(self, p: int) -> list[int]:
        return [int(k) for k in np.broadcast_to(np.asarray(self.points), (p,))]

    def _most(self, p: int) -> int:
        return math.prod(self._counts(p))

    def _loop(self, run: Session) -> str:
        counts = self._counts(len(run.theta))
        axes = [_axis(low, high, k) for low, high, k in zip(run.bounds.lower, run.bounds.upper, counts, strict=True)]
        for index in _to_and_fro(counts):
            self._at(run, [x[i] for x, i in zip(axes, index, strict=True)], "grid")
        return "grid"


@dataclass(frozen=True)
class ScalarSearch(Search):
    """Brent's bounded minimisation of one parameter: golden sections and parabolas.

    Parameters
    ----------
    tol : float
        Ends the search where θ is known to about this.
    accuracy : float
        Bound on the error of the residuals r_i = √scale ‖û_i - u_i‖, in units of the largest value of the true images:
        errors of f hide its minimum.

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
        check_fields(self, check_positive, "tol", "accuracy")

    def _start(self, lower: Any, theta0: Any, bounds: Any) -> tuple[np.ndarray, Bounds]:
        if len(lower.names) != 1:
            raise ValueError(f"theta has {counted(len(lower.names), 'entry')}; ScalarSearch expects one")
        return super()._start(lower, theta0, bounds)

    def _loop(self, run: Session) -> str:
        from scipy.optimize import minimize_scalar

        ends = float(run.bounds.lower[0]), float(run.bounds.upper[0])

        def f(t: float) -> float:
            return self._at(run, [t], "search")["f"]

        if ends[0] == ends[1]:
            f(ends[0])
        else:
            options = {"xatol": self.tol, "maxiter": 10 * run.budget.steps}
            minimize_scalar(f, bounds=ends, method="bounded", options=options)
        return "tol"


# ---------------------------------------------------------------- parts


def _axis(lower: float, upper: float, points: int) -> np.ndarray:
    return np.linspace(lower, upper, points) if points > 1 else np.array([(lower + upper) / 2])


def _to_and_fro(counts: list[int]) -> Any:
    """The grid's indices, each a neighbour of the one before."""
    last = None
    for outer in itertools.product(*(range(k) for k in counts[:-1])) if len(counts) < 3 else _to_and_fro(counts[:-1]):
        ascending = last != counts[-1] - 1 or counts[-1] == 1
        for last in range(counts[-1]) if ascending else range(counts[-1] - 1, -1, -1):
            yield (*outer, last)
