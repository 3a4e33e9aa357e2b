"""``python -m ipbox demo learned``."""

from __future__ import annotations

from pathlib import Path

import pytest

import ipbox as ip
from ipbox.cli import main
from ipbox.cli.demos import learned as demos_learned


def test_prints_a_table_and_leaves_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "learned.png"
    methods = ["fbp", "post-processing", "unrolled", "equilibrium"]
    assert main(["demo", "learned", "--slices", "1", "--quiet", "--out", str(out), "--methods", *methods]) == 0
    lines = capsys.readouterr().out.splitlines()
    psnr = {name: float(line[36:43]) for name, line in zip(methods, lines[2:], strict=False)}
    assert psnr["fbp"] + 3 < psnr["post-processing"] < psnr["unrolled"]
    assert psnr["equilibrium"] > psnr["fbp"] + 3
    assert out.stat().st_size > 10_000


@pytest.mark.slow
def test_learned_regularisers_and_their_theorems(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    methods = ["fbp", *demos_learned.REGULARISERS]
    assert (
        main(["demo", "learned", "--slices", "1", "--quiet", "--out", str(tmp_path / "x.png"), "--methods", *methods])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    psnr = {name: float(line[36:43]) for name, line in zip(methods, lines[2:], strict=False)}
    assert all(psnr[name] > psnr["fbp"] + 2 for name in demos_learned.REGULARISERS)
    A, b, _, info = ip.problem("ct", **demos_learned.SETTING, slice=3, seed=3)
    for name, setting in demos_learned.REGULARISERS.items():
        R = ip.LearnedRegulariser(ip.learned.pretrained(setting.weights), dims=A.dims)
        objective = ip.Problem(ip.L2(A, b) + setting.lam * R + ip.NonNegative())
        proved = bool(ip.FISTA().is_provably_convergent(objective))
        assert proved == (demos_learned.THEOREM[name] == "yes") == R.is_convex


@pytest.mark.parametrize("options", [["--slices", "0"], ["--slices", "99"], ["--methods", "magic"], ["--out", "x.txt"]])
def test_bad_options(options: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["demo", "learned", "--quiet", *options]) == 2
    assert "error" in capsys.readouterr().err


def test_every_method_is_known() -> None:
    for name in demos_learned.METHODS:
        assert callable(demos_learned.method(name))
