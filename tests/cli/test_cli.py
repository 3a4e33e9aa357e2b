"""The command line: what it computes, what it writes, and one line for every mistake."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import matplotlib.image
import nrrd
import numpy as np
import pytest
from scipy.io import savemat

import ipbox as ip
from ipbox.choose import tv_weight
from ipbox.cli import main

ROOT = Path(ip.__file__).parents[1]
ANGLES = np.arange(30) * (math.pi / 30)
IN_RADIANS = f"0:{math.pi!r}:30"


@pytest.fixture(scope="module")
def sinogram() -> np.ndarray:
    A, b, _, _ = ip.problem("ct", image="shepp-logan", size=48, views=30, detectors=48, noise=0.01)
    assert np.array_equal(A.angles, ANGLES)
    return b


@pytest.fixture
def scan(tmp_path: Path, sinogram: np.ndarray) -> Path:
    np.save(tmp_path / "scan.npy", sinogram)
    return tmp_path / "scan.npy"


@pytest.fixture
def fails(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run what is expected to fail; the error, which is one line on stderr."""

    def run(*argv: object) -> str:
        assert main([str(word) for word in argv]) == 2
        captured = capsys.readouterr()
        lines = captured.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("ipbox: error: ") and captured.out == ""
        return lines[0].removeprefix("ipbox: error: ")

    return run


def reconstruct(scan: Path, out: Path, *options: object) -> None:
    assert main(["reconstruct", str(scan), "--out", str(out), "--quiet", *map(str, options)]) == 0


# ---------------------------------------------------------------- reconstruct


@pytest.mark.parametrize(
    ("method", "options", "call"),
    [
        ("fbp", [], lambda A, b: ip.fbp(A, b)),
        ("fbp", ["--filter", "cosine"], lambda A, b: ip.fbp(A, b, "cosine")),
        ("landweber", ["--noise-level", 2, "--niter", 30], lambda A, b: ip.landweber(A, b, 2.0, niter=30)),
        ("cgls", ["--noise-level", 2], lambda A, b: ip.cgls(A, b, 2.0)),
        ("tikhonov", ["--lam", 0.5], lambda A, b: ip.tikhonov(A, b, 0.5)),
        ("tv", ["--lam", 0.05, "--niter", 40], lambda A, b: ip.tv(A, b, 0.05, niter=40)),
        (
            "tv",
            ["--lam", "auto", "--noise-level", 1.5, "--nonneg", "--niter", 20],
            lambda A, b: ip.tv(A, b, tv_weight(A, b, 1.5), nonneg=True, niter=20),
        ),
    ],
)
def test_same_image_as_by_calling(
    scan: Path, tmp_path: Path, sinogram: np.ndarray, method: str, options: list, call: Callable
) -> None:
    content = scan.read_bytes()
    reconstruct(scan, tmp_path / "x.npy", "--angles", IN_RADIANS, "--method", method, *options)
    expected, _ = call(ip.RayTransform((48, 48), ANGLES, 48), sinogram)
    x = np.load(tmp_path / "x.npy", allow_pickle=False)
    assert x.dtype == np.float32 and np.array_equal(x, expected)
    assert scan.read_bytes() == content
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan.npy", "x.npy"]


def test_golden_angles_in_degrees(scan: Path, tmp_path: Path) -> None:
    """Many turns are no sign of degrees that were given for radians where --degrees says what they are."""
    turns = 111.246 * np.arange(30)
    np.save(tmp_path / "angles.npy", turns)
    np.save(tmp_path / "within.npy", turns % 360)
    for name in ("angles", "within"):
        reconstruct(scan, tmp_path / f"{name}-x.npy", "--angles", tmp_path / f"{name}.npy", "--degrees")
    first, second = (np.load(tmp_path / f"{name}-x.npy") for name in ("angles", "within"))
    assert np.allclose(first, second, atol=1e-5 * abs(second).max())


