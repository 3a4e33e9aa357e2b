"""What stop rules are, and how they combine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.core.protocol import Solver
from ipbox.solvers.core.run import Run


@dataclass(frozen=True)
class StopRule:
    """Base of the rules: ``met(run)`` is asked every ``every`` iterations.

    Examples
    --------
    >>> import ipbox as ip
    >>> rule = ip.stop.niter(100) | ip.stop.residual(1e-6)
    >>> isinstance(rule, ip.stop.StopRule)
    True
    """

    every = 1  # a field of rules that can be asked less often (annotated here it would come first there)

    @property
    def name(self) -> str:
        return type(self).__name__

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        """Refuse, before the first step, a rule that this solver or problem cannot serve."""

    def met(self, run: Run) -> Any:
        """Whether to stop: a bool, or one per sample."""
        raise NotImplementedError("abstract")

    def fired(self, run: Run) -> np.ndarray:
        """The rule's name where it says stop, None elsewhere; one entry, or one per sample."""
        if run.k % self.every:
            return np.array([None], dtype=object)
        met = np.atleast_1d(self.met(run))
        return np.where(met, np.array(self.name, dtype=object), None)

    def take(self, index: np.ndarray) -> StopRule:
        """The rule for a part of the samples of a batch."""
        return self

    def __or__(self, other: StopRule) -> StopRule:
        return Either(self, check_rule(other))

    def __and__(self, other: StopRule) -> StopRule:
        return Both(self, check_rule(other))

    def __ror__(self, other: Any) -> StopRule:
        return check_rule(other) | self

    def __rand__(self, other: Any) -> StopRule:
        return check_rule(other) & self


@dataclass(frozen=True)
class Pair(StopRule):
    """Two rules as one."""

    a: StopRule
    b: StopRule

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        self.a.check_applies(solver, parts)
        self.b.check_applies(solver, parts)

    def take(self, index: np.ndarray) -> StopRule:
        return type(self)(self.a.take(index), self.b.take(index))


@dataclass(frozen=True)
class Either(Pair):
    """Stops where one of two rules does."""

    def fired(self, run: Run) -> np.ndarray:
        a, b = np.broadcast_arrays(self.a.fired(run), self.b.fired(run))
        return np.where(a != None, a, b)  # noqa: E711  (elementwise)


@dataclass(frozen=True)
class Both(Pair):
    """Stops where both rules do at one iteration."""

    def fired(self, run: Run) -> np.ndarray:
        pairs = zip(*np.broadcast_arrays(self.a.fired(run), self.b.fired(run)), strict=True)
        return np.array([f"{a} & {b}" if a and b else None for a, b in pairs], dtype=object)


@dataclass(frozen=True)
class NoiseLevelRule(StopRule):
    """Base of the rules that compare with the norm of the noise: a number, or one per sample."""

    noise_level: Any

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        if np.ndim(self.noise_level) and np.shape(self.noise_level) != (parts.batch,):
            shape = np.shape(self.noise_level)
            raise ValueError(f"noise_level has shape {shape}; expected a number, or ({parts.batch},)")

    def take(self, index: np.ndarray) -> StopRule:
        return replace(self, noise_level=self.noise_level[index]) if np.ndim(self.noise_level) else self


def check_rule(rule: Any) -> StopRule:
    """A stop rule, to be combined with another."""
    if not isinstance(rule, StopRule):
        raise TypeError(f"a stop rule was combined with {type(rule).__name__}; expected another, as ip.stop.niter(100)")
    return rule


def fidelity_of(parts: Parts, who: str) -> Fidelity:
    """The data fidelity, which a rule on the residual needs."""
    if parts.problem.fidelity is None:
        raise ValueError(f"{who} needs a data fidelity such as L2(A, b) in the objective")
    return parts.problem.fidelity
