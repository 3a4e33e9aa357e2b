"""``python -m ipbox benchmark posterior``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ipbox.bayes.known import problems, samplers
from ipbox.cli import benchmark, main


def test_prints_a_table_and_leaves_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, report = tmp_path / "known.png", tmp_path / "known.json"
    command = ["benchmark", "posterior", "--problems", "inpaint-gaussian", "--samplers", "exact", "ula", "--quiet"]
    assert main([*command, "--steps", "40", "10", "--samples", "100", "--out", str(out), "--json", str(report)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[4:7]] == [
        ["inpaint-gaussian", "exact", "1"],
        ["inpaint-gaussian", "ula", "10"],
        ["inpaint-gaussian", "ula", "40"],
    ]
    rows = json.loads(report.read_text())["rows"]
    assert rows[1]["w2"] > rows[2]["w2"] > rows[0]["w2"] and out.stat().st_size > 10_000


@pytest.mark.parametrize(
    "options",
    [["--steps", "0"], ["--samples", "64"], ["--samplers", "magic"], ["--problems", "ct"], ["--out", "x.txt"]],
)
def test_bad_options(options: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", "posterior", "--quiet", *options]) == 2
    assert "expected" in capsys.readouterr().err


def test_names_are_those_of_the_library() -> None:
    assert benchmark.SAMPLERS == tuple(samplers.SAMPLERS) and benchmark.PROBLEMS == problems.NAMES