def test_geometry(scan: Path, tmp_path: Path, sinogram: np.ndarray) -> None:
    options = ["--pixel-size", 0.5, "--det-spacing", 0.75, "--det-shift", -0.2]
    reconstruct(scan, tmp_path / "x.npy", "--angles", IN_RADIANS, "--size", 40, 64, *options)
    A = ip.RayTransform((40, 64), ANGLES, 48, det_spacing=0.75, det_shift=-0.2, pixel_size=0.5)
    assert np.array_equal(np.load(tmp_path / "x.npy"), ip.fbp(A, sinogram)[0])
    reconstruct(scan, tmp_path / "y.npy", "--angles", IN_RADIANS, *options)
    assert np.load(tmp_path / "y.npy").shape == (72, 72)  # as wide as the detector


def test_angles_from_files_and_in_degrees(scan: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "radians.npy", ANGLES)
    np.savez(tmp_path / "degrees.npz", tilt=np.arange(30) * 6, unused=np.zeros(3))
    images = []
    for k, angles in enumerate(
        (
            [IN_RADIANS],
            [tmp_path / "radians.npy"],
            ["0:180:30", "--degrees"],
            [tmp_path / "degrees.npz", "--angles-dataset", "tilt", "--degrees"],
        )
    ):
        reconstruct(scan, tmp_path / f"{k}.npy", "--angles", *angles)
        images.append(np.load(tmp_path / f"{k}.npy"))
    assert np.array_equal(images[0], images[1])
    for x in images[2:]:
        assert np.linalg.norm(x - images[0]) < 1e-5 * np.linalg.norm(x)


def test_angles_that_begin_with_a_minus(scan: Path, tmp_path: Path) -> None:
    for name, words in (("a.npy", ["--angles", "-90:90:30"]), ("b.npy", ["--angles=-90:90:30"])):
        reconstruct(scan, tmp_path / name, *words, "--degrees")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_inputs(tmp_path: Path, sinogram: np.ndarray, scan: Path) -> None:
    """The same sinogram in other files gives the same image; integers and the transpose on demand."""
    reconstruct(scan, tmp_path / "x.npy", "--angles", IN_RADIANS)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/b"], file["entry/dark"] = sinogram, np.zeros(3)
    np.savez(tmp_path / "scan.npz", b=sinogram.T)
    np.save(tmp_path / "counts.npy", np.round(1000 * sinogram).astype("int32"))
    savemat(tmp_path / "scan.mat", {"b": sinogram, "title": "a scan"}, do_compression=True)
    nrrd.write(str(tmp_path / "scan.nrrd"), sinogram, index_order="C")
    more = [("scan.mat", []), ("scan.nrrd", [])]
    for name, options in (("scan.h5", ["--dataset", "entry/b"]), ("scan.npz", ["--transpose"]), *more):
        reconstruct(tmp_path / name, tmp_path / "y.npy", "--angles", IN_RADIANS, *options)
        assert np.array_equal(np.load(tmp_path / "y.npy"), np.load(tmp_path / "x.npy"))
    reconstruct(tmp_path / "counts.npy", tmp_path / "y.npy", "--angles", IN_RADIANS, "--dtype=float64")
    y, x = np.load(tmp_path / "y.npy"), np.load(tmp_path / "x.npy")
    assert y.dtype == np.float64 and np.linalg.norm(y / 1000 - x) < 1e-2 * np.linalg.norm(x)


def test_outputs(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for suffix in ("npy", "npz", "h5", "png"):
        reconstruct(scan, tmp_path / f"x.{suffix}", "--angles", IN_RADIANS, "--pixel-size", 2.0)
    assert "fbp" in capsys.readouterr().out
    x = np.load(tmp_path / "x.npy")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["x"], x) and arrays["pixel_size"] == 2.0 and arrays["method"] == "fbp"
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["x"], x)
        assert file["x"].attrs["pixel_size"] == 2.0 and file["x"].attrs["method"] == "fbp"
    grey = matplotlib.image.imread(tmp_path / "x.png")[..., 0]
    assert grey.shape == x.shape and np.corrcoef(grey.ravel(), x.ravel())[0, 1] > 0.95


