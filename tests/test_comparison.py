"""compare: the numbers of the table are those of the metrics, with and without truth."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import matplotlib.image
import numpy as np
import pytest

import ipbox as ip
from ipbox.comparison import Comparison


@pytest.fixture(scope="module")
def problem() -> tuple:
    return ip.problem("ct", image="shepp-logan", size=48, views=30, noise=0.02)


@pytest.fixture(scope="module")
def methods(problem: tuple) -> dict:
    delta = problem[3].noise_level
    return {"fbp": lambda A, b: ip.fbp(A, b, "hann"), "cgls": lambda A, b: ip.cgls(A, b, delta)}


@pytest.fixture(scope="module")
def result(problem: tuple, methods: dict) -> Comparison:
    return ip.compare(problem, methods)


def test_rows_hold_the_metrics_of_each_image(problem: tuple, methods: dict, result: Comparison) -> None:
    A, b, x_true, _ = problem
    for name, method in methods.items():
        x, info = method(A, b)
        row = result[name]
        assert np.array_equal(result.images[name], x)
        assert row.psnr == ip.psnr(x, x_true) and row.ssim == ip.ssim(x, x_true)
        assert row.residual == ip.relative_residual(A, x, b)
        assert (row.niter, row.stop) == (info.niter, info.stop)
        assert 0 < row.seconds < 60 and row.held_out is None
    assert result["cgls"].stop == "discrepancy" and result.infos["cgls"].niter == result["cgls"].niter


def test_table(result: Comparison) -> None:
    head, fbp, cgls = result.table().splitlines()
    assert re.split("  +", head) == [
        *("method", "PSNR", "SSIM", "residual", "iterations", "stopped by", "A and A*", "seconds")
    ]
    assert fbp.split()[:2] == ["fbp", f"{result['fbp'].psnr:.2f}"] and "direct" in fbp
    assert cgls.split()[4] == str(result["cgls"].niter)
    assert len(head) == len(fbp) == len(cgls)  # columns are aligned to the right


def test_applications_are_counted(problem: tuple, result: Comparison) -> None:
    assert result["fbp"].applications == 0
    # one step of CGLS applies A and A*; the start applies both, its first stop rule reads the residual it has
    assert result["cgls"].applications == 2 * (result["cgls"].niter + 1)


def test_loss_is_the_difference_of_two_comparisons(problem: tuple, methods: dict) -> None:
    noisier = ip.problem("ct", image="shepp-logan", size=48, views=30, noise=0.04)
    delta = noisier[3].noise_level
    others = {"fbp": methods["fbp"], "cgls": lambda A, b: ip.cgls(A, b, delta)}
    result, second = ip.compare(problem, methods, noisier=(noisier, others)), ip.compare(noisier, others)
    for row in result.rows:
        assert row.loss == pytest.approx(row.psnr - second[row.method].psnr, abs=1e-12) and row.loss > 0.05
    assert "dB lost" in result.table().splitlines()[0]
    with pytest.raises(ValueError, match="noisier is given"):
        ip.compare(problem, methods, noisier=(noisier, {"fbp": ip.fbp}))


def test_without_truth_and_with_held_out_data(problem: tuple, methods: dict) -> None:
    A, b, _, _ = problem
    H = ip.RayTransform(A.dims, A.angles[::5], A.n_det, A.det_spacing, pixel_size=A.pixel_size)
    result = ip.compare((A, b), methods, held_out=(H, b[::5]))
    assert result.x_true is None
    assert result.table().splitlines()[0].split()[:4] == ["method", "residual", "held", "out"]
    for row in result.rows:
        assert row.psnr is None and row.ssim is None
        assert row.held_out == ip.relative_residual(H, result.images[row.method], b[::5])


def test_picture(problem: tuple, methods: dict, result: Comparison, tmp_path: Path) -> None:
    figure = result.show(tmp_path / "a.png", transform=lambda u: 2 * u, vmin=0, vmax=1)
    titles = ["truth", *(f"{row.method}: {row.psnr:.1f} dB" for row in result.rows)]
    assert [axes.get_title() for axes in figure.axes] == [*titles, ""]  # the colour bar
    assert np.array_equal(figure.axes[0].images[0].get_array(), 2 * problem[2])
    assert figure.axes[1].images[0].get_clim() == (0, 1)
    assert matplotlib.image.imread(tmp_path / "a.png").std() > 0.1

    shown = ip.compare(problem[:2], methods, path=tmp_path / "b.png").show(tmp_path / "c.png")
    assert [axes.get_title()[:13] for axes in shown.axes[:2]] == ["fbp: residual", "cgls: residua"]
    assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"


def test_on_any_device(xp: ModuleType, tmp_path: Path) -> None:
    """Images stay where the data are; numbers and pictures come to the host."""
    A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=48, views=30, noise=0.02, xp=xp.__name__)
    result = ip.compare((A, b, x_true, info), {"fbp": ip.fbp}, tmp_path / "a.png", held_out=(A, b))
    assert isinstance(result.images["fbp"], xp.ndarray)
    row = result["fbp"]
    assert row.psnr > 15 and 0 < row.ssim < 1 and row.residual == row.held_out > 0
    assert (tmp_path / "a.png").is_file()


def test_methods_of_ones_own(problem: tuple) -> None:
    """info may be anything, such as None."""
    result = ip.compare(problem[:3], {"adjoint": lambda A, b: (A.apply_adjoint(b), None)})
    assert result["adjoint"].niter is None and result["adjoint"].stop is None
    assert result.table().splitlines()[1].split()[4] == "-"


def test_progress_bar_goes_to_stderr(problem: tuple, methods: dict, capsys: pytest.CaptureFixture) -> None:
    ip.compare(problem, methods, progress=True)
    captured = capsys.readouterr()
    assert captured.out == "" and "2/2" in captured.err


def test_data_are_not_modified(problem: tuple, methods: dict) -> None:
    before = [problem[1].copy(), problem[2].copy()]
    ip.compare(problem, methods)
    assert np.array_equal(problem[1], before[0]) and np.array_equal(problem[2], before[1])


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({}, TypeError, "methods is {}; expected a dictionary"),
        ([ip.fbp], TypeError, "methods is .*; expected a dictionary"),
        ({"fbp": 3}, TypeError, "methods has 'fbp': 3; expected a name and a function"),
        ({"x": lambda A, b: b}, TypeError, "method 'x' returned ndarray; expected a tuple"),
        ({"x": lambda A, b: (None, None)}, TypeError, "method 'x' returned tuple; expected a tuple .* with an array"),
        ({"x": lambda A, b: (A.apply_adjoint(b) * np.nan, None)}, ValueError, "method 'x' returned .* NaN"),
    ],
)
def test_bad_methods(problem: tuple, given: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ip.compare(problem, given)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"path": "no-such-folder/a.png"}, ValueError, "^path is 'no-such-folder/a.png'; expected a file in a folder"),
        ({"path": 3}, ValueError, "^path is 3"),
        ({"held_out": 3}, TypeError, "^held_out is int; expected a tuple"),
        ({"held_out": (None, np.ones(3))}, TypeError, "^held_out has NoneType"),
        ({"noisier": 3}, TypeError, "^noisier is int; expected a tuple"),
        ({"noisier": ((None, np.ones(3)), {"late": ip.fbp})}, ValueError, "^noisier is given without x_true"),
        ({"noisier": ((None, np.ones(3)), ["late"])}, TypeError, "^noisier has list for its methods"),
    ],
)
def test_bad_options_are_refused_before_the_work(
    problem: tuple, options: dict, error: type[Exception], words: str
) -> None:
    def late(A: object, b: np.ndarray) -> None:
        raise AssertionError("the method was run")

    with pytest.raises(error, match=words):
        ip.compare(problem, {"late": late}, **options)


def test_what_a_method_tells_in_its_own_way_is_left_out(problem: tuple) -> None:
    class Info:
        niter, stop = "many", 3
        extra = ("lam", 1.0)

    row = ip.compare(problem, {"own": lambda A, b: (A.apply_adjoint(b), Info())}).rows[0]
    assert (row.niter, row.stop, row.lam) == (None, None, None)


def test_bad_problem_and_unknown_row(problem: tuple, result: Comparison) -> None:
    with pytest.raises(TypeError, match="problem is not a tuple of 2 to 4"):
        ip.compare(problem[0], {"fbp": ip.fbp})
    with pytest.raises(ValueError, match="x_true has NaN"):
        ip.compare((*problem[:2], problem[2] * np.nan), {"fbp": ip.fbp})
    with pytest.raises(TypeError, match="x_true is list; expected an array"):
        ip.compare((*problem[:2], problem[2].tolist()), {"fbp": ip.fbp})
    with pytest.raises(KeyError, match="method is 'tv'; expected one of fbp, cgls"):
        result["tv"]


def test_contrast_and_variability_of_regions() -> None:
    problem = ip.problem("denoise", size=32, noise=0.05)
    b, x = problem[1], problem[2]
    bright, dark = x > np.quantile(x, 0.8), x < np.quantile(x, 0.3)
    result = ip.compare(problem, {"none": lambda A, b: (b, None)}, regions=({"bright": bright}, dark))
    row = result["none"]
    assert row.contrast == {"bright": ip.contrast_recovery(b, x, bright, dark)}
    assert row.variability == ip.background_variability(b, dark)
    assert "contrast, bright  variability" in result.table() and result.report()["rows"][0]["contrast"]
    for error, match, regions in (
        (TypeError, "^regions is", (bright, dark)),
        (ValueError, "overlap", ({"all": bright | dark}, dark)),
    ):
        with pytest.raises(error, match=match):
            ip.compare(problem, {"none": lambda A, b: (b, None)}, regions=regions)


def test_a_row_has_its_image_but_reports_without_it() -> None:
    result = ip.compare(ip.problem("ct", size=16, views=8), {"fbp": ip.fbp})
    assert result["fbp"].x is result.images["fbp"]
    assert "x" not in result.report()["rows"][0]
