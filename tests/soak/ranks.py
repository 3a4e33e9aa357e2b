"""Ranks of MPI of which one is killed at a random moment: the job ends with an error, and its checkpoints go on.

``python -m tests.soak.ranks CASE FOLDER SHARE`` is one rank, below mpiexec.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox import files
from ipbox.bilevel import HOAG, ISGD, MAID, SmoothedTVRegulariser, learn
from ipbox.distributed import Ranks, RanksCheckpoint, world
from tests.soak.kills import Outcome, different
from tests.soak.runs import Found, rows

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("MPI_PYTHON", sys.executable)
SIZE = 2  # ranks: as many as cores, since they spin where they wait
LONG = 120.0  # seconds after which a job counts as hanging


# ---------------------------------------------------------------- what the ranks do


def tv(ranks: Ranks, path: Path) -> Found:
    """Total variation of slices that ranks share."""
    own = ranks.own(9)
    one = ip.JosephTransform((32, 32), np.arange(20) * np.pi / 20, dtype="float64")
    b = np.random.default_rng(0).standard_normal((20, 9, one.dimsd[1]))[:, own]
    keep = RanksCheckpoint(ranks, path, every=4)
    with ranks.slabs():
        A = ranks.blockdiag(ip.SliceStack(one, len(own)))
        problem = ip.Problem(ip.L2(A, np.ascontiguousarray(b)) + 0.1 * ip.TV(A.dims) + ip.NonNegative())
        state = keep.newest() if list(path.parent.glob(f"{path.stem}.*.npz")) else None
        sol = ip.solve(problem, ip.PDHG(), state=state, stop=ip.stop.niter(200, total=True), callbacks=[keep])
    return {"x": ranks.gather(sol.x)}


def _learning(method: object, steps: int) -> Callable[[Ranks, Path], Found]:
    def run(ranks: Ranks, path: Path) -> Found:
        u = np.repeat(np.repeat(np.random.default_rng(0).random((7, 4, 4)), 4, axis=1), 4, axis=2)
        b = u + 0.1 * np.random.default_rng(1).standard_normal(u.shape)
        options = {"theta0": np.full(3, -1.2), "bounds": (-3.5, 0.5), "iterations": steps, "checkpoint": path}
        found = learn((u, b), SmoothedTVRegulariser((16, 16)), method, n_jobs=ranks, **options)
        return rows(found.theta, found.history)

    return run


def forgets(ranks: Ranks, path: Path) -> Found:
    """What it finds depends on how often it was begun: that the soak can fail."""
    begun = len(list(path.parent.iterdir())) if ranks.leads else 0
    ranks.comm.wait()
    (path.parent / f"{begun}.{ranks.rank}").touch()
    time.sleep(1.0)
    return {"x": np.array(begun)}


RUNS: dict[str, Callable[[Ranks, Path], Found]] = {
    "ranks, TV": tv,
    "ranks, MAID": _learning(MAID(), 8),
    "ranks, HOAG": _learning(HOAG(), 8),
    "ranks, ISGD": _learning(ISGD(4), 30),
}


def main(case: str, folder: str, share: str) -> None:
    files.SHARE = float(share)
    ranks, work = world(), Path(folder)
    (work.parent / f"pid.{ranks.rank}").write_text(str(os.getpid()))
    ranks.comm.wait()
    found = {**RUNS, "ranks, forgets": forgets}[case](ranks, work / "run.npz")
    if ranks.leads:
        np.savez(work.parent / "out.npz", **found)


# ---------------------------------------------------------------- the one who kills


def why_not() -> str | None:
    """What is missing to run ranks; None where nothing is."""
    done = subprocess.run([PYTHON, "-c", "import mpi4py.MPI"], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"{Path(PYTHON).name} has no mpi4py (pip install 'ipbox[mpi]', or MPI_PYTHON)"
    return None if _mpiexec().is_file() else f"there is no {_mpiexec().name} beside {Path(PYTHON).name}"


def _mpiexec() -> Path:
    return Path(PYTHON).with_name("mpiexec")


def kill_and_resume(
    name: str, folder: Path, kills: int, rng: np.random.Generator, until: float = float("inf")
) -> Outcome:
    """Kill a random rank so often, in every other attempt of a job that writes as often as it can."""
    outcome, begun = Outcome(name), time.monotonic()
    folder.mkdir(parents=True)
    out, expected, work = folder / "out.npz", folder / "expected.npz", folder / "run"
    work.mkdir()
    job = _Job(name, work, files.SHARE)
    started = job.started()
    if not started or job.ended(LONG) != 0:
        raise RuntimeError(f"{name} does not come to its end:\n{job.said()}")
    outcome.alone = time.monotonic() - started
    out.rename(expected)
    attempt = 0
    while outcome.kills < kills and time.monotonic() < until:
        shutil.rmtree(work)
        work.mkdir()
        share = 1.0 if attempt % 2 else files.SHARE
        attempt += 1
        while True:
            out.unlink(missing_ok=True)
            job = _Job(name, work, share)
            if not job.started():
                outcome.faults.append(f"does not start: {_last(job.said())}")
                break
            killed = outcome.kills < kills and job.kill(int(rng.integers(SIZE)), rng.uniform(0, outcome.alone))
            outcome.kills += killed
            code = job.ended(LONG)
            if code is None:
                outcome.faults.append(f"hangs{' after a rank was killed' if killed else ''}")
                break
            if code == 0 or not killed:
                break
        outcome.ends += 1
        if code == 0 and (wrong := different(out, expected)):
            outcome.faults.append(wrong)
        elif code:
            outcome.faults.append(_last(job.said()))
        elif len(left := sorted(path.name for path in work.iterdir())) != SIZE:
            outcome.faults.append(f"leaves {', '.join(left)}")
    outcome.seconds = time.monotonic() - begun
    return outcome


class _Job:
    """Ranks below mpiexec; the process group is theirs."""

    def __init__(self, name: str, work: Path, share: float) -> None:
        self.folder = work.parent
        for rank in range(SIZE):
            self._pid(rank).unlink(missing_ok=True)
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "NUMBA", "OPENBLAS", "MKL")}
        rank = [PYTHON, "-m", "tests.soak.ranks", name, str(work), str(share)]
        with open(self.folder / "said.txt", "w") as said:
            self.process = subprocess.Popen(
                [str(_mpiexec()), "-n", str(SIZE), *rank],
                cwd=ROOT, env=os.environ | one, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip

    def _pid(self, rank: int) -> Path:
        return self.folder / f"pid.{rank}"

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def started(self) -> float:
        """When all ranks were there; 0 where they do not come."""
        until = time.monotonic() + LONG
        while time.monotonic() < until and self.process.poll() is None:
            if all(self._pid(rank).is_file() and self._pid(rank).read_text() for rank in range(SIZE)):
                return time.monotonic()
            time.sleep(0.001)
        self._end()
        return 0.0

    def kill(self, rank: int, after: float) -> bool:
        """Kill a rank after so many seconds, where the job has not ended by then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(after)
            return False
        try:
            os.kill(int(self._pid(rank).read_text()), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def ended(self, seconds: float) -> int | None:
        """The exit code; None where the job has to be ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._end()
            return None

    def _end(self) -> None:
        """End what is left of mpiexec and of its ranks, which have sessions of their own."""
        pids = [int(self._pid(r).read_text() or 0) for r in range(SIZE) if self._pid(r).is_file()]
        for pid in (pid for pid in (*pids, self.process.pid) if pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["nothing said"])[-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
