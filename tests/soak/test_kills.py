"""Runs that are killed and go on, files that cannot be written, clocks that are changed, two runs on one file."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox import files
from ipbox.solvers import State
from tests.soak.__main__ import main
from tests.soak.disks import FAULTS, WRITERS, Fault, Writer, refused
from tests.soak.kills import Run, child, ended, kill_and_resume
from tests.soak.runs import RUNS


@pytest.mark.parametrize("name", ["diffusion", "ISGD", "Newton", "samples"])
def test_a_run_that_is_killed_ends_as_undisturbed(name: str, tmp_path: Path) -> None:
    outcome = kill_and_resume(name, RUNS[name], tmp_path / "runs", 2, np.random.default_rng(0))
    assert not outcome.faults and outcome.kills >= 2 and outcome.ends > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_run_that_is_killed_ends_as_undisturbed(name: str, tmp_path: Path) -> None:
    outcome = kill_and_resume(name, RUNS[name], tmp_path / "runs", 5, np.random.default_rng(1))
    assert not outcome.faults and outcome.kills >= 5


def test_a_run_that_goes_on_elsewhere_is_told(tmp_path: Path) -> None:
    """That the soak can fail: one that forgets what it had."""

    def forgets(path: Path) -> dict[str, np.ndarray]:
        count = int(path.read_text()) if path.exists() else 0
        path.write_text(str(count + 1))
        time.sleep(0.3)
        return {"x": np.array(count)}

    outcome = kill_and_resume("forgets", forgets, tmp_path / "runs", 6, np.random.default_rng(0))
    assert "differs in x" in outcome.faults  # or it is killed while its file is empty


def test_kills_fall_between_writes_and_inside_of_them(tmp_path: Path) -> None:
    outcome = kill_and_resume("ISGD", RUNS["ISGD"], tmp_path / "runs", 12, np.random.default_rng(0))
    assert not outcome.faults and outcome.inside > 1 and outcome.between > 1


def test_a_run_whose_writes_can_be_cut_is_told(tmp_path: Path) -> None:
    """That a kill inside of a write counts: a run that writes its file in its place, what it reads at the end of it."""

    def tears(path: Path) -> dict[str, np.ndarray]:
        count = int(path.read_text().split()[1]) if path.exists() else 0
        while count < 20:
            count += 1
            with open(path, "w") as file:
                file.write(f"{'written' * 100} {count}\n")
                file.flush()
                os.fsync(file.fileno())
        return {"x": np.array(count)}

    outcome = kill_and_resume("tears", tears, tmp_path / "runs", 30, np.random.default_rng(0))
    assert any("IndexError" in fault for fault in outcome.faults)


# ---------------------------------------------------------------- two runs on one file


@pytest.mark.parametrize("name", ["diffusion", "ISGD"])
def test_two_runs_on_one_checkpoint_both_end_right(name: str, tmp_path: Path) -> None:
    """Each goes its own way, the same one; the file is at any time of one of the two, and a third goes on from it."""
    run, path = RUNS[name], tmp_path / "run.npz"
    expected = run(tmp_path / "alone.npz")
    both = [child(lambda k=k: np.savez(tmp_path / f"{k}.out", **run(path)), tmp_path / f"{k}.txt") for k in range(2)]
    assert all(ended(pid, 120.0) for pid in both)
    for found in (np.load(tmp_path / "0.out.npz"), np.load(tmp_path / "1.out.npz"), run(path)):
        assert all(np.array_equal(found[key], expected[key], equal_nan=True) for key in expected)
    assert not list(tmp_path.glob("*.txt")) and not list(tmp_path.glob(".*"))


def test_two_different_runs_on_one_checkpoint_leave_that_of_one(tmp_path: Path) -> None:
    """Whole; and to go on from the other's is refused."""
    path, sizes = tmp_path / "run.npz", (3.0, 5.0)

    def solve(lam: float) -> None:
        problem = ip.Problem(ip.L2(b=np.arange(400.0).reshape(20, 20)) + lam * ip.TV((20, 20)))
        ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(40), callbacks=[ip.callbacks.Checkpoint(path, every=1)])

    threads = [threading.Thread(target=solve, args=(lam,)) for lam in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert State.load(path).k == 40
    fits = []
    for lam in sizes:
        problem = ip.Problem(ip.L2(b=np.arange(400.0).reshape(20, 20)) + lam * ip.TV((20, 20)))
        try:
            ip.solve(problem, ip.PDHG(), state=path, stop=ip.stop.niter(1))
            fits.append(lam)
        except ValueError as err:
            assert "state is of another solve" in str(err)
    assert len(fits) == 1


# ---------------------------------------------------------------- disks and clocks


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("writer", WRITERS, ids=repr)
def test_what_cannot_be_written_leaves_the_old_file(writer: Writer, fault: Fault, tmp_path: Path) -> None:
    assert refused(writer, tmp_path, fault) is None


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for writer in WRITERS:
        with pytest.raises(OSError) as caught:
            writer.write(tmp_path / "file" / writer.name, 0)
        assert str(tmp_path / "file") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["diffusion", "HOAG", "training"])
def test_a_clock_that_is_set_back_and_forth_changes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Run = RUNS[name]
    expected, rng = run(tmp_path / "alone.npz"), np.random.default_rng(0)
    monkeypatch.setattr(time, "time", lambda: float(rng.uniform(0, 4e9)))
    found = run(tmp_path / "run.npz")
    assert all(np.array_equal(found[key], expected[key], equal_nan=True) for key in expected)


def test_a_clock_set_far_ahead_takes_no_file_from_a_run_that_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = tmp_path / f".c.npz.{files._machine()}-{os.getppid()}-00000000.tmp"
    writing.touch()
    month = time.time() + 30 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: month)
    State(x=np.zeros(3)).save(tmp_path / "c.npz")
    assert writing.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nopart"], "PART is 'nopart'; expected of kills"),
        (["files", "--only", "pgn"], "--only is 'pgn'; expected of"),
        (["--count", "0"], "--count is 0; expected a positive number"),
        (["--minutes", "nan"], "--minutes is nan"),
    ],
)
def test_a_soak_that_tries_nothing_is_an_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2 and said in capsys.readouterr().err
