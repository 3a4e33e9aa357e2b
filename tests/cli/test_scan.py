"""``python -m ipbox scan``: raw scans of a known object come out as it was, with a report and a picture."""

from __future__ import annotations

import argparse
import json
import tracemalloc
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest

import ipbox as ip
from ipbox.cli import main
from ipbox.cli.scans import methods
from ipbox.cli.scans.command import _picture
from ipbox.cli.scans.corrected import Corrected, striped
from ipbox.problems.truths.datasets import load
from ipbox.problems.truths.phantoms import Ellipse
from tests.cli.simulated_scans import cone_scan, parallel_scan
from tests.io.scan_writers import DEGREES, VIEWS, write_nxtomo, write_tiffs
from tests.measured.scans import integrals


def run(path: Path, out: Path, *options: Any) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """The volume, its spacing and the report."""
    assert main(["scan", str(path), "--out", str(out), "--quiet", *map(str, options)]) == 0
    base = out.with_name(out.name.removesuffix("".join(out.suffixes)))
    assert base.with_suffix(".png").stat().st_size > 5000 and base.with_suffix(".txt").stat().st_size > 200
    return *ip.read_image(out), json.loads(base.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("chest") / "scan.nxs"
    return path, parallel_scan(path, size=64, views=100, rows=4)


def worst(x: np.ndarray, truth: np.ndarray) -> float:
    return min(float(ip.psnr(u, v)) for u, v in zip(x, truth, strict=True))


def test_parallel(tmp_path: Path, chest: tuple[Path, np.ndarray]) -> None:
    """The axis is 3.3 columns off, which a middle one would blur by as much."""
    path, truth = chest
    x, spacing, told = run(path, tmp_path / "a.tif", "--size", 64)
    assert x.dtype == np.float32 and spacing == (1.0, 1.0, 1.0)
    assert abs(told["centre"]["column"] - (79 / 2 - 3.3)) < 0.25 and told["centre"]["by"] == "wedge"
    assert not told["stripes"]["removed"] and told["noise_level"]["by"] == "flats"
    assert worst(x, truth) > 26.0, worst(x, truth)
    blurred, _, _ = run(path, tmp_path / "b.tif", "--size", 64, "--centre", 39.5)
    assert worst(blurred, truth) < worst(x, truth) - 5
    assert x.sum(axis=(1, 2)) == pytest.approx(truth.sum(axis=(1, 2)), rel=0.01)  # in 1/mm


def test_the_noise_is_that_of_the_counts(chest: tuple[Path, np.ndarray]) -> None:
    """The level that flats and darks tell, against what line integrals differ by from those of the truth."""
    scan = ip.read_scan(chest[0])
    corrected = Corrected(scan, 1, False, False)
    error = corrected(slice(1, 2))[:, 0] - scan.transform(64, det_shift=3.3, dtype="float64").apply(chest[1][1])
    assert np.sqrt(corrected.variance) == pytest.approx(np.linalg.norm(error), rel=0.1)


def test_flats_before_and_after(tmp_path: Path) -> None:
    """The beam loses a fifth of its light during the scan, which flats before and after it tell."""
    light = np.linspace(1, 0.8, 6)[:, None, None] * np.full((6, 4, 5), 4e4)
    flats = np.full((4, 4, 5), 4e4) * np.array([1, 1, 0.8, 0.8])[:, None, None]
    write_nxtomo(tmp_path / "a.nxs", (0.5 * light).astype("float32"), flats=flats.astype("float32"), darks=None)
    scan = ip.read_scan(tmp_path / "a.nxs")
    for part in (scan, scan.part(views=slice(None, None, -1))):
        b = Corrected(part, 1, False, False)(slice(0, 4))
        assert b == pytest.approx(np.full((6, 4, 5), np.log(2)), rel=1e-5)


def test_iterations(tmp_path: Path, chest: tuple[Path, np.ndarray]) -> None:
    """Both iterate on the same data as the direct method, and are better than it."""
    path, truth = chest
    rows = ("--rows", "1:2", "--size", 64, "--every", 2)
    direct = worst(run(path, tmp_path / "a.tif", *rows)[0].reshape(1, 64, 64), truth[1:2])
    for method, least in (("cgls", direct), ("tv", direct + 1)):
        x, _, told = run(path, tmp_path / f"{method}.tif", *rows, "--method", method, "--niter", 150)
        assert worst(x.reshape(1, 64, 64), truth[1:2]) > least and told["method"] == method


@pytest.mark.parametrize("rows", [2, 3, 4, 5])
def test_the_picture_names_the_slices_that_it_shows(tmp_path: Path, rows: int) -> None:
    """Also of three and four, which would be taken for colours."""
    x = np.zeros((rows, 8, 9), dtype=np.float32) + np.arange(rows, dtype=np.float32)[:, None, None]
    figure = _picture(x, tmp_path / "a.png", (1.0, 1.0, 1.0), "1/mm", "fbp")
    assert [ax.get_title() for ax in figure.axes[:3]] == [f"z = {rows // 2}", "y = 4", "x = 4"]
    assert np.all(figure.axes[0].images[0].get_array() == rows // 2) and (tmp_path / "a.png").exists()


def test_stripes(tmp_path: Path) -> None:
    """Where gains have changed since the flats were taken they are found and removed, else left alone."""
    truth = parallel_scan(tmp_path / "scan.nxs", size=64, views=100, rows=2, drift=0.03)
    x, _, told = run(tmp_path / "scan.nxs", tmp_path / "a.tif", "--size", 64)
    assert told["stripes"]["removed"] and abs(told["centre"]["column"] - (79 / 2 - 3.3)) < 0.25
    kept, _, _ = run(tmp_path / "scan.nxs", tmp_path / "b.tif", "--size", 64, "--stripes", "off")
    assert worst(x, truth) > worst(kept, truth) + 1


def test_a_row_alone_keeps_the_profile_of_the_object(chest: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    """No neighbour tells what a single row of the panel has in common with it."""
    path, _ = chest
    _, _, told = run(path, tmp_path / "a.tif", "--size", 32, "--bin", 4, "--rows", "0:4")
    assert told["stripes"]["ratio"] > 5 and not told["stripes"]["removed"]
    _, _, told = run(path, tmp_path / "b.tif", "--size", 32, "--bin", 4, "--rows", "0:4", "--stripes", "on")
    assert told["stripes"]["removed"]


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_whether_there_are_stripes(rows: int, rng: np.random.Generator) -> None:
    """Noise alone is 1; a rim about the axis, which all views of all rows show in the same columns, is no stripe."""
    noise = 0.01 * rng.standard_normal((200, rows, 60))
    rim = 0.5 * (abs(np.arange(60) - 30) < 20)
    gains = 0.02 * rng.standard_normal((rows, 60))
    assert 0.5 < striped(noise + rim) < 1.6
    assert striped(noise + rim + gains) > 8


def test_a_part_binned(tmp_path: Path, chest: tuple[Path, np.ndarray]) -> None:
    """Pixels twice as wide, in the same places."""
    path, truth = chest
    x, spacing, told = run(path, tmp_path / "a.npy", "--bin", 2, "--rows", "2:4", "--size", 32, "--filter", "ramp")
    coarse = truth[2:4].reshape(1, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    assert x.shape == (1, 32, 32) and told["volume"]["spacing"] == [2.0, 2.0, 2.0] and spacing is None
    assert worst(x, coarse) > max(25, worst(np.roll(x, 1, axis=2), coarse) + 4)


def test_cone(tmp_path: Path) -> None:
    truth = cone_scan(tmp_path / "scan", size=24, views=60)
    path, width = tmp_path / "scan" / "bone.xtekct", 256 * 1.2539062 / 24
    x, spacing, told = run(path, tmp_path / "a.nii.gz", "--size", 24, "--voxel-size", width, "--stripes", "off")
    assert told["method"] == "fdk" and abs(told["centre"]["column"] - told["centre"]["file"]) < 0.25
    assert spacing == pytest.approx((told["volume"]["spacing"][0], width, width))
    z = (np.arange(len(x)) - (len(x) - 1) / 2) * spacing[0] / 5.0 + 30  # slices are 5 mm apart
    inside = [k for k in range(len(x)) if 20 <= z[k] <= 40]
    expected = np.stack([truth[round(z[k])] for k in inside])
    assert ip.psnr(x[inside], expected) > 22, ip.psnr(x[inside], expected)


def test_tiff_folder_of_line_integrals(tmp_path: Path) -> None:
    """Angles from the command line, in degrees; no flats and no logarithm."""
    A = ip.RayTransform((24, 24), np.pi * np.arange(60) / 60, 32, dtype="float64")
    u = np.zeros((24, 24))
    u[6:14, 9:18] = 0.5
    p = A.apply(u).astype(np.float32)
    write_tiffs(tmp_path / "scan", np.repeat(p[:, None], 2, axis=1))
    options = ("--linear", "--angles", "0:180:60", "--degrees", "--size", 24, "--filter", "ramp")
    x, _, told = run(tmp_path / "scan", tmp_path / "a.h5", *options)
    assert abs(told["centre"]["column"] - 15.5) < 0.25 and told["volume"]["unit"] == "1/pixel"
    assert worst(x, np.stack([u, u])) > 20


def test_measured_tilt_series(tmp_path: Path) -> None:
    """A layered needle under an electron microscope, as IMOD keeps it: the same as by hand."""
    needle = load("tomo_haadf")
    with mrcfile.new(tmp_path / "needle.st") as file:
        file.set_data(np.ascontiguousarray(needle["projections"].swapaxes(0, 1)))
        file.voxel_size = 33.6
    (tmp_path / "needle.rawtlt").write_text("\n".join(f"{angle:.1f}" for angle in needle["angles_deg"]))
    options = ("--linear", "--centre", 127.5, "--rows", "4:6", "--stripes", "off")
    with pytest.warns(RuntimeWarning, match="the views leave out 14% of the lines"):
        x, spacing, _ = run(tmp_path / "needle.st", tmp_path / "a.mrc", *options)
    A = ip.RayTransform((256, 256), np.deg2rad(needle["angles_deg"]), 256, 3.36e-6, 0.0, 3.36e-6)
    with pytest.warns(RuntimeWarning, match="the views leave out 14% of the lines"):
        expected, _ = ip.fbp(A, needle["projections"][4:6], "hann")
    assert spacing == pytest.approx((3.36e-6,) * 3) and np.allclose(x, expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "3:2"], "--rows is 3:2; expected first:last, from 0:1 to 0:4"),
        (["--rows", "a"], "--rows is a; expected first:last"),
        (["--method", "fdk"], "--method is fdk; FILE has a parallel beam, expected fbp, cgls, tv"),
        (["--centre", "900"], "--centre is 900; expected a column of the panel, 0 to 4, find or file"),
        (["--centre", "left"], "--centre: is left; expected a column of the panel, find or file"),
        (["--centre", "file"], "--centre is file; FILE does not tell where the axis is"),
        (["--bin", "9"], "--bin is 9; FILE has 4 x 5 pixels, expected less"),
        (["--angles", "0:180:5", "--degrees"], "--angles gives 5 angles; FILE has 6 views"),
        (["--angles", "0:180:6"], "which looks like degrees; expected radians"),
        (["--flats", "nothing"], "flats is nothing; there is no such file"),
        (["--out", "a.gif"], "--out is a.gif; expected a file that ends in .tif"),
        (["--lam", "-1"], "--lam: is -1; expected a number > 0"),
        (["--voxelsize", "1"], "scan has no option --voxelsize; expected --voxel-size"),
    ],
)
def test_bad_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    write_nxtomo(tmp_path / "scan.nxs")
    assert main(["scan", str(tmp_path / "scan.nxs"), "--out", str(tmp_path / "a.tif"), *options]) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1, told
    assert not (tmp_path / "a.tif").exists()


def test_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "a.tif")]
    cases = {"does not tell the angles; expected --angles": write_tiffs(tmp_path / "a", VIEWS)}
    write_nxtomo(tmp_path / "b.nxs", flats=None)
    cases["has no flat field; expected --flats, or --linear"] = tmp_path / "b.nxs"
    write_nxtomo(tmp_path / "c.nxs", degrees=DEGREES / 3)
    cases["the axis cannot be found: angles cover"] = tmp_path / "c.nxs"
    cases["there is no such file"] = tmp_path / "d.nxs"
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["x"] = 1
    cases["expected NXtomo or DXchange"] = tmp_path / "e.h5"
    for words, path in cases.items():
        assert main(["scan", str(path), *out]) == 2
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1, told


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["scan", "--help"])
    told = capsys.readouterr().out
    assert left.value.code == 0 and told.count("python -m ipbox scan") == 6 and "--centre" in told