# ---------------------------------------------------------------- reconstruct: mistakes


def test_bad_files(fails: Callable, tmp_path: Path, scan: Path) -> None:
    rest = ["--angles", "0:3:30", "--out", tmp_path / "x.npy"]
    assert fails("reconstruct", tmp_path / "none.npy", *rest).endswith("none.npy; there is no such file")
    scan.write_bytes(scan.read_bytes()[:1000])
    assert "FILE is" in (line := fails("reconstruct", scan, *rest)) and "not a complete .npy file" in line
    np.save(scan, np.ones((30, 48), "int16"))
    assert "has dtype int16; expected line integrals" in fails("reconstruct", scan, *rest)
    np.save(scan, np.full((30, 48), np.nan))
    assert "FILE" in (line := fails("reconstruct", scan, *rest)) and "NaN or infinite" in line
    np.save(scan, np.zeros((30, 48)))
    assert "is zero everywhere" in fails("reconstruct", scan, *rest)
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        (["0:180:30"], "looks like degrees; expected radians (np.deg2rad); or --degrees"),
        (["0:3:29"], "--angles gives 29 angles; FILE has shape (30, 48), expected one angle for each of its 30 rows"),
        (["0:3:x"], "--angles is 0:3:x; expected start:stop:n"),
        (["0:nan:30"], "--angles is 0:nan:30; expected start:stop:n"),
        (["0:3:0"], "--angles is 0:3:0; expected start:stop:n"),
        (["all"], "--angles is all; expected start:stop:n or a file (.npy"),
        (["none.npy"], "--angles is none.npy; there is no such file"),
        (["0:3:30", "--angles-dataset", "tilt"], "--angles-dataset is tilt; expected none"),
    ],
)
def test_bad_angles(fails: Callable, scan: Path, angles: list[str], words: str) -> None:
    assert words in fails("reconstruct", scan, "--out", scan.with_name("x.npy"), "--angles", *angles)


def test_bad_angles_in_a_file(fails: Callable, scan: Path, tmp_path: Path) -> None:
    for array, words in (
        (np.ones((2, 15)), "angles has shape (2, 15)"),
        (np.full(30, np.nan), "NaN or infinite"),
        (np.ones(30, "complex64"), "has dtype complex64; expected real numbers"),
        (np.ones(48), "gives 48 angles; FILE has shape (30, 48)"),
    ):
        np.save(tmp_path / "a.npy", array)
        line = fails("reconstruct", scan, "--out", tmp_path / "x.npy", "--angles", tmp_path / "a.npy")
        assert line.startswith("--angles") and words in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "tv"], "--lam is not given; tv expects a positive number"),
        (["--method", "tv", "--lam", "0"], "argument --lam: is 0; expected a number > 0"),
        (["--method", "tv", "--lam", "auto"], "--lam is auto; expected a number, or --method tv with --noise-level"),
        (["--method", "tv", "--lam", "auto", "--noise-level", "0"], "noise_level is 0.0; expected a positive number"),
        (["--method", "tikhonov", "--lam", "auto"], "--lam is auto"),
        (["--lam", "1"], "--lam is given; fbp does not take it"),
        (["--method", "cgls", "--filter", "hann"], "--filter is given; cgls does not take it"),
        (["--method", "cgls", "--noise-level=-1"], "argument --noise-level: is -1; expected a number >= 0"),
        (["--niter", "1.5"], "argument --niter: is 1.5; expected an integer >= 1"),
        (["--pixel-size", "0"], "argument --pixel-size: is 0; expected a number > 0"),
        (["--det-shift", "inf"], "argument --det-shift: is inf; expected a number"),
        (["--size", "0"], "argument --size: is 0; expected an integer >= 1"),
        (["--size", "8", "8", "8"], "--size is 8 8 8; expected n, or ny nx"),
        (["--method", "art"], "argument --method: invalid choice: 'art'"),
        (["--out", "x.bmp"], "--out is x.bmp; expected a file that ends in .npy"),
        (["--out", "nowhere/x.npy"], "--out is nowhere/x.npy; expected a file in a folder that exists"),
    ],
)
def test_bad_options(fails: Callable, scan: Path, options: list[str], words: str) -> None:
    out = scan.with_name("x.npy")
    assert words in fails("reconstruct", scan, "--angles", "0:3:30", "--out", out, *options)
    assert not out.exists()


