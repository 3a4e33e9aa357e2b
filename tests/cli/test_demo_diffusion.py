"""``python -m ipbox demo diffusion``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipbox.cli import main


def test_prints_a_table_and_leaves_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "diffusion.png"
    methods = ["fbp", "tv", "daps"]
    assert main(["demo", "diffusion", "--samples", "3", "--quiet", "--out", str(out), "--methods", *methods]) == 0
    lines = capsys.readouterr().out.splitlines()
    psnr = {name: float(line[38:45]) for name, line in zip(methods, lines[2:], strict=False)}
    assert psnr["daps"] > psnr["tv"] > psnr["fbp"] + 2
    deviation, error = (float(v) for v in lines[4].split()[-2:])
    assert 0.1 * error < deviation < 2 * error and out.stat().st_size > 10_000


@pytest.mark.parametrize("options", [["--samples", "1"], ["--slice", "99"], ["--methods", "magic"], ["--out", "x.txt"]])
def test_bad_options(options: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["demo", "diffusion", "--quiet", *options]) == 2
    assert "error" in capsys.readouterr().err
