"""Every demonstration, small: a table whose last method beats the first, and a picture."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

import ipbox as ip
from ipbox.cli import main
from ipbox.cli.demos.scans import cone_scans, offset_panel, short_scan
from ipbox.cli.demos.simulated import DEMOS
from ipbox.cli.shared import noise_of
from ipbox.problems import names

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "cone": ["--size", "24", "--views", "30"],
    "fan": ["--views", "60"],
    "mri": ["--coils", "4"],
    "mri-radial": ["--coils", "4", "--undersampling", "4"],
    "compressed-sensing": ["--size", "32"],
}


def test_every_simulated_problem_has_a_demonstration() -> None:
    elsewhere = {"ct", "tomography-measured", "blur-varying"}  # the first two have commands of their own
    signals = {"deriv2", "gravity", "heat", "phillips", "shaw"}  # in a tutorial
    assert set(DEMOS) == set(names()) - elsewhere - signals


@pytest.mark.filterwarnings("ignore:unrolled_mri is off the ground")  # it is for 256 x 256 pixels
@pytest.mark.parametrize("name", DEMOS)
def test_demo(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "picture.png"
    words = ["demo", name, "--size", "64", *OPTIONS.get(name, []), "--quiet", "--out", str(out)]
    assert main(words) == 0
    printed, bars = capsys.readouterr()
    assert bars == ""
    lines = printed.splitlines()
    assert lines[0].startswith(f"{name}: {DEMOS[name].help}") and lines[-1] == f"picture: {out}"
    start = lines[2].index("PSNR") + len("PSNR")  # the column ends where its heading ends
    figures = [float(line[:start].split()[-1]) for line in lines[3:-1]]
    assert len(figures) == len(DEMOS[name].methods) * max(1, len(DEMOS[name].scans))
    assert figures[-1] > figures[0] + 1
    picture = matplotlib.image.imread(out)
    assert picture.std() > 0.05


def test_the_scans_of_cone_beam_are_parts_of_one() -> None:
    """Their operators read what the whole one's do, with as much noise; they see what FDK needs."""
    problem = ip.problem("cone", size=24, views=40, noise=0.02)
    A, b, x, info = problem
    delta = noise_of(info)
    whole, p = cone_scans(problem, delta), A.apply(x)
    assert tuple(whole) == DEMOS["cone"].scans and whole["circle"] == (problem, delta)
    views, columns = short_scan(A), offset_panel(A)
    for name, part in (("short scan", (views,)), ("offset panel", (slice(None), slice(None), columns))):
        (of, data, *_), level = whole[name]
        np.testing.assert_allclose(of.apply(x), p[part], atol=1e-5 * p.max())
        assert np.array_equal(data, b[part]) and data.flags.c_contiguous
        assert ip.backend.norm(p[part] - data) == pytest.approx(level, rel=0.05)
    assert views.stop < 0.75 * len(b) and A.positions()[1][columns.start] < 0 < columns.start
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no line of the plane of the source is missing
        for (of, data, *_), _ in whole.values():
            ip.fdk(of, data)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fan", "--views", "0"], "argument --views: is 0; expected an integer >= 1"),
        (["pet", "--counts", "-1"], "argument --counts: is -1; expected a number >= 1"),
        (["mri", "--mask", "spiral"], "mask is 'spiral'"),
        (["mri-radial", "--trajectory", "zigzag"], "trajectory is 'zigzag'"),
        (["blur", "--kernel", "shake"], "kernel is 'shake'"),
        (["blur", "--image", "dog"], "image is 'dog'"),
        (["inpaint", "--mask", "all"], "mask is 'all'"),
        (["super-resolution", "--factor", "7"], "factor is 7"),
        (["pet", "--size", "16", "--counts", "1"], "the data are zero everywhere; expected ones with a signal"),
        (["denoise", "--out", "x.doc"], "--out is x.doc; expected a file that ends in .png, .pdf, .svg"),
    ],
)
def test_bad_usage(words: list[str], expected: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["demo", *words]) == 2
    captured = capsys.readouterr()
    said = [line for line in captured.err.splitlines() if not line.startswith("ipbox: compiling")]
    assert captured.out == "" and len(said) == 1
    assert said[0].startswith("ipbox: error: ") and expected in said[0]


@pytest.mark.parametrize("name", ["denoise", "inpaint"])
def test_overflow_is_told_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["demo", name, "--size", "32", "--noise", "1e30", "--out", str(tmp_path / "a.png"), "--quiet"]
    assert main(words) == 1
    assert "the squared norm of the data is beyond the range of float32" in capsys.readouterr().err


def test_a_warning_is_one_line(tmp_path: Path) -> None:
    """Few views in a process of its own: no file, no line of code."""
    options = ["demo", "tomography-measured", "--quiet", "--niter", "2", "--out", str(tmp_path / "picture.png")]
    command = [sys.executable, "-m", "ipbox", *options]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stderr.splitlines()
    said = [line for line in said if not line.startswith("ipbox: compiling")]
    assert said[0].startswith("ipbox: RuntimeWarning: fbp: the views leave out")
    assert all(line.startswith("ipbox: ") for line in said)
