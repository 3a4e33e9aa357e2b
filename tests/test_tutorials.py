"""Every tutorial runs in its fast mode, asserts its headline and leaves its picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))


def test_there_are_tutorials() -> None:
    assert [t.name[:2] for t in TUTORIALS] == [f"{i:02d}" for i in range(1, len(TUTORIALS) + 1)] != []


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda t: t.stem)
def test_runs(tutorial: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "IPBOX_FAST": "1",
        "IPBOX_OUT": str(tmp_path),
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-W", "error::RuntimeWarning", str(tutorial)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"tutorial_{tutorial.name[:2]}.png").stat().st_size > 10_000
