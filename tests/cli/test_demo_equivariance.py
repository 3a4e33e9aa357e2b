"""``python -m ipbox demo equivariance``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ipbox as ip
from ipbox.cli import main
from ipbox.cli.demos import equivariance


def test_prints_errors_and_leaves_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, methods = tmp_path / "x.png", ["fbp", "post-processing", "post-processing-average", "unrolled"]
    options = ["--quiet", "--out", str(out), "--json", str(tmp_path / "x.json"), "--methods", *methods]
    assert main(["demo", "equivariance", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    worst = {name: float(line.split()[-1]) for name, line in zip(methods, lines[3:], strict=False)}
    assert max(worst["fbp"], worst["post-processing-average"]) < 1e-4 < 1e-3 < worst["post-processing"]
    assert worst["unrolled"] > 1e-3 and out.stat().st_size > 10_000
    stored = json.loads((tmp_path / "x.json").read_text())
    assert max(stored["errors"]["unrolled"][k][0] for k in range(3)) == pytest.approx(worst["unrolled"], rel=0.1)


def test_quality_by_the_number_of_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Means over seeds of what is stored; nothing where nothing is."""
    from ipbox.problems.truths import datasets

    def folders() -> list[Path]:
        return [tmp_path]

    monkeypatch.setattr(datasets, "folders", folders)
    assert equivariance.quality() == []
    run = {"competitor": "ordinary", "n": 2, "seed": 0, "upright": 30.0, "turned": 28.0, "oblique": 29.0}
    other = run | {"seed": 1, "upright": 31.0}
    runs = [run, other, run | {"competitor": "equivariant", "n": 20}, run | {"n": 20}]
    (tmp_path / equivariance.STORED).write_text(json.dumps({"runs": runs, "steps": {"2": 1600, "20": 600}}))
    found = equivariance.quality()
    assert [(r["competitor"], r["n"], r["seeds"]) for r in found] == [
        ("equivariant", 20, 1),
        ("ordinary", 2, 2),
        ("ordinary", 20, 1),
    ]
    assert [r["steps"] for r in found] == [600, 1600, 600]
    assert found[1]["upright"] == 30.5 and found[1]["turned"] == 28.0
    assert found[1]["upright_std"] == pytest.approx(0.5**0.5) and found[0]["upright_std"] == 0.0
    assert "30.50 ± 0.71" in equivariance._table(found)


@pytest.mark.parametrize("options", [["--methods", "magic"], ["--out", "x.txt"], ["--slice", "-1"], ["--slice", "999"]])
def test_bad_options(options: list[str], capsys: pytest.CaptureFixture) -> None:
    try:
        code = main(["demo", "equivariance", "--quiet", *options])
    except SystemExit as err:  # of argparse
        code = err.code
    assert code == 2 and "error" in capsys.readouterr().err


@pytest.mark.slow
def test_every_method_runs() -> None:
    A, b, x_true, info = ip.problem("ct", **equivariance.learned.SETTING, slice=3, seed=0)
    for name in equivariance.METHODS:
        assert ip.psnr(equivariance.method(name)(A, b, info), x_true) > 25
