"""Every tutorial runs in its fast mode, asserts its headline and leaves its picture."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))


def test_there_are_tutorials() -> None:
    assert [t.name[:2] for t in TUTORIALS] == [f"{i:02d}" for i in range(1, len(TUTORIALS) + 1)] != []


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda t: t.stem)
def test_runs(tutorial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: to start one for each would take longer than most of them run."""
    import matplotlib.pyplot as plt
    import torch

    monkeypatch.setenv("IPBOX_FAST", "1")
    monkeypatch.setenv("IPBOX_OUT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    threads, figures = torch.get_num_threads(), set(plt.get_fignums())
    try:
        with np.errstate(), torch.random.fork_rng():
            runpy.run_path(str(tutorial), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
        for figure in set(plt.get_fignums()) - figures:
            plt.close(figure)
    assert (tmp_path / f"tutorial_{tutorial.name[:2]}.png").stat().st_size > 10_000
