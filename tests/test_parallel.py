"""Threads: how many, where they are safe, and work that is shared between them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from ipbox import kernels, parallel


def test_threads_only_in_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    here = parallel.cpu_threads()
    assert here == len(os.sched_getaffinity(0)) and parallel.parallel_is_safe()
    found = []
    worker = threading.Thread(target=lambda: found.append((parallel.cpu_threads(), parallel.parallel_is_safe())))
    worker.start()
    worker.join()
    assert found == [(1, False)]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert parallel.cpu_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    assert parallel.cpu_threads() == here


def test_no_threads_in_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_MAIN_PID", os.getpid() + 1)  # what a child finds
    assert not parallel.parallel_is_safe() and parallel.cpu_threads() == 1


def test_cores_are_those_of_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(7)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert parallel.available_cores() == parallel.allowed_threads() == 7
    with parallel.threads(3):
        assert parallel.cpu_threads() == 3
        with parallel.threads(5):
            assert parallel.cpu_threads() == 5
        assert parallel.cpu_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert parallel.available_cores() == os.cpu_count()


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_a_number_of_threads_is_a_positive_integer(n: object) -> None:
    with pytest.raises(ValueError, match="n is .*; expected a positive integer"):
        parallel.set_threads(n)


def test_set_threads_holds_until_it_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_asked", [])
    parallel.set_threads(1)
    assert parallel.cpu_threads() == 1
    parallel.set_threads(None)
    assert parallel.cpu_threads() == parallel.allowed_threads()


def test_kernels_use_as_many_threads_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The serial twin for one; Numba's own number for more."""
    import numba

    x, y = np.random.default_rng(0).standard_normal((256, 256)), np.empty((2, 256, 256))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(2)), raising=False)
    before = numba.get_num_threads()
    try:
        kernels.gradient(x, y, 2)
        several, threads = y.copy(), numba.get_num_threads()
        assert threads == min(2, numba.config.NUMBA_NUM_THREADS)
        with parallel.threads(1):
            kernels.gradient(x, y, 2)
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(y, several)


def test_short_spins_leave_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    with parallel.short_spins():
        assert os.environ["GOMP_SPINCOUNT"] == "10000"
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # the user's settings win
    with parallel.short_spins():
        assert "GOMP_SPINCOUNT" not in os.environ


# ---------------------------------------------------------------- shared work


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 17])
def test_parts_cover_everything_once_and_are_nearly_equal(monkeypatch, cores: int, count: int) -> None:
    monkeypatch.setattr(parallel, "allowed_threads", lambda: cores)
    parts = parallel.parts(count)
    assert [i for part in parts for i in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert len(parts) == max(1, min(cores, count)) and max(sizes) - min(sizes) <= 1 and sizes[0] == max(sizes)
    assert len(parallel.parts(count, most=2)) <= 2 and parallel.parts(count, most=0) == [slice(0, count)]


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_every_task_is_run_and_the_first_error_comes_back(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(parallel, "cpu_threads", lambda: cores)

    def fail(text: str) -> None:
        raise ValueError(text)

    for tasks in (1, 2, 3, 9):
        done: list[int] = []
        parallel.run_all([functools.partial(done.append, i) for i in range(tasks)])
        assert sorted(done) == list(range(tasks))
        with pytest.raises(ValueError, match="^last$"):
            parallel.run_all([*[lambda: None] * (tasks - 1), functools.partial(fail, "last")])
    threads = set()
    parallel.run_all([lambda: threads.add(threading.get_ident()) for _ in range(8)])
    assert len(threads) == cores


@pytest.mark.slow
def test_torch_is_loaded_with_short_spins() -> None:
    """PyLops loads torch, and Numba's threads then wait as torch's GNU OpenMP does: a step took six times as long."""
    pytest.importorskip("torch")
    watch = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
sys.meta_path.insert(0, Watch())
import ipbox as ip
ip.Identity((2,))
assert "torch" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"10000"}
