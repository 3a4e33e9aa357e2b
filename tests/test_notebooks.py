"""Tutorials open as notebooks, and run there: cells, bars of progress, pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.test_tutorials import ROOT, TUTORIALS

SHORT = ("01_first_reconstruction", "02_composing")


@pytest.mark.slow
@pytest.mark.parametrize("tutorial", [t for t in TUTORIALS if t.stem in SHORT], ids=lambda t: t.stem)
def test_runs_as_a_notebook(tutorial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jupytext
    import nbformat
    from nbconvert.preprocessors import ExecutePreprocessor

    monkeypatch.setenv("IPBOX_FAST", "1")
    monkeypatch.setenv("IPBOX_OUT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the notebook's own
    notebook = jupytext.read(tutorial)
    text = tutorial.read_text(encoding="utf-8")
    assert len([cell for cell in notebook.cells if cell.cell_type == "code"]) >= text.count("# %%") > 2
    notebook.cells.append(nbformat.v4.new_code_cell("ip.show(x_true)"))  # a tutorial's own pictures go to files
    done, _ = ExecutePreprocessor(timeout=300, kernel_name="python3").preprocess(
        notebook, {"metadata": {"path": str(tmp_path)}}
    )
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 1
    assert (tmp_path / f"tutorial_{tutorial.name[:2]}.png").stat().st_size > 10_000
