"""What a user from MATLAB does in the first week: a script for each task runs, and is short."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests import docs
from tests.user import matlab


def test_there_are_all_tasks() -> None:
    assert [task.path.name[:2] for task in matlab.tasks()] == [f"{i:02d}" for i in range(1, 34)]


@pytest.mark.parametrize("task", matlab.tasks(), ids=lambda task: task.path.stem)
def test_runs(task: matlab.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asserts what came of it, and takes at most five lines once A and b exist."""
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(docs.ROOT))
    figures = set(plt.get_fignums())
    assert task.title and task.matlab and task.statements <= 5, task
    try:
        runpy.run_path(str(task.path), run_name="__main__")
    finally:
        for figure in set(plt.get_fignums()) - figures:
            plt.close(figure)


def test_the_page_for_matlab_users_is_made_of_them() -> None:
    assert docs.blocks()["python -m tests.user.matlab"].strip() == matlab.markdown().strip()
