"""``python -m ipbox scan --method tv`` of a parallel beam: in three dimensions, whole or in blocks, or by slices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.cli import main
from ipbox.cli.scans import coupled
from ipbox.reconstruct.variational import memory
from tests.io.scan_writers import write_nxtomo

SIZE, VIEWS, ROWS, COLUMNS = 24, 40, 30, 32
OPTIONS = ("--method", "tv", "--size", str(SIZE), "--centre", "15.5", "--stripes", "off", "--quiet")


def volume() -> np.ndarray:
    """Two balls and a block, all of them off the middle along every axis; attenuation per pixel."""
    z, y, x = np.ogrid[:ROWS, :SIZE, :SIZE]
    u = 0.02 * (((z - 12) / 11) ** 2 + ((y - 10) / 8) ** 2 + ((x - 13) / 9) ** 2 < 1)
    u = u + 0.03 * ((z - 8) ** 2 + (y - 8) ** 2 + (x - 16) ** 2 < 16)
    u[16:22, 11:14, 8:13] += 0.02
    return u


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Few counts of them, with as many rows as slices."""
    path, u, rng = tmp_path_factory.mktemp("scan") / "scan.nxs", volume(), np.random.default_rng(0)
    degrees, light = 180.0 * np.arange(VIEWS) / VIEWS, 300.0
    A = ip.RayTransform((SIZE, SIZE), np.deg2rad(degrees), COLUMNS, dtype="float64")
    p = ip.SliceStack(A, ROWS).apply(u)
    flats = (100 + rng.poisson(light, (12, ROWS, COLUMNS))).astype(np.uint16)
    darks = np.full((5, ROWS, COLUMNS), 100, np.uint16)
    write_nxtomo(path, (100 + rng.poisson(light * np.exp(-p))).astype(np.uint16), degrees, flats, darks)
    return path, u


def run(path: Path, out: Path, *options: str) -> tuple[np.ndarray, dict[str, Any], str]:
    """The volume and the report, as JSON and as text."""
    assert main(["scan", str(path), "--out", str(out), *OPTIONS, *options]) == 0
    return np.load(out), json.loads(out.with_suffix(".json").read_text()), out.with_suffix(".txt").read_text()


@pytest.fixture(scope="module")
def whole(scan: tuple[Path, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(scan[0], tmp_path_factory.mktemp("whole") / "a.npy")


def test_coupled_slices_are_nearer_to_the_truth(scan: tuple[Path, np.ndarray], whole: Any, tmp_path: Path) -> None:
    """With the same weight, in the places and along the axes where the object is."""
    (path, u), (x, told, text) = scan, whole
    alone, by_slices, _ = run(path, tmp_path / "a.npy", "--slicewise")
    assert told["lam"] == by_slices["lam"] and "coupled" not in by_slices
    assert told["coupled"] == {"slices": ROWS, "blocks": [[0, ROWS]]} and f"all {ROWS} at once; memory: about" in text
    assert ip.nrmse(x, u) < 0.9 * ip.nrmse(alone, u), (ip.nrmse(x, u), ip.nrmse(alone, u))
    for axis in range(3):
        assert ip.nrmse(np.flip(x, axis), u) > 2 * ip.nrmse(x, u)


def test_blocks_are_as_the_whole(
    scan: tuple[Path, np.ndarray], whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which overlap, so that they end nowhere; each reading is read and counted once."""
    need = int(whole[2].split("memory: about ")[1].split(" MB")[0].split(".")[0]) * 10**6
    monkeypatch.setattr(memory, "available", lambda: int(0.9 * need))
    monkeypatch.setattr(coupled, "HALO", 4)
    x, told, text = run(scan[0], tmp_path / "a.npy")
    blocks = told["coupled"]["blocks"]
    assert len(blocks) > 1 and blocks[0][0] == 0 and blocks[-1][1] == ROWS
    assert all(one[1] == two[0] for one, two in zip(blocks, blocks[1:], strict=False))
    assert f"in {len(blocks)} blocks of" in text and told["corrections"]["readings"] == VIEWS * ROWS * COLUMNS
    assert ip.nrmse(x, whole[0]) < 0.01, ip.nrmse(x, whole[0])


def test_not_even_a_block_fits(
    scan: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10**5)
    assert main(["scan", str(scan[0]), "--out", str(tmp_path / "a.npy"), *OPTIONS]) == 1
    told = capsys.readouterr().err
    assert "slices at once needs about" in told and "expected --slicewise, or fewer voxels" in told
    assert not (tmp_path / "a.npy").exists()


def test_a_row_is_an_image(scan: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    x, told, text = run(scan[0], tmp_path / "a.npy", "--rows", "12")
    assert x.shape == (1, SIZE, SIZE) and "coupled" not in told and "couples" not in text


def test_the_distance_of_the_slices_counts(tmp_path: Path) -> None:
    """What is the same in all slices comes out as in one, with voxels that are half as high as wide too."""
    u = np.zeros((SIZE, SIZE))
    u[6:14, 9:18] = 0.5
    A = ip.RayTransform((SIZE, SIZE), np.pi * np.arange(VIEWS) / VIEWS, COLUMNS, dtype="float64")
    p = A.apply(u) + 0.3 * np.random.default_rng(0).standard_normal((VIEWS, COLUMNS))
    views, degrees = np.repeat(p[:, None], 6, 1).astype(np.float32), 180.0 * np.arange(VIEWS) / VIEWS
    write_nxtomo(tmp_path / "a.nxs", views, degrees, flats=None, darks=None)
    options = ("--linear", "--voxel-size", "2", "--lam", "0.5", "--niter", "3000", "--size", "16")
    x, _, _ = run(tmp_path / "a.nxs", tmp_path / "a.npy", *options)
    y, _, _ = run(tmp_path / "a.nxs", tmp_path / "b.npy", *options, "--slicewise")
    assert ip.nrmse(x, y) < 0.01, ip.nrmse(x, y)
    assert np.ptp(x, axis=0).max() < 1e-3 * x.max()


def test_the_picture_says_which(tmp_path: Path) -> None:
    from ipbox.cli.scans.command import _method, _picture

    cases = ((False, 5, "tv in three dimensions"), (True, 5, "tv of each slice"), (False, 1, "tv"))
    for slicewise, rows, words in cases:
        args = type("args", (), {"method": "tv", "slicewise": slicewise})
        assert _method(args, "parallel", rows) == words
        x = np.zeros((rows, 8, 9), np.float32)
        assert _picture(x, tmp_path / "a.png", (1.0, 1.0, 1.0), "1/mm", words).get_suptitle() == words
