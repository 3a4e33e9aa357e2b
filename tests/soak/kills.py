"""Runs that are killed at random moments, and go on: what they find is what they find undisturbed, bit for bit."""

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
    ends: int = 0
    alone: float = 0.0  # seconds of the undisturbed run
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def row(self) -> str:
        return (
            f"{self.name:14} {self.kills:6d} {self.ends:6d} {len(self.faults):6d} {self.alone:8.2f} {self.seconds:8.1f}"
        )


HEAD = f"{'run':14} {'kills':>6} {'ends':>6} {'faults':>6} {'alone/s':>8} {'seconds':>8}"


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
    """Kill a run so often, in every other attempt one that writes as often as it can."""
    outcome, begun = Outcome(name), time.monotonic()
    folder.mkdir(parents=True)
    errors, out, expected = folder / "error.txt", folder / "out.npz", folder / "expected.npz"
    begun_alone = time.monotonic()
    pid = child(lambda: np.savez(expected, **run(folder / "alone.npz")), errors)
    if not ended(pid, 120.0) or not expected.exists():
        raise RuntimeError(f"{name} does not come to its end:\n{errors.read_text() if errors.exists() else ''}")
    outcome.alone = time.monotonic() - begun_alone
    attempt, work = 0, folder / "run"
    while outcome.kills < kills and time.monotonic() < until:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        share = 1.0 if attempt % 2 else None
        attempt += 1
        while True:
            errors.unlink(missing_ok=True)
            out.unlink(missing_ok=True)
            pid = child(lambda share=share: np.savez(out, **_often(run, work / "run.npz", share)), errors)
            seconds = 120.0 if outcome.kills >= kills else rng.uniform(0, outcome.alone)
            if ended(pid, seconds):
                break
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


def _often(run: Run, path: Path, share: float | None) -> dict[str, np.ndarray]:
    """The run; with a share of 1, writing takes as much time as there is."""
    if share is not None:
        files.SHARE = share
    return run(path)


def different(out: Path, expected: Path) -> str | None:
    with contextlib.ExitStack() as stack:
        found, wanted = (stack.enter_context(np.load(path)) for path in (out, expected))
        if set(found) != set(wanted):
            return f"gives {', '.join(sorted(set(found) ^ set(wanted)))} in one of two runs"
        wrong = [key for key in wanted if not np.array_equal(found[key], wanted[key], equal_nan=True)]
    return f"differs in {', '.join(sorted(wrong))}" if wrong else None