def test_without_cupy(fails: Callable, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    line = fails("reconstruct", scan, "--angles", "0:3:30", "--out", scan.with_name("x.npy"), "--xp", "cupy")
    assert line.startswith("CuPy is not installed")


def test_input_is_never_overwritten(fails: Callable, scan: Path, tmp_path: Path) -> None:
    (tmp_path / "link.npy").symlink_to(scan)
    np.save(tmp_path / "angles.npy", ANGLES)
    for out, angles in (("scan.npy", IN_RADIANS), ("link.npy", IN_RADIANS), ("angles.npy", tmp_path / "angles.npy")):
        content = (tmp_path / out).read_bytes()
        line = fails("reconstruct", scan, "--angles", angles, "--out", tmp_path / out)
        assert "itself; expected another file" in line and (tmp_path / out).read_bytes() == content


# ---------------------------------------------------------------- demo, info, help


def test_demo_ct(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "new" / "ct.png"
    assert main(["demo", "ct", "--size", "64", "--views", "40", "--out", str(out)]) == 0
    printed, bars = capsys.readouterr()
    table = [line.split() for line in printed.splitlines()[1:-1]]
    expected = "method PSNR SSIM residual iterations stopped by weight A and A* seconds"
    assert table[0] == expected.split()
    fbp, cgls, tv = (float(row[1 + (row[0] == "fbp")]) for row in table[1:])
    assert tv > cgls + 1 > fbp
    assert "stop: discrepancy" in bars and "tv: " in bars
    picture = matplotlib.image.imread(out)
    assert picture.shape[1] > 3 * picture.shape[0]  # the truth and three images in a row


@pytest.mark.filterwarnings("ignore:fbp. the views leave out")
def test_demo_measured(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "needle.png"
    words = ["demo", "tomography-measured", "--slice", "1", "--niter", "60", "--quiet", "--out", str(out)]
    assert main(words) == 0
    printed, bars = capsys.readouterr()
    assert bars == "" and "semi-convergence" in printed and out.stat().st_size > 10_000
    table = [line.split() for line in printed.splitlines()[2:-1]]
    assert table[0][:4] == ["method", "residual", "held", "out"]
    (fbp, fbp_held), (cgls, cgls_held), (_, tv_held) = (
        map(float, row[1 + row[1].startswith("(") :][:2]) for row in table[1:]
    )
    assert cgls < fbp and tv_held < cgls_held < fbp_held and cgls < cgls_held


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "the following arguments are required: command"),
        (["dance"], "argument command: invalid choice: 'dance'"),
        (["demo", "ct", "--slice", "99"], "slice is 99; expected an integer from 0 to 60"),
        (["demo", "tomography-measured", "--slice", "11"], "slice is 11; expected an integer from 0 to 10"),
        (["demo", "ct", "--size", "4096"], "size is 4096; expected an integer from 1 to 512"),
        (["demo", "ct", "--noise", "-0.1"], "argument --noise: is -0.1; expected a number >= 0"),
        (["demo", "ct", "--lam", "much"], "argument --lam: is much; expected a number > 0"),
        (["demo", "ct", "--out", "ct.doc"], "--out is ct.doc; expected a file that ends in .png, .pdf, .svg"),
        (["demo", "ct", "--out", os.devnull + "/x/ct.png"], "expected a file in a folder that exists"),
    ],
)
def test_bad_usage(fails: Callable, words: list[str], expected: str) -> None:
    assert expected in fails(*words)


