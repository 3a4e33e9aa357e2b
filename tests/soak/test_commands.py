"""Commands that are killed, and jobs of ranks where there is no MPI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.soak import ranks
from tests.soak.__main__ import main
from tests.soak.commands import COMMANDS, differing, kill_and_repeat


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_leaves_whole_files_or_none(name: str, tmp_path: Path) -> None:
    outcome = kill_and_repeat(name, tmp_path / "command", 3, np.random.default_rng(0))
    assert not outcome.faults and outcome.kills >= 3 and outcome.ends > 0


def test_what_a_killed_command_leaves_wrong_is_told(tmp_path: Path) -> None:
    work, expected = tmp_path / "work", tmp_path / "expected"
    for folder in (work, expected):
        folder.mkdir()
        np.savez(folder / "x.npz", x=np.arange(5.0))
        (folder / "x.tif").write_bytes(b"0123456789")
    assert differing(work, expected, whole=True) is None
    (work / "x.tif").write_bytes(b"01234")
    assert differing(work, expected, whole=False) == "x.tif differs"
    (work / "x.tif").unlink()
    assert differing(work, expected, whole=False) is None
    assert differing(work, expected, whole=True) == "x.tif is missing"
    (work / "x.tif").write_bytes(b"0123456789")
    (work / ".x.npz.1").touch()
    assert differing(work, expected, whole=True) == "leaves .x.npz.1"
    np.savez(work / "x.npz", x=np.arange(4.0))
    assert differing(work, expected, whole=False) == "x.npz differs"


def test_where_there_is_no_mpi_the_soak_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(ranks, "PYTHON", "/bin/false")
    assert main(["ranks", "--minutes", "1"]) == 0
    assert "ranks: not run, as false has no mpi4py" in capsys.readouterr().out
