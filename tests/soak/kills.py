"""Runs that are killed at random moments, and go on: what they find is what they find undisturbed, bit for bit.

A short run writes twice at its usual pace, and a write is short: most kills would fall into no write, and before the
first.  So a third of the processes go at their pace, a third write as often as they can, and a third of them write so
and end themselves in one of their writes: with a part of the file there, with all of it, or with the file replaced.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import files

Run = Callable[[Path], dict[str, np.ndarray]]


@dataclass
class Outcome:
    """How often a run was killed, how often it came to its end, and what was wrong then."""

    name: str
    kills: int = 0
    between: int | None = None  # kills of a process that had written before
    inside: int | None = None  # kills that left a file half written
    ends: int = 0
    alone: float = 0.0  # seconds of the undisturbed run
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def row(self) -> str:
        between, inside = ("-" if n is None else n for n in (self.between, self.inside))
        return (
            f"{self.name:14} {self.kills:6d} {between:>8} {inside:>7} {self.ends:6d} {len(self.faults):6d} "
            f"{self.alone:8.2f} {self.seconds:8.1f}"
        )


HEAD = f"{'run':14} {'kills':>6} {'between':>8} {'inside':>7} {'ends':>6} {'faults':>6} {'alone/s':>8} {'seconds':>8}"


def child(work: Callable[[], Any], errors: Path) -> int:
    """Do ``work`` in a forked process, which ends with 0 where it went well."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            with open(errors, "w") as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(code)
    return pid


def ended(pid: int, seconds: float) -> bool:
    """Wait so long for a process; it is killed where it has not ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def kill_and_resume(
    name: str, run: Run, folder: Path, kills: int, rng: np.random.Generator, until: float = float("inf")
) -> Outcome:
    """Kill a run so often, and let it go on each time until it comes to its end."""
    outcome, begun = Outcome(name, between=0, inside=0), time.monotonic()
    folder.mkdir(parents=True)
    errors, out, expected = folder / "error.txt", folder / "out.npz", folder / "expected.npz"
    run(folder / "warm.npz")  # what is compiled and imported here, no process has to wait for
    begun_alone = time.monotonic()
    pid = child(lambda: np.savez(expected, **run(folder / "alone.npz")), errors)
    if not ended(pid, 120.0) or not expected.exists():
        raise RuntimeError(f"{name} does not come to its end:\n{errors.read_text() if errors.exists() else ''}")
    outcome.alone = time.monotonic() - begun_alone
    work = folder / "run"
    while outcome.kills < kills and time.monotonic() < until:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        while _is_killed(run, work, out, errors, outcome, rng, last=outcome.kills >= kills):
            outcome.kills += 1
        outcome.ends += 1
        if errors.exists():
            outcome.faults.append(errors.read_text().strip().splitlines()[-1])
        elif wrong := different(out, expected):
            outcome.faults.append(wrong)
        elif left := [path.name for path in work.iterdir() if path.stem != "run"]:
            outcome.faults.append(f"leaves {', '.join(left)}")
    outcome.seconds = time.monotonic() - begun
    return outcome


def _is_killed(
    run: Run, work: Path, out: Path, errors: Path, outcome: Outcome, rng: np.random.Generator, last: bool
) -> bool:
    """Start a process that does the run, or what is left of it; whether it was killed before it came to its end."""
    way = int(rng.integers(3))
    stop = Kill(int(rng.integers(1, 7)), STAGES[rng.integers(3)], rng.random()) if way == 2 and not last else None
    errors.unlink(missing_ok=True)
    out.unlink(missing_ok=True)
    before = _stamps(work)
    pid = child(lambda: np.savez(out, **_done(run, work / "run.npz", way > 0, stop)), errors)
    seconds = rng.uniform(0, outcome.alone) if way < 2 and not last else 120.0
    if ended(pid, seconds):
        if out.exists() or errors.exists():
            return False
        if stop is None:
            outcome.faults.append("ends by a signal that was not sent")
    after = _stamps(work)
    half = any(name.endswith(".tmp") for name in after.keys() - before.keys())
    outcome.inside += half
    outcome.between += not half and after != before
    return True


@dataclass(frozen=True)
class Kill:
    """Of a process by itself, in its write number ``write``, of which ``part`` is there at the stage of half."""

    write: int
    stage: str
    part: float

    def set(self) -> None:
        writes, fsync, replace = [0], os.fsync, os.replace

        def synced(file: int) -> None:
            writes[0] += 1
            if (writes[0], self.stage) == (self.write, "half"):
                os.ftruncate(file, int(self.part * os.fstat(file).st_size))
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(file)

        def replaced(old: Path, new: Path) -> None:
            if (writes[0], self.stage) == (self.write, "whole"):
                os.kill(os.getpid(), signal.SIGKILL)
            replace(old, new)
            if (writes[0], self.stage) == (self.write, "replaced"):
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync, os.replace = synced, replaced


STAGES = ("half", "whole", "replaced")


def _done(run: Run, path: Path, often: bool, stop: Kill | None) -> dict[str, np.ndarray]:
    """The run; ``often``: it may spend as much time with writing as there is."""
    if often:
        files.SHARE = 1.0
    if stop is not None:
        stop.set()
    return run(path)


def _stamps(folder: Path) -> dict[str, int]:
    """The files, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def different(out: Path, expected: Path) -> str | None:
    with contextlib.ExitStack() as stack:
        found, wanted = (stack.enter_context(np.load(path)) for path in (out, expected))
        if set(found) != set(wanted):
            return f"gives {', '.join(sorted(set(found) ^ set(wanted)))} in one of two runs"
        wrong = [key for key in wanted if not np.array_equal(found[key], wanted[key], equal_nan=True)]
    return f"differs in {', '.join(sorted(wrong))}" if wrong else None
