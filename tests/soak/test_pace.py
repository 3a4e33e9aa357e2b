"""Checkpoints take a bounded share of the time, whatever a write takes, and nothing is lost at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import files
from ipbox.files import Pace
from ipbox.solvers import State
from tests.soak.runs import RUNS


class Clock:
    """A clock that a test moves; writing a state takes ``write`` seconds of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, write: float) -> None:
        self.now, self.written = 0.0, 0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        save = State.save

        def slow(state: State, path: Path) -> None:
            save(state, path)
            self.now += write
            self.written += 1

        monkeypatch.setattr(State, "save", slow)


@pytest.mark.parametrize("write", [1e-3, 0.1, 7.0])
def test_writing_takes_its_share(write: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace, spent = Clock(monkeypatch, write), Pace(), 0.0
    for _ in range(100_000):
        clock.now += 0.01
        if pace.is_due():
            with pace.writing():
                clock.now += write
            spent += write
    assert 0.5 * files.SHARE < spent / clock.now <= files.SHARE + write / clock.now


def test_seconds_are_the_least_between_two() -> None:
    pace = Pace(1e3)
    assert not pace.is_due()
    with pace.writing():
        pass
    assert not pace.is_due()


def _problem() -> ip.Problem:
    return ip.Problem(ip.L2(b=np.ones((6, 6))))


def _saved_at(clock: Clock, step: float, steps: int, path: Path, **options: Any) -> list[float]:
    """When a solve whose steps take so long has written."""
    seen, times = [0], []

    def tick(run: Any) -> None:
        clock.now += step
        if clock.written > seen[0]:
            times.append(clock.now)
            seen[0] = clock.written

    calls = [ip.callbacks.Checkpoint(path, **options), tick]
    ip.solve(_problem(), ip.GradientDescent(tau=0.1), stop=ip.stop.niter(steps), callbacks=calls)
    return times


def test_a_checkpoint_is_written_every_minute_or_more_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 0.5)
    assert np.allclose(np.diff(_saved_at(clock, 1.0, 400, tmp_path / "a.npz")), 61, atol=1)
    clock = Clock(monkeypatch, 6.0)
    assert np.allclose(np.diff(_saved_at(clock, 1.0, 1200, tmp_path / "a.npz")), 6 / files.SHARE, atol=2)


def test_what_the_user_asks_for_is_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 6.0)
    _saved_at(clock, 0.0, 20, tmp_path / "a.npz", every=2)
    assert clock.written == 12  # at 0, 2, ..., 20, and at the end


METHODS = ["DFO", "MAID", "HOAG", "ISGD", "LBFGSB", "Unrolled", "GridSearch", "Newton"]


@pytest.mark.parametrize("name", METHODS)
def test_learning_writes_first_and_last_where_writing_is_slow(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on from its end: nothing is evaluated again."""
    clock, run = Clock(monkeypatch, 1e6), RUNS[name]
    found = run(tmp_path / "a.npz")
    assert clock.written == 2
    again = run(tmp_path / "a.npz")
    assert clock.written == 2
    assert all(np.array_equal(again[key], found[key], equal_nan=True) for key in found)


def test_training_writes_first_and_last_where_writing_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipbox.learned.training import checkpoints

    written, save = [], checkpoints.save

    def slow(path: Path, run: Any, settings: Any) -> None:
        save(path, run, settings)
        written.append(run.step)
        clock[0] += 1e6

    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(checkpoints, "save", slow)
    found = RUNS["training"](tmp_path / "a.npz")
    assert written == [10, 240]
    again: Callable[[Path], Any] = RUNS["training"]
    assert all(np.array_equal(value, found[key]) for key, value in again(tmp_path / "a.npz").items())
    assert written == [10, 240]
