"""Eight reconstructions at once are as one after the other; nothing hangs after a fork; memory does not grow."""

from __future__ import annotations

import subprocess
import sys
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


def test_memory_does_not_grow_with_solves() -> None:
    """A kilobyte a round would be an array that is kept."""
    assert float(_alone("print(loads.growth(250, 100))")) < 1000
