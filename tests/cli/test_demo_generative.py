"""``python -m ipbox demo generative``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipbox.cli import main
from ipbox.cli.demos import generative as demos_generative


def test_prints_a_table_and_leaves_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "generative.png"
    methods = ["zero-filled", "range", "3x3"]
    assert main(["demo", "generative", "--slices", "1", "--quiet", "--out", str(out), "--methods", *methods]) == 0
    lines = capsys.readouterr().out.splitlines()
    psnr = {name: float(line[36:43]) for name, line in zip(methods, lines[2:], strict=False)}
    assert psnr["3x3"] > psnr["zero-filled"] + 2 and psnr["3x3"] > psnr["range"] + 2
    assert lines[4].endswith("no") and out.stat().st_size > 10_000


@pytest.mark.parametrize("options", [["--slices", "0"], ["--slices", "99"], ["--methods", "magic"], ["--out", "x.txt"]])
def test_bad_options(options: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["demo", "generative", "--quiet", *options]) == 2
    assert "error" in capsys.readouterr().err


def test_every_method_is_known() -> None:
    for name in demos_generative.METHODS:
        assert callable(demos_generative.method(name))
