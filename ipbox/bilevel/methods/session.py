"""One run of a method: what it may spend, the log of its evaluations, its history, and its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import shares
from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.problem.resumable import Resumable
from ipbox.checks import check_between, check_flag, check_type
from ipbox.distributed.checkpoint import RankFiles, of_ranks
from ipbox.files import Pace, check_writable
from ipbox.progress import bar
from ipbox.solvers.core.callbacks import says_stop
from ipbox.solvers.core.state import State


class Spent(Exception):
    """Raised where something would begin after the budget is spent; its text says what was."""


def check_work(work: Any) -> float:
    """A budget of work: a positive number, maybe infinite."""
    return check_between(work, "work", 0, math.inf, "(]", "a positive number")


@dataclass(frozen=True)
class Budget:
    """So many ``steps``, each with a row of the history, and so much ``work``; ``unit`` is what the steps are."""

    steps: int
    work: float = math.inf
    unit: str = "iterations"

    def __post_init__(self) -> None:
        check_work(self.work)

    def check(self, steps: int, work: float) -> None:
        """Refuse to begin after so many steps and so much work.

        Raises
        ------
        Spent
        """
        if steps >= self.steps:
            raise Spent(self.unit)
        if work >= self.work:
            raise Spent("work")


@dataclass(repr=False, eq=False)
class Session:
    """A run of a method.

    Parameters
    ----------
    source : Resumable
        What is evaluated.
    name : str
        What makes this run this one: the checkpoint of another is refused.
    theta : array, shape (p,)
        Start.
    bounds : Bounds
    budget : Budget
    checkpoint : path, optional
        Read where it is there.  Ranks write a file each, all of the same step: see `RankFiles`.
    callback : function, optional
        Called with every new row of the history; the run ends where it returns True.

    Attributes
    ----------
    state : State
        What is saved: the ``log`` of evaluations, or what a method puts in its place.
    new : bool
        Whether there was no checkpoint to go on from.
    history : list of dict
    """

    source: Any  # a Resumable
    name: str
    theta: np.ndarray
    bounds: Bounds
    budget: Budget
    checkpoint: str | Path | None = None
    callback: Callable[[dict[str, Any]], Any] | None = None

    def __post_init__(self) -> None:
        path = self.checkpoint
        check_type(self.callback, "callback", Callable | None, "a function of a row of the history")
        if path is not None and not isinstance(path, str | Path):
            raise TypeError(f"checkpoint is {path!r}; expected a path")
        if path is not None and (Path(path).is_dir() or not Path(path).parent.is_dir()):
            raise ValueError(f"checkpoint is {path}; expected a file (.npz) in a folder that is there")
        if path is not None:
            check_writable(path, name="checkpoint")
            self._files = None if _alone(self.source) else RankFiles(self.source.ranks, path, "checkpoint")
        self.state, self.new = State(log=[]), True
        self.history: list[dict[str, Any]] = []
        self.done = 0  # evaluations that the method has had
        self.told_to_stop = False
        self.in_step = False  # between two states that a run could go on from
        self._pace, self._unsaved = Pace(), False

    def complete(self, loop: Callable[[Session], str], progress: bool = False) -> str:
        """Go on from the checkpoint until ``loop`` says why it ends, or the budget is spent."""
        if self.checkpoint is not None and (path := self._kept(self.checkpoint)) is not None:
            self._resume(path)
        name, budget = self.name.partition("(")[0], self.budget
        shown = check_flag(progress, "progress") and (self.source.ranks is None or self.source.ranks.leads)
        with bar(name, budget.unit.rstrip("s"), budget.steps, shown=shown) as self._bar:
            try:
                stop = loop(self)
            except Spent as end:
                if not self.history:
                    spent = f"{budget.work:g}, spent before the first evaluation"
                    raise ValueError(f"work is {spent}; expected more") from None
                stop = str(end)
            if self._unsaved and not self.in_step:
                self._write()
            return stop

    def record(self, row: dict[str, Any], new: bool = True) -> None:
        """Append a row to the history, and tell of it where it is new."""
        self.history.append(row)
        self._bar.update(1)
        self._bar.set_postfix_str(f"f = {row['f']:.6g}")
        if new and self.callback is not None:
            self.told_to_stop = shares.agreed(says_stop(self.callback(dict(row))), self.source.ranks)

    def check_left(self, steps: int, work: float) -> None:
        """Refuse to begin after so many steps and so much work, or after the callback has said stop.

        Raises
        ------
        Spent
        """
        if self.told_to_stop:
            raise Spent("callback")
        self.budget.check(steps, work)

    # ------------------------------------------------------------ the log

    def due(self, theta: np.ndarray, evaluate: Callable[[], dict[str, Any]], **asked: Any) -> tuple[dict, bool]:
        """The evaluation at θ that is due, and whether it is new; a method that starts anew is given those in the log.

        So it comes to where it was, bit for bit, if it follows from what it is given.

        Parameters
        ----------
        theta : array, shape (p,)
        evaluate : function
            Gives a new evaluation: numbers and arrays.
        **asked
            What else it follows from.

        Raises
        ------
        Spent
        ValueError
            where the log is of other points, so not of this method with these data.
        """
        log = self.state.log
        before = log[self.done - 1]["work"] if self.done else 0.0 if log else self.source.work()
        self.check_left(self.done, before)
        new = self.done == len(log)
        if new:
            self.in_step = True
            log.append({"theta": theta, **asked, **evaluate(), **self.source.spent()})
            self.in_step = False
        entry, wanted = log[self.done], {"theta": theta, **asked}
        if any(not np.array_equal(entry.get(key), value) for key, value in wanted.items()):
            found = {key: entry.get(key) for key in wanted}
            raise ValueError(
                f"checkpoint is {self.checkpoint}, with {_text(found)} where {_text(wanted)} is due; expected that of "
                "a run of the same start, bounds and settings"
            )
        self.done += 1
        self.state.x, self.state.k = theta, self.done
        return entry, new

    # ------------------------------------------------------------ the checkpoint

    def get_state(self) -> dict[str, Any]:
        """What is saved of the source, and with it."""
        return self.source.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        self.source.set_state(state)

    def save(self) -> None:
        """Write the checkpoint, where there is one, at once or when it is time; it is written again at the end."""
        self._unsaved = self.checkpoint is not None
        if self._unsaved and shares.agreed(self._is_due(), self.source.ranks):
            self._write()

    def _is_due(self) -> bool:
        ranks = self.source.ranks
        return (ranks is None or ranks.leads) and self._pace.is_due()  # by one clock

    def _write(self) -> None:
        assert self.checkpoint is not None, "written where there is one"
        with self._pace.writing():
            self.state.run, self.state.source = self.name, self.get_state()
            if self._files is None:
                self.state.save(self.checkpoint)
            else:
                self.state.ranks = self.source.ranks.size
                self._files.write(self.state.k, self.state.save)
        self._unsaved = False

    def _kept(self, checkpoint: str | Path) -> Path | None:
        """The checkpoint to go on from, where there is one."""
        if self._files is not None:
            return self._files.newest()
        of_ranks(checkpoint, "checkpoint")
        return Path(checkpoint) if Path(checkpoint).is_file() else None

    def _resume(self, path: Path) -> None:
        self.state, self.new = State.load(path, self.source.library), False
        if vars(self.state).get("run") != self.name:
            raise ValueError(f"checkpoint is {self.checkpoint}, of another run; expected one of {self.name}")
        if self._files is not None and self.state.ranks != self.source.ranks.size:
            raise ValueError(f"checkpoint is {self.checkpoint}, of {self.state.ranks} ranks; expected as many")
        self.set_state(self.state.source)


def _alone(source: Resumable) -> bool:
    return source.ranks is None or source.ranks.size == 1


def _text(asked: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in asked.items())
