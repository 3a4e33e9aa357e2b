"""The log of a run's evaluations: checked, saved after each, and read again where a run is resumed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox.bilevel.dfo.model import Point
from ipbox.bilevel.methods.evaluations import check_checkpoint
from ipbox.solvers.core.state import State

if TYPE_CHECKING:
    from ipbox.bilevel.dfo.algorithm import Request


class Log:
    """Evaluates the residuals, or takes the evaluation from the checkpoint while that lasts.

    An algorithm that follows from the points it is sent so goes on where it was, bit for bit.
    """

    def __init__(
        self,
        residuals: Callable[..., Any],
        work_done: Callable[[], float] | None,
        checkpoint: str | Path | None,
    ) -> None:
        check_checkpoint(checkpoint)
        self.residuals, self.checkpoint = residuals, checkpoint
        self._work = getattr(residuals, "work", None) if work_done is None else work_done
        if self._work is not None and not callable(self._work):
            raise TypeError(f"work_done is {type(self._work).__name__}; expected a function that gives the work so far")
        self.rows: dict[str, list[Any]] = {"theta": [], "requested": [], "r": [], "delta": [], "work": []}
        self.count, self.work, self.begin = 0, 0.0, 0.0
        if checkpoint is not None and Path(checkpoint).is_file():
            self._read(checkpoint)
        elif self._work is not None:
            self.begin = float(self._work())

    def evaluate(self, theta: np.ndarray, request: Request, iterate: np.ndarray) -> tuple[Point, bool]:
        """The point, and whether it was evaluated now; ``iterate`` is what a checkpoint shows."""
        rows, i = self.rows, self.count
        asked = math.inf if request.accuracy is None else request.accuracy
        new = i == len(rows["r"])
        if new:
            r, delta = self._checked(theta, self.residuals(theta.copy(), request.accuracy))
            work = i + 1.0 if self._work is None else float(self._work()) - self.begin
            for key, value in zip(rows, (theta, asked, r, delta, work), strict=True):
                rows[key].append(value)
        elif not (np.array_equal(rows["theta"][i], theta) and rows["requested"][i] == asked):
            raise ValueError(
                f"checkpoint is {self.checkpoint}, with theta = {rows['theta'][i]} to {rows['requested'][i]:g} where "
                f"theta = {theta} to {asked:g} is due; expected that of a run of the same start, bounds and settings"
            )
        self.count, self.work = i + 1, rows["work"][i]
        if new and self.checkpoint is not None:
            self._write(iterate)
        return Point(request.z, rows["r"][i], rows["delta"][i], asked), new

    def _checked(self, theta: np.ndarray, found: Any) -> tuple[np.ndarray, np.ndarray]:
        """r̃ and δ as vectors of float64."""
        given, error = found if isinstance(found, tuple) and len(found) == 2 else (found, 0.0)
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
        if self.rows["r"] and len(self.rows["r"][0]) != len(r):
            raise ValueError(
                f"residuals gave {len(r)} numbers at theta = {theta}; expected {len(self.rows['r'][0])}, as before"
            )
        if delta.shape not in ((), r.shape) or not ((delta >= 0) & (delta < np.inf)).all():
            raise ValueError(
                f"residuals gave delta = {delta} at theta = {theta}; expected a number from 0 on, or {r.shape} of them"
            )
        return r, np.broadcast_to(delta, r.shape).copy()

    # ------------------------------------------------------------ checkpoints

    def _write(self, iterate: np.ndarray) -> None:
        get_state = getattr(self.residuals, "get_state", None)
        log = {key: np.array(value) for key, value in self.rows.items()}
        kept = None if get_state is None else get_state()
        State(x=iterate, k=self.count, log=log, begin=self.begin, residuals=kept).save(self.checkpoint)

    def _read(self, path: str | Path) -> None:
        lower = getattr(getattr(self.residuals, "problem", None), "lower", None)
        saved = State.load(path, getattr(lower, "xp", np).__name__)  # where warm starts go
        if not isinstance(getattr(saved, "log", None), dict) or "requested" not in saved.log:
            raise ValueError(f"checkpoint is {path}, which holds no evaluations; expected one of dfo")
        self.rows = {key: list(saved.log[key]) for key in self.rows}
        for key in ("requested", "work"):
            self.rows[key] = [float(v) for v in self.rows[key]]
        self.begin = saved.begin
        if saved.residuals is not None:
            set_state = getattr(self.residuals, "set_state", None)
            if set_state is None:
                raise TypeError("residuals has no set_state; expected it, since the checkpoint holds their state")
            set_state(saved.residuals)
