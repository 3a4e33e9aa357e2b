"""Eight reconstructions at once are as one after the other; nothing hangs after a fork; memory does not grow."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from tests.soak import loads


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    return loads.in_turn()


def test_in_threads(expected: list[np.ndarray]) -> None:
    for _ in range(3):
        assert not loads.differing(loads.in_threads(), expected)


def _alone(code: str, seconds: float = 240.0) -> str:
    """What a process of its own says: one that has threads, and no torch."""
    root = Path(ip.__file__).parents[1]
    command = [sys.executable, "-c", f"from tests.soak import loads; {code}"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=seconds, check=True).stdout.strip()


def test_a_process_that_is_forked_after_use_does_not_hang() -> None:
    """With threads of Numba and FFTW in its parent, as many as there are cores."""
    assert _alone("print(loads.forked())") == "None"


@pytest.mark.parametrize("how", ["spawn", "fork"])
@pytest.mark.slow
def test_in_processes(how: str) -> None:
    code = f"expected = loads.in_turn(); print(loads.differing(loads.in_processes({how!r}), expected))"
    guarded = f"print(loads.differing(loads.in_processes({how!r}), loads.in_turn()) if __name__ == '__main__' else 0)"
    assert _alone(code if how == "fork" else guarded) == "[]"


@pytest.mark.mpi
def test_on_ranks(expected: list[np.ndarray], tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("mpiexec")), "-n", "8", sys.executable]
    command += ["-c", f"from tests.soak import loads; loads.on_a_rank({str(tmp_path)!r})"]
    subprocess.run(command, cwd=Path(ip.__file__).parents[1], capture_output=True, timeout=240, check=True)
    assert not loads.differing([np.load(tmp_path / f"{k}.npy") for k in range(8)], expected)


def test_memory_does_not_grow_with_solves() -> None:
    """A kilobyte a round would be an array that is kept."""
    assert float(_alone("print(loads.growth(250, 100))")) < 1000


# ---------------------------------------------------------------- that this can fail


def test_a_reconstruction_that_differs_in_the_last_bit_is_told(expected: list[np.ndarray]) -> None:
    found = [x.copy() for x in expected]
    found[3].flat[7] = np.nextafter(found[3].flat[7], np.inf, dtype=found[3].dtype)
    found[5] = found[5].astype("float64" if found[5].dtype == "float32" else "float32")
    assert loads.differing(found, expected) == ["sirt", "denoised"]


def test_threads_that_share_what_they_write_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight works on one array, each of which has another thread's numbers in it where they meet."""
    shared, meet = np.zeros(8), threading.Barrier(8)

    def use(k: int) -> np.ndarray:
        shared[:] = k
        if threading.current_thread() is not threading.main_thread():
            meet.wait(20)
        return shared.copy()

    monkeypatch.setattr(loads, "work", use)
    assert len(loads.differing(loads.in_threads(), loads.in_turn())) == 7


def test_a_forked_process_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.getpid()

    def in_turn() -> list[np.ndarray]:
        if os.getpid() != mine:
            time.sleep(60)
        return []

    monkeypatch.setattr(loads, "in_turn", in_turn)
    assert loads.forked(0.2) == "the forked process did not end within 0.2 s"


def test_an_array_that_is_kept_is_told() -> None:
    kept = "import numpy as np, ipbox as ip; kept = []; ip.fbp = lambda A, b: kept.append(np.ones(2**13))"
    assert float(_alone(f"{kept}; print(loads.growth(60, 20))")) > 1000
