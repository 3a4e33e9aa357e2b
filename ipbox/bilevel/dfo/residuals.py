"""The residuals that are minimised, as the user gives them: a function, and what else it may have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ipbox.bilevel.problem.resumable import Resumable
from ipbox.checks import check_numbers, check_type, counted

NORMS = 1e-4  # relative: the norms may be of single precision


@runtime_checkable
class Counts(Protocol):
    """Tells the work it has done."""

    def work(self) -> float: ...


@runtime_checkable
class Saves(Protocol):
    """Gives what a checkpoint has to hold."""

    def get_state(self) -> dict[str, Any]: ...


@runtime_checkable
class Restores(Protocol):
    """Goes on from what a checkpoint held."""

    def set_state(self, state: dict[str, Any]) -> None: ...


class Residuals(Resumable):
    """``function(theta, accuracy)``, checked; its work is that since the start of the run.

    Where nothing tells of work, evaluations are counted.
    """

    def __init__(self, function: Callable[..., Any], work_done: Callable[[], float] | None = None) -> None:
        check_type(function, "residuals", Callable, "a function of theta and accuracy")
        self.function, self.size, self.count = function, None, 0
        self.shape: list[int] | None = None  # of the vectors; empty where none are told
        self._work = function.work if work_done is None and isinstance(function, Counts) else work_done
        check_type(self._work, "work_done", Callable | None, "a function that gives the work so far")
        self.begin = 0.0 if self._work is None else float(self._work())
        if isinstance(function, Resumable):
            self.library, self.unit, self.ranks = function.library, function.unit, function.ranks

    @property
    def name(self) -> str:
        """Of the function, or of the class where it is an object."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        return function.__qualname__ if inspect.isroutine(function) else type(function).__qualname__

    def __call__(self, theta: np.ndarray, accuracy: float | None) -> dict[str, np.ndarray]:
        """r̃ and δ as vectors of float64, and the ``vectors`` whose norms the first of r̃ are, where they are told."""
        found = self.function(theta.copy(), accuracy)
        given, error, vectors = _parts(found)
        try:
            r, delta = np.array(given, dtype=np.float64), np.asarray(error, dtype=np.float64)
        except (ValueError, TypeError) as err:
            raise TypeError(
                f"residuals gave {found!r} at theta = {theta}; expected r, or (r, delta), of numbers"
            ) from err
        if r.ndim != 1 or r.size == 0:
            raise ValueError(f"residuals gave r of shape {r.shape} at theta = {theta}; expected a vector")
        if not np.isfinite(r).all():
            raise FloatingPointError(f"residuals gave NaN or infinity at theta = {theta}")
        if self.size not in (None, r.size):
            raise ValueError(
                f"residuals gave {counted(r.size, 'number')} at theta = {theta}; expected {self.size}, as before"
            )
        if delta.shape not in ((), r.shape) or not ((delta >= 0) & (delta < np.inf)).all():
            raise ValueError(
                f"residuals gave delta = {delta} at theta = {theta}; expected a number from 0 on, or {r.shape} of them"
            )
        told = {} if vectors is None else {"vectors": _checked(vectors, r, theta)}
        shape = list(told["vectors"].shape) if told else []
        if self.shape not in (None, shape):
            told_of, before = (f"vectors of shape {s}" if s else "no vectors" for s in (shape, self.shape))
            raise ValueError(f"residuals gave {told_of} at theta = {theta}; expected {before}, as before")
        self.size, self.shape, self.count = r.size, shape, self.count + 1
        return {"r": r, "delta": np.broadcast_to(delta, r.shape).copy(), **told}

    def work(self) -> float:
        return float(self.count) if self._work is None else float(self._work()) - self.begin

    def get_state(self) -> dict[str, Any]:
        kept = self.function.get_state() if isinstance(self.function, Saves) else None
        return {"function": kept, "begin": self.begin, "count": self.count, "size": self.size, "shape": self.shape}

    def set_state(self, state: dict[str, Any]) -> None:
        self.begin, self.count, self.size = state["begin"], state["count"], state["size"]
        self.shape = state.get("shape", [])  # files that were written before vectors were told lack it
        if state["function"] is None:
            return
        if not isinstance(self.function, Restores):
            raise TypeError("residuals has no set_state; expected it, since the checkpoint holds their state")
        self.function.set_state(state["function"])


def _parts(found: Any) -> tuple[Any, Any, Any]:
    """r, δ and the vectors of what the function gave: r alone, two, or three where the last are an array or None."""
    if isinstance(found, tuple) and len(found) == 2:
        return (*found, None)
    if isinstance(found, tuple) and len(found) == 3 and (found[2] is None or isinstance(found[2], np.ndarray)):
        return found
    return found, 0.0, None


def _checked(vectors: Any, r: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """The vectors whose norms the first residuals are, float64, (k, q)."""
    expected = f"an array (k, q), k <= {r.size}, whose rows have the norms r"
    v = check_numbers(vectors, "vectors", expected)
    if v.ndim != 2 or not 0 < len(v) <= r.size or v.shape[1] == 0:
        raise ValueError(f"residuals gave vectors of shape {v.shape} at theta = {theta}; expected {expected}")
    norms, told = np.linalg.norm(v, axis=1), np.abs(r[: len(v)])
    if not (np.abs(norms - told) <= NORMS * told.max()).all():
        raise ValueError(f"residuals gave vectors of norms {norms} at theta = {theta}; expected {told}, as r")
    return v
