"""What stop rules are, and how they combine."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ipbox.solvers.core.loop import Run, Solver
    from ipbox.solvers.core.problem import Parts


@dataclass(frozen=True)
class StopRule:
    """Base of the rules: ``met(run)`` is asked every ``every`` iterations."""

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
        if run.k % getattr(self, "every", 1):
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


@dataclass(frozen=True)
class Either(StopRule):
    """Stops where one of two rules does."""

    a: StopRule
    b: StopRule

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        self.a.check_applies(solver, parts)
        self.b.check_applies(solver, parts)

    def fired(self, run: Run) -> np.ndarray:
        a, b = np.broadcast_arrays(self.a.fired(run), self.b.fired(run))
        return np.where(a != None, a, b)  # noqa: E711  (elementwise)

    def take(self, index: np.ndarray) -> StopRule:
        return Either(self.a.take(index), self.b.take(index))


@dataclass(frozen=True)
class Both(StopRule):
    """Stops where both rules do at one iteration."""

    a: StopRule
    b: StopRule

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        self.a.check_applies(solver, parts)
        self.b.check_applies(solver, parts)

    def fired(self, run: Run) -> np.ndarray:
        pairs = zip(*np.broadcast_arrays(self.a.fired(run), self.b.fired(run)), strict=True)
        return np.array([f"{a} & {b}" if a and b else None for a, b in pairs], dtype=object)

    def take(self, index: np.ndarray) -> StopRule:
        return Both(self.a.take(index), self.b.take(index))


def positive(value: Any, name: str) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}; expected a positive number")
    return float(value)


def not_negative(value: Any, name: str) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value!r}; expected a finite number that is not negative")
    return float(value)


def check_every(every: int) -> int:
    if not isinstance(every, numbers.Integral) or every < 1:
        raise ValueError(f"every is {every!r}; expected a positive integer")
    return int(every)


def check_rule(rule: Any) -> StopRule:
    if not isinstance(rule, StopRule):
        raise TypeError(f"a stop rule was combined with {type(rule).__name__}; expected another stop rule")
    return rule


def check_noise_level(noise_level: Any) -> Any:
    """A non-negative float, or an array of one per sample."""
    level = np.asarray(noise_level)
    if level.dtype.kind not in "fiu":
        raise TypeError(f"noise_level is {noise_level!r}; expected a number, or one per sample")
    level = level.astype(np.float64)
    if not (level >= 0).all() or not np.isfinite(level).all():
        raise ValueError(f"noise_level is {noise_level}; expected a non-negative number")
    return float(level) if level.ndim == 0 else level


def check_batch(noise_level: Any, parts: Parts) -> None:
    """Refuse noise levels that are not one for each sample."""
    if np.ndim(noise_level) and np.shape(noise_level) != (parts.batch,):
        raise ValueError(f"noise_level has shape {np.shape(noise_level)}; expected a number, or ({parts.batch},)")
