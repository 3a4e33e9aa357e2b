"""``python -m ipbox compare``: every method of every comparison runs by its name, and the table says what it should."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from ipbox.cli import main
from ipbox.cli.compare import KINDS, SETTINGS

SMALL = {"ct": 48, "pet": 40, "mri": 40, "blur": 48, "inpaint": 40}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_every_method_runs(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "picture.png"
    assert main(["compare", name, "--size", str(SMALL[name]), "--out", str(out), "--quiet"]) == 0
    text = capsys.readouterr().out
    table = {line.split("  ")[0]: re.split("  +", line) for line in text.splitlines()}
    head = table["method"]
    assert head[:3] == ["method", "PSNR", "SSIM"] and {"A and A*", "dB lost", "seconds"} <= set(head)
    for method in SETTINGS[name].methods:
        row = dict(zip(head, table[method], strict=True))
        assert 5 < float(row["PSNR"]) < 60 and float(row["seconds"]) < 200
        if method in KINDS["variational"]:
            assert row["chosen by"] == "discrepancy" and float(row["weight"]) > 0
        if method in KINDS["iterative"]:
            assert row["stopped by"] != "niter", method  # a rule stopped it
    assert "best: " in text and "loses least at twice the noise: " in text
    assert out.stat().st_size > 10_000


def test_some_methods_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--methods", "cgls", "fbp (hann)", "--once", "--size", "48", "--out", str(tmp_path / "c.png"), "--quiet"]
    assert main(["compare", "ct", *options]) == 0
    text = capsys.readouterr().out
    assert "analytical: fbp (hann)\nvariational: -\niterative: cgls\n" in text
    assert "dB lost" not in text and "loses" not in text


@pytest.mark.parametrize(
    "options, message",
    [
        (["ct", "--methods", "tw"], "--methods has tw; expected some of: fbp (ramp); fbp (hann)"),
        (["ct", "--size", "4"], "argument --size: is 4; expected an integer >= 16"),
        (["xray"], "argument problem: invalid choice"),
        (["ct", "--out", "picture.txt"], "picture.txt"),
        (["ct", "--noise", "0", "--size", "32"], "--noise is 0; expected a number > 0"),
        (["pet", "--counts", "0"], "counts"),
        pytest.param(
            ["inpaint", "--size", "16", "--noise", "10", "--methods", "tv"],
            "tv: the target ‖Au - b‖ = ",
            marks=pytest.mark.exhaustive,  # tests/choose/ has the sentence, from a smaller image
        ),
        (["pet", "--size", "16", "--counts", "1"], "the data are zero everywhere; expected more --counts"),
    ],
)
def test_bad_input(options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "--out" not in options:
        options = [*options, "--out", str(tmp_path / "c.png")]
    assert main(["compare", *options, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for root, to whom every folder seems writable."""

    def refuse(**_: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert main(["compare", "ct", "--size", "16", "--out", str(tmp_path / "c.png"), "--quiet"]) == 2
    assert "expected a file in a folder that exists and can be written" in capsys.readouterr().err