def test_interrupt(scan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ip, "compare", interrupted)
    assert main(["reconstruct", str(scan), "--angles", "0:3:30", "--out", str(scan.with_name("x.npy"))]) == 130
    assert capsys.readouterr().err == "ipbox: interrupted\n"
    assert list(scan.parent.iterdir()) == [scan]


def test_a_bug_is_no_usage_error(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the computation keeps its traceback."""

    def broken(*args: object, **options: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(ip, "compare", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["reconstruct", str(scan), "--angles", "0:3:30", "--out", str(tmp_path / "x.npy")])


def shell(*words: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ipbox", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_info() -> None:
    done = shell("info")
    assert done.returncode == 0 and done.stderr == ""
    for words in (f"ipbox {ip.__version__}", f"numpy        {np.__version__}", "CPU threads: ", "CuPy: ", "torch: "):
        assert words in done.stdout
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert (Path(lines["data"]) / "tomo_haadf.npz").is_file()


def test_a_reader_that_leaves_early() -> None:
    command = f"{sys.executable} -m ipbox info | head -1"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"ipbox {ip.__version__} in {ROOT / 'ipbox'}\n" and done.stderr == ""


def test_help_is_quick() -> None:
    """Twice the time `make bench` allows: tests may share the machine."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        done = shell("--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0 and all(word in done.stdout for word in ("demo", "reconstruct", "info"))
    assert statistics.median(seconds) <= 2 * 0.5


def test_arguments_are_parsed_before_anything_heavy_is_imported() -> None:
    code = "import sys; from ipbox.cli import main; main(['demo', 'ct', '--views', 'x']); print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == "ipbox: error: argument --views: is x; expected an integer >= 1 (see {} --help)\n".format(
        "python -m ipbox demo ct"
    )
    assert not {"numpy", "scipy", "numba", "pylops", "matplotlib", "h5py", "torch"} & set(done.stdout.split())


# ---------------------------------------------------------------- reports


def test_report_of_a_reconstruction(scan: Path, tmp_path: Path, sinogram: np.ndarray) -> None:
    words = ["--angles", IN_RADIANS, "--method", "cgls", "--noise-level", 2, "--json", tmp_path / "run.json"]
    reconstruct(scan, tmp_path / "x.npy", *words)
    told = json.loads((tmp_path / "run.json").read_text())
    _, run = ip.cgls(ip.RayTransform((48, 48), ANGLES, 48, dtype=sinogram.dtype), sinogram, 2.0)
    assert told["runs"]["cgls"]["niter"] == run.niter and told["runs"]["cgls"]["stop"] == "discrepancy"
    assert told["rows"][0]["method"] == "cgls" and told["options"]["noise_level"] == 2
    assert told["command"].startswith("python -m ipbox reconstruct ") and told["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("command", ["demo", "compare"])
def test_report_of_a_demonstration(command: str, tmp_path: Path) -> None:
    words = ["inpaint", "--size", "32", "--out", str(tmp_path / "a.png"), "--json", str(tmp_path / "a.json"), "--quiet"]
    words += ["--methods", "pseudo-inverse", "--once"] if command == "compare" else ["--niter", "5"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert main([command, *words]) == 0
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["problem"]["name"] == "inpaint" and told["problem"]["seed"] == 0
    assert told["runs"].keys() == {row["method"] for row in told["rows"]}


def test_report_that_cannot_be_written(scan: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    rest = ["--angles", IN_RADIANS, "--out", tmp_path / "x.npy", "--json"]
    assert "--json is run.txt; expected a file that ends in .json" in fails("reconstruct", scan, *rest, "run.txt")
    assert "in a folder that exists" in fails("reconstruct", scan, *rest, tmp_path / "none" / "run.json")
