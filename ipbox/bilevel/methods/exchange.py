"""Sampling masks made better by exchanging samples, guided by hypergradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.session import Budget, Session
from ipbox.bilevel.problem.hypergradient import hypergradient
from ipbox.bilevel.problem.result import BilevelResult
from ipbox.bilevel.problem.upper import Evaluation, Evaluator
from ipbox.checks import check_count, check_positive
from ipbox.keywords import answering


class Exchanged(BilevelResult):
    """What `exchange_samples` returns: a `BilevelResult`, whose θ has as many ones as at the start.

    ``stop`` is "none better" or "rounds"; the history has a row for each exchange: ``removed``, ``added`` (indices of
    θ), ``f``, ``f_bound``, ``work``.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, SamplingWeights, exchange_samples
    >>> u, F = np.array([[1.0, 1.0, 1.0, 1.0]]), ip.FourierTransform((4,), dtype="complex128")
    >>> R, weights = 0.1 * ip.Tikhonov((4,), order=0), SamplingWeights(F, "linear")
    >>> lower = LowerLevel(F, F.apply(u.astype(complex)), R, fidelity=weights)
    >>> found = exchange_samples(BilevelProblem(u, lower).evaluator(), np.array([1.0, 0.0, 0.0, 0.0]), accuracy=1e-6)
    >>> found.stop, len(found.history)
    ('none better', 1)
    """


@answering
def exchange_samples(
    evaluator: Evaluator,
    theta: Any,
    accuracy: float,
    candidates: int = 8,
    removals: int = 2,
    rounds: int = 20,
    callback: Callable[[dict[str, Any]], Any] | None = None,
) -> Exchanged:
    """Improve a sampling mask, weights θ_j of 0 or 1, while their number stays.

    A round leaves out each sample in turn; without the one that is missed least, it adds those that promise most,
    -∂f/∂θ_j being largest where θ_j = 0, one at a time, and takes the best.  Thresholded weights are a good start:
    what has been learned with weights between 0 and 1 need not be best for a mask.

    Parameters
    ----------
    evaluator : Evaluator
        Of a problem whose fidelity is `SamplingWeights` with the parametrisation ``"linear"`` or ``"square"``.
    theta : array, shape (p,)
        Its first entries, those of the fidelity, are 0 or 1; others are left as they are.
    accuracy : float
        ε > 0: |r̃_j - r_j| <= ε in every evaluation.
    candidates, removals : int
        How many samples are tried to be added, and how many of those that are missed least to be removed.
    rounds : int
        At most so many exchanges.
    callback : function, optional
        Called with each row of the history; the run ends, ``stop`` is "callback", where it returns True.

    Returns
    -------
    Exchanged

    Notes
    -----
    An exchange is made where f̃(θ') + bound' < f̃(θ) - bound, so that f really falls, and the method ends.

    Raises
    ------
    ValueError, TypeError
        for a θ that is no mask, or has no sample to exchange, and arguments out of their ranges.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, SamplingWeights, exchange_samples
    >>> u, F = np.array([[1.0, 1.0, 1.0, 1.0]]), ip.FourierTransform((4,), dtype="complex128")
    >>> weights = SamplingWeights(F, "linear")
    >>> lower = LowerLevel(F, F.apply(u.astype(complex)), 0.1 * ip.Tikhonov((4,), order=0), fidelity=weights)
    >>> start = np.array([1.0, 0.0, 0.0, 0.0])     # the highest frequency; that of u is 0, at index 2
    >>> exchange_samples(BilevelProblem(u, lower).evaluator(), start, accuracy=1e-6).theta
    array([0., 0., 1., 0.])
    """
    lower = evaluator.problem.lower
    theta, p = lower.check(theta).copy(), len(lower.terms[0].names)
    mask = theta[:p]
    if not np.isin(mask, (0, 1)).all() or not 0 < mask.sum() < p:
        raise ValueError(f"theta is {mask} for the {p} sampling weights; expected ones and zeros, some of each")
    for name, value in (("candidates", candidates), ("removals", removals), ("rounds", rounds)):
        check_count(value, name)
    accuracy, budget = check_positive(accuracy, "accuracy"), Budget(rounds, unit="rounds")
    run = Session(evaluator, "exchange_samples", theta, Bounds(None, len(theta)), budget, callback=callback)
    exchanges = _Exchanges(evaluator, p, accuracy, candidates, removals, evaluator.evaluate(theta, accuracy))
    stop, best = run.complete(exchanges.loop), exchanges.best
    return Exchanged(best.theta, best.f, best.bound, stop, run.history, evaluator.cost)


@dataclass
class _Exchanges:
    evaluator: Evaluator
    p: int
    accuracy: float
    candidates: int
    removals: int
    best: Evaluation

    def loop(self, run: Session) -> str:
        while True:
            run.check_left(len(run.history), 0.0)
            found = self.better(self.best)
            if found is None:
                return "none better"
            removed, added, self.best = found
            values = {"f": self.best.f, "f_bound": self.best.bound, "work": self.evaluator.work()}
            run.record({"removed": removed, "added": added, **values})

    def better(self, best: Evaluation) -> tuple[int, int, Evaluation] | None:
        """The exchange to make, or None."""
        samples = np.flatnonzero(best.theta[: self.p])
        without = [self.at(best.theta, k, 0.0, best) for k in samples]
        for i in np.argsort([e.f for e in without], kind="stable")[: self.removals]:
            removed, e = int(samples[i]), without[i]
            lipschitz = self.evaluator.problem.residual_lipschitz
            gradient = hypergradient(self.evaluator, e.theta, self.accuracy / lipschitz, evaluation=e).z[: self.p]
            free = np.flatnonzero(e.theta[: self.p] == 0)
            free = free[free != removed]
            tried = free[np.argsort(gradient[free], kind="stable")[: self.candidates]]
            after = [self.at(e.theta, k, 1.0, e) for k in tried]
            j = int(np.argmin([a.f for a in after])) if after else -1
            if after and after[j].f + after[j].bound < best.f - best.bound:
                return removed, int(tried[j]), after[j]
        return None

    def at(self, theta: np.ndarray, k: int, value: float, near: Evaluation) -> Evaluation:
        """The evaluation where entry k of θ is changed, from the reconstructions of a near one."""
        changed = theta.copy()
        changed[k] = value
        self.evaluator.u = near.lower.u
        return self.evaluator.evaluate(changed, self.accuracy)
