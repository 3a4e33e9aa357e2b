"""Runs on a few of the samples at a time, with warm starts of every image."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.methods.first_order import DescentSession
from ipbox.bilevel.problem.adjoint import AdjointSolution
from ipbox.bilevel.problem.error_constants import ErrorConstants
from ipbox.bilevel.problem.hypergradient import implicit_gradient
from ipbox.bilevel.problem.oracle import LowerSolution
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.samples import objective_bound
from ipbox.bilevel.problem.upper import Evaluation, Evaluator
from ipbox.bilevel.stochastic.warm_starts import WarmStarts


def samples(k: int, n: int, batch_size: int, seed: int) -> np.ndarray:
    """I_k, of n samples: parts of one random order until all were visited, then of another.

    Examples
    --------
    >>> [samples(k, 5, 2, seed=0).tolist() for k in range(4)]
    [[2, 4], [0, 3], [1], [1, 4]]
    """
    parts = math.ceil(n / batch_size)
    order = np.random.default_rng([seed, k // parts]).permutation(n)
    return np.sort(np.array_split(order, parts)[k % parts])


class SampleSession(DescentSession):
    """A run on minibatches, with warm starts of every image."""

    starts: WarmStarts

    @property
    def size(self) -> float:
        """c √N."""
        return self.source.unit * math.prod(self.problem.truths.shape[1:]) ** 0.5

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"starts": self.starts.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.starts = WarmStarts(0)
        self.starts.set_state(state["starts"])

    def part(self, index: np.ndarray) -> Evaluator:
        """The evaluator of some of the samples, with what is spent so far and their warm starts."""
        source, problem = self.source, self.problem
        settings: dict[str, Any] = {"max_iterations": source.max_iterations, "warm": source.warm}
        settings["n_jobs"] = source.n_jobs
        part = Evaluator(problem.take(index, problem.lower.take(index)), source.method, **settings)
        part.cost = source.cost + Cost()
        part.u = self.start("u", index, part)
        return part

    def start(self, name: str, index: np.ndarray, part: Evaluator) -> Array:
        """The warm starts of some samples, so far as they are here."""
        return self.starts.get(name, part.share.part(index), part.share.problem.lower.start())

    def keep(self, index: np.ndarray, part: Evaluator, **found: Array) -> None:
        """Keep what was found for some samples.  All ranks keep all: the next batch gives an image to any of them."""
        self.starts.put(index, **{name: part.share.whole(values) for name, values in found.items()})

    def on(self, index: np.ndarray) -> Batch:
        """This run on some of the samples."""
        return Batch(self, self.part(index))

    def sample_gradient(self, theta: np.ndarray, index: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
        """z ≈ ∇f(θ) from the samples ``index``, by images to ε and residuals to L_g ε; their ‖û_i - u_i‖²."""
        part = self.part(index)
        q = self.start("q", index, part) if part.warm else None
        try:
            found = self._within(eps, lambda: _Found(*implicit_gradient(part, theta, eps, None, q)), part)
        finally:
            self.source.cost = part.cost
        self.keep(index, part, u=found.lower.u, q=found.adjoint.q)
        whole, some = self.problem, part.problem
        share = whole.scale * whole.lower.n / (some.scale * some.lower.n)  # of the sum over all
        penalty = whole.penalty_gradient(theta)
        return penalty + share * (found.z - penalty), found.evaluation.r[: len(index)] ** 2 / some.scale

    def estimate(self, theta: np.ndarray, squares: np.ndarray) -> float:
        """f from the last ‖û_i - u_i‖² of the samples that were visited; the others are NaN."""
        return self.problem.scale * len(squares) * float(np.nanmean(squares)) + self.problem.penalty_value(theta)

    def evaluate_all(self, batch_size: int, seed: int) -> None:
        """f over all samples at the last θ, a minibatch at a time: a row that no checkpoint has."""
        last, problem = self.history[-1], self.problem
        eps, r, delta = last["accuracy"], [problem.penalty_value(last["theta"]) ** 0.5], [0.0]
        for k in range(math.ceil(problem.lower.n / batch_size)):
            part = self.part(samples(k, problem.lower.n, batch_size, seed))
            found = part.reconstruct(last["theta"], eps)
            self.source.cost = part.cost
            (distances,) = part.share.numbers(part.share.problem.distances(found.u))
            r += (problem.scale**0.5 * distances).tolist()
            delta += (problem.residual_lipschitz * found.certificate).tolist()
        r, delta = np.array(r), np.array(delta)
        row = last | {"f": float(r @ r), "f_bound": objective_bound(r, delta), "kind": "all samples"}
        self.history.append(row | self.source.spent())


class Batch(DescentSession):
    """A run on some samples: its rows are its own, bounds of θ and the budget those of the whole run."""

    def __init__(self, run: SampleSession, source: Evaluator) -> None:
        self.source, self.problem, self.bounds, self.budget = source, source.problem, run.bounds, run.budget
        self.lipschitz, self.history = 2 * self.problem.residual_lipschitz**2, []
        self.constants = ErrorConstants(run.constants.proved, count=run.constants.count)

    def record(self, row: dict[str, Any], new: bool = True) -> None:
        self.history.append(row)


class _Found(NamedTuple):
    z: np.ndarray
    evaluation: Evaluation
    adjoint: AdjointSolution

    @property
    def lower(self) -> LowerSolution:
        return self.evaluation.lower