# ---------------------------------------------------------------- readings that are wrong, memory


def block(path: Path, readings: Sequence[Any] = (), dead: Sequence[Any] = ()) -> np.ndarray:
    """An ellipse over half a turn in 9 rows alike, as counts that are written at ``path``; their line integrals."""
    p = np.repeat(
        integrals(np.pi * np.arange(40) / 40, 36, objects=(Ellipse(0.1, 2.0, -3.0, 9.0, 6.0),))[:, None], 9, 1
    )
    frames = {"projections": 100 + 4e4 * np.exp(-p), "flats": np.full((12, 9, 36), 40100.0)}
    frames["darks"] = np.full((5, 9, 36), 100.0)
    rng = np.random.default_rng(0)
    frames = {
        name: np.rint(x + 0.02 * np.sqrt(x) * rng.standard_normal(x.shape)).astype(np.uint16)
        for name, x in frames.items()
    }
    for where in dead:
        for x in frames.values():
            x[:, *where] = 100
    for where, value in readings:
        frames["projections"][where] = value
    write_nxtomo(path, frames["projections"], 4.5 * np.arange(40), frames["flats"], frames["darks"])
    return p


@pytest.mark.parametrize("bin", [1, 3])
def test_saturated_readings_are_counted(tmp_path: Path, bin: int) -> None:
    """Of the type's largest number, and from a number of counts on: 41000 is above all that the beam makes."""
    block(tmp_path / "a.nxs", readings=[((3, 1, 2), 65535), ((3, 2, 20), 65535), ((7, 8, 35), 41000)])
    scan = ip.read_scan(tmp_path / "a.nxs")
    for saturation, count in ((None, 2), (41000.0, 3)):
        corrected = Corrected(scan, bin, False, False, saturation=saturation)
        corrected(slice(0, corrected.shape[1]))
        assert corrected.counted.saturated == count and corrected.counted.readings == 40 * (9 // bin) * (36 // bin)


@pytest.mark.parametrize("bin", [1, 3])
def test_dead_pixels_are_filled_in(tmp_path: Path, bin: int) -> None:
    """One of them, a stuck one that saturates, and a whole row, of which the rows beside it tell what is missing."""
    dead = [(1, 17), (4, slice(None))] if bin == 1 else [(1, 17), (slice(3, 6), slice(None))]
    p = block(tmp_path / "a.nxs", dead=dead, readings=[((slice(None), 1, 17), 65535)])
    corrected = Corrected(ip.read_scan(tmp_path / "a.nxs"), bin, False, False)
    _, rows, columns = corrected.shape
    expected = -np.log(np.exp(-p).reshape(40, rows, bin, columns, bin).mean(axis=(2, 4)))
    b = np.concatenate([corrected(slice(k, k + 1)) for k in range(rows)], axis=1)
    off = abs(b - expected)
    if bin == 1:
        assert off[:, 1, 17].max() < 0.1  # from the columns beside it, where the edge of the ellipse is far from linear
        off[:, 1, 17] = 0.0
    assert off.max() < 0.02, off.max()
    assert corrected.counted.saturated == 0
    assert corrected.counted.dead >= 40 * columns + (40 if bin == 1 else 0)


def test_memory_is_told_and_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told is at least what the arrays take, and not twice as much; nothing is begun where less is free."""
    from ipbox.reconstruct.variational import memory

    cone_scan(tmp_path / "scan", size=24, views=60)
    path, out = tmp_path / "scan" / "bone.xtekct", tmp_path / "a.npy"
    scan = ip.read_scan(path)
    A, (views, rows, columns) = scan.transform(), scan.shape
    for method in ("fdk", "cgls", "tv"):
        args = argparse.Namespace(method=method, zingers=False, filter=None, niter=2, lam=0.1, signed=False, quiet=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # two iterations are few
            methods.cone(args, A, Corrected(scan, 1, False, False), {})  # compiles
            tracemalloc.start()
            methods.cone(args, A, Corrected(scan, 1, False, False), {})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        need = methods.needed(args, 4 * rows * columns**2, 4 * views * rows * columns)
        assert 0.5 * need < peak < 1.1 * need, (method, peak / need)
    monkeypatch.setattr(memory, "available", lambda: 10**6)
    assert main(["scan", str(path), "--out", str(out), "--quiet"]) == 1
    told = capsys.readouterr().err
    assert "fdk of this scan needs about" in told and "of 1 MB that are free; expected fewer voxels" in told
    said = [line for line in told.splitlines() if not line.startswith("ipbox: compiling")]
    assert len(said) == 1 and not out.exists()
