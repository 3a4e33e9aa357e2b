"""Scripts on 1, 2 and 4 ranks give what one core gives; what fails on one rank ends all.  Run by ``make test-mpi``."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.distributed.script import METHODS, denoised, learned
from tests.soak.ranks import RUNS, kill_and_resume

ROOT = Path(__file__).resolve().parents[2]
MPIEXEC = Path(sys.executable).with_name("mpiexec")
pytestmark = pytest.mark.mpi


def run(ranks, out, case, code=0):
    command = [str(MPIEXEC), "-n", str(ranks), sys.executable, "-m", "tests.distributed.script", str(out), case]
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 200, "check": False}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, **options)  # which mpiexec would read
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    return done


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("case", [*METHODS, "batch"])
def test_ranks_give_what_one_core_gives(case, ranks, tmp_path):
    out = tmp_path / "found.npz"
    run(ranks, out, case)
    expected = denoised(1) if case == "batch" else learned(case, 1)
    with np.load(out) as found:
        assert set(found) == {*expected, "sent"}
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-12)
        assert (found["sent"] > 0) == (ranks > 1)


def test_fewer_samples_than_ranks_is_an_error_for_a_batch_alone(tmp_path):
    done = run(8, tmp_path / "found.npz", "batch", code=1)
    assert "len(b) is 5; expected an integer of at least 8" in done.stderr
    run(8, tmp_path / "found.npz", "maid")  # seven samples
    with np.load(tmp_path / "found.npz") as found:
        for name, value in learned("maid", 1).items():
            np.testing.assert_allclose(found[name], value, rtol=1e-10)


def test_a_rank_that_fails_ends_all(tmp_path):
    done = run(2, tmp_path / "none.npz", "fails", code=1)
    assert "a rank has failed" in done.stderr


def test_the_checkpoint_of_a_run_whose_rank_was_killed_goes_on(tmp_path):
    path = tmp_path / "found.run.npz"
    run(2, path, "killed", code=1)
    assert {other.name for other in tmp_path.iterdir()} == {f"found.run.1.{rank}.npz" for rank in (0, 1)}
    run(2, tmp_path / "found.npz", "resumed")
    expected = learned("maid", 1)
    with np.load(tmp_path / "found.npz") as found:
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-10)


@pytest.mark.parametrize("name", RUNS)
def test_a_job_whose_rank_is_killed_at_random_ends_with_an_error_and_goes_on(name, tmp_path):
    outcome = kill_and_resume(name, tmp_path / "job", 2, np.random.default_rng(0))
    assert not outcome.faults and outcome.kills >= 2 and outcome.ends > 0


def test_a_job_that_goes_on_elsewhere_is_told(tmp_path):
    """That the soak can fail: a checkpoint of the job is of other data."""
    outcome = kill_and_resume("ranks, forgets", tmp_path / "job", 1, np.random.default_rng(1))
    assert outcome.faults == ["differs in x"]


@pytest.fixture(scope="module")
def of_one_rank(tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "found.npz"
    run(1, out, "shared")
    with np.load(out) as found:
        return dict(found)


@pytest.mark.parametrize("ranks", [2, 4])
def test_solvers_on_shared_views_coils_and_slices_give_what_one_rank_gives(ranks, of_one_rank, tmp_path):
    out = tmp_path / "found.npz"
    run(ranks, out, "shared")
    with np.load(out) as found:
        assert set(found) == set(of_one_rank)
        for name, value in of_one_rank.items():
            if name != "sent":
                np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-10 * abs(value).max(), err_msg=name)
        assert found["sent"] > 0


@pytest.mark.parametrize("ranks", [1, 3])
def test_operators_and_cgls_are_those_of_pylops_mpi(ranks, tmp_path):
    out = tmp_path / "found.npz"
    run(ranks, out, "peers")
    with np.load(out) as found:
        for name in set(found) - {"sent"}:
            if not name.endswith(" theirs"):
                np.testing.assert_allclose(found[name], found[f"{name} theirs"], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_checkpoints_of_slices_whose_rank_was_killed_go_on(tmp_path):
    (tmp_path / "kill").touch()
    run(3, tmp_path, "streamed", code=1)
    assert {path.name for path in tmp_path.glob("run.*.npz")} == {f"run.8.{rank}.npz" for rank in range(3)}
    (tmp_path / "kill").unlink()
    run(3, tmp_path, "streamed")
    with np.load(tmp_path / "found.npz") as found:
        resumed = found["x"]
    other = tmp_path / "undisturbed"
    other.mkdir()
    run(3, other, "streamed")
    with np.load(other / "found.npz") as found:
        assert np.array_equal(resumed, found["x"])
