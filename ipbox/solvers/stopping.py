"""Stop rules, combined with ``|`` and ``&``; the solution says which one fired.

Every rule is a frozen description.  What it must remember between steps it keeps in the state, so that a resumed run
stops where an unbroken one does.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox import backend

if TYPE_CHECKING:
    from ipbox.solvers.core import Run, Solver
    from ipbox.solvers.problem import Parts


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
        return Either(self, _rule(other))

    def __and__(self, other: StopRule) -> StopRule:
        return Both(self, _rule(other))


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


@dataclass(frozen=True)
class Niter(StopRule):
    n: int
    total: bool = False

    @property
    def name(self) -> str:
        return "niter"

    def met(self, run: Run) -> bool:
        start = 0 if self.total else run.state.loop.get("k0", run.k0)
        return run.k - start >= self.n


@dataclass(frozen=True)
class Discrepancy(StopRule):
    noise_level: Any
    safety: float
    every: int

    @property
    def name(self) -> str:
        return "discrepancy"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        if parts.problem.fidelity is None:
            raise ValueError("stop.discrepancy needs a data fidelity such as L2(A, b) in the objective")
        if np.ndim(self.noise_level) and np.shape(self.noise_level) != (parts.batch,):
            raise ValueError(
                f"noise_level has shape {np.shape(self.noise_level)}; expected a number, or ({parts.batch},)"
            )

    def met(self, run: Run) -> Any:
        return run.data_residual() <= self.safety * np.asarray(self.noise_level)

    def take(self, index: np.ndarray) -> StopRule:
        return replace(self, noise_level=self.noise_level[index]) if np.ndim(self.noise_level) else self


@dataclass(frozen=True)
class Gap(StopRule):
    tol: float
    every: int

    @property
    def name(self) -> str:
        return "gap"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        solver.check_gap(parts)

    def met(self, run: Run) -> Any:
        return run.gap() <= self.tol


@dataclass(frozen=True)
class Residual(StopRule):
    tol: float
    every: int

    @property
    def name(self) -> str:
        return "residual"

    def met(self, run: Run) -> Any:
        return run.residual() <= self.tol


@dataclass(frozen=True)
class RelativeChange(StopRule):
    tol: float
    every: int

    @property
    def name(self) -> str:
        return "relative_change"

    def met(self, run: Run) -> Any:
        batched, memory = run.batch is not None, run.state.loop
        old = memory.get("x_old")
        if old is None:
            memory.update(x_old=run.x.copy(), x_old_k=run.k, change=np.full(run.batch or 1, np.inf))
        elif memory["x_old_k"] != run.k:  # a resumed run is asked again where the last one ended
            size = np.sqrt(backend.sum_squares(run.x, batched))
            change = np.sqrt(backend.sum_squares(run.x - old, batched))
            memory["change"] = np.atleast_1d(np.where(change > 0, change / np.where(size > 0, size, 1), 0))
            memory["x_old_k"] = run.k
            old[...] = run.x
        return memory["change"] <= self.tol


@dataclass(frozen=True)
class WallTime(StopRule):
    seconds: float

    @property
    def name(self) -> str:
        return "wall_time"

    def met(self, run: Run) -> bool:
        return run.seconds >= self.seconds


# ---------------------------------------------------------------- what users write


def niter(n: int, total: bool = False) -> StopRule:
    """After ``n`` iterations of this call (of the whole run, resumed parts included, with ``total``).

    Examples
    --------
    >>> import ipbox as ip
    >>> rule = ip.stop.gap(1e-4) | ip.stop.niter(2000)
    """
    if not isinstance(n, numbers.Integral) or n < 0:
        raise ValueError(f"niter is {n!r}; expected a non-negative integer")
    return Niter(int(n), total)


def discrepancy(noise_level: Any, safety: float = 1.01, every: int = 1) -> StopRule:
    """Morozov's discrepancy principle: ‖Au - b‖ <= safety · noise_level, the expected norm of the noise.

    ``noise_level`` is a number, or one per sample of a batch.
    """
    level = np.asarray(noise_level)
    if level.dtype.kind not in "fiu":
        raise TypeError(f"noise_level is {noise_level!r}; expected a number, or one per sample")
    level = level.astype(np.float64)
    if not (level >= 0).all() or not np.isfinite(level).all():
        raise ValueError(f"noise_level is {noise_level}; expected a non-negative number")
    return Discrepancy(float(level) if level.ndim == 0 else level, _positive(safety, "safety"), _every(every))


def gap(tol: float, every: int = 10) -> StopRule:
    """Duality gap <= tol · |primal objective|; refused, with the reason, where the dual value is infinite."""
    return Gap(_positive(tol, "tol"), _every(every))


def residual(tol: float, every: int = 10) -> StopRule:
    """The solver's fixed-point residual, relative, <= tol (gradient norm for smooth problems)."""
    return Residual(_positive(tol, "tol"), _every(every))


def relative_change(tol: float, every: int = 1) -> StopRule:
    """‖u - u_old‖ <= tol ‖u‖ between checks: it says that steps are small, not that the solution is near."""
    return RelativeChange(_positive(tol, "tol"), _every(every))


def wall_time(seconds: float) -> StopRule:
    """After so many seconds, resumed parts included."""
    return WallTime(_positive(seconds, "seconds"))


def _positive(value: float, name: str) -> float:
    if not isinstance(value, numbers.Real) or not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value!r}; expected a positive number")
    return float(value)


def _every(every: int) -> int:
    if not isinstance(every, numbers.Integral) or every < 1:
        raise ValueError(f"every is {every!r}; expected a positive integer")
    return int(every)


def _rule(rule: Any) -> StopRule:
    if not isinstance(rule, StopRule):
        raise TypeError(f"a stop rule was combined with {type(rule).__name__}; expected another stop rule")
    return rule
