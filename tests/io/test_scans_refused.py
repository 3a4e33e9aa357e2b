"""Scans that are damaged, or whose parts do not fit: one sentence, and nothing half-read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

import ipbox as ip
from tests.io.scan_writers import DEGREES, FLATS, VIEWS, write_dxchange, write_nxtomo, write_tiffs


def refused(words: str, path: Path, kind: type[Exception] = ValueError, **options: Any) -> None:
    with pytest.raises(kind, match=words) as caught:
        ip.read_scan(path, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_what_is_not_there(tmp_path: Path) -> None:
    refused("path is .*nothing; there is no such file", tmp_path / "nothing", FileNotFoundError)
    refused("has no frame in files that end in .tif or .tiff; expected projections", tmp_path)
    (tmp_path / "a.txt").write_text("a")
    refused(r"expected a folder, or a file that ends in \.h5", tmp_path / "a.txt")
    write_tiffs(tmp_path / "flats", FLATS)
    refused("has 3 flats in files that end in .*; expected projections", tmp_path)
    write_tiffs(tmp_path / "a", VIEWS)
    write_tiffs(tmp_path / "b", VIEWS)
    refused("has projections in a, b; expected one folder of them", tmp_path)
    write_tiffs(tmp_path / "projections", VIEWS)
    assert np.array_equal(ip.read_scan(tmp_path).projections, VIEWS)


def test_angles(tmp_path: Path) -> None:
    path = write_tiffs(tmp_path / "a", VIEWS)
    refused(r"angles has 5 entries; expected one for each of the 6 views", path, angles=np.arange(5) / 5)
    refused(r"angles reach 150, which looks like degrees; expected radians", path, angles=DEGREES)
    refused(r"angles has NaN", path, angles=np.full(6, np.nan))
    path = write_nxtomo(tmp_path / "a.nxs", **{"sample/rotation_angle": DEGREES[:5]})
    refused(r"rotation_angle of .* has 5 entries; expected one for each of 11 frames, or of 6 projections", path)
    path = write_nxtomo(tmp_path / "b.nxs", degrees=np.deg2rad(DEGREES), units={"sample/rotation_angle": ""})
    write_dxchange(tmp_path / "c.h5", np.deg2rad(np.arange(6) * 36.0))
    refused("theta of .* go over 3.14.* without a unit, which looks like radians", tmp_path / "c.h5")
    write_dxchange(tmp_path / "d.h5", DEGREES, "gon")
    refused("theta of .* have the unit 'gon'; expected degrees or radians", tmp_path / "d.h5")
    write_dxchange(tmp_path / "e.h5", DEGREES, "rad")
    refused("angles reach 150, which looks like degrees", tmp_path / "e.h5")
    write_dxchange(tmp_path / "f.h5", np.full(6, np.inf))
    refused("exchange/theta of .* has NaN or infinite entries", tmp_path / "f.h5")


def test_fields_of_another_size(tmp_path: Path) -> None:
    write_dxchange(tmp_path / "a.h5", data_white=FLATS[:, :3])
    refused(r"flats has shape \(3, 3, 5\); projections have \(6, 4, 5\), expected frames of 4 x 5", tmp_path / "a.h5")
    path = write_nxtomo(tmp_path / "a.nxs")
    refused(r"darks has shape \(1, 4, 4\); projections have", path, darks=np.zeros((4, 4)))
    refused(r"darks has shape \(4,\) and dtype float64; expected \(frames, rows, columns\)", path, darks=np.zeros(4))
    refused(r"flats has NaN or infinite entries", path, flats=np.full((4, 5), np.nan))
    refused(r"flats is list; expected frames, or the path of TIFF or EDF files", path, TypeError, flats=[1, 2])
    refused("flats is .*a.nxs; expected TIFF or EDF files", path, flats=path)


def test_tags_that_are_missing(tmp_path: Path) -> None:
    write_dxchange(tmp_path / "a.h5", data=None)
    refused(
        "has neither exchange/data nor .../instrument/detector/data; expected NXtomo or DXchange", tmp_path / "a.h5"
    )
    write_dxchange(tmp_path / "b.h5", data=np.zeros((4, 5)))
    refused(r"exchange/data of .* has shape \(4, 5\) and dtype float64; expected real frames", tmp_path / "b.h5")
    path = write_nxtomo(tmp_path / "a.nxs", **{"instrument/detector/image_key": np.ones(11, int)})
    refused("image_key of .* marks no frame as a projection", path)
    path = write_nxtomo(tmp_path / "b.nxs", **{"instrument/detector/image_key": np.zeros(10, int)})
    refused("image_key of .* has 10 entries; expected one for each of 11 frames", path)
    path = write_nxtomo(tmp_path / "c.nxs", **{"instrument/detector/image_key": None, "sample/rotation_angle": None})
    assert ip.read_scan(path).missing[0] == "flats"  # all frames are views then


def test_a_scan_that_ended_early(tmp_path: Path) -> None:
    """HDF5 would read the views that were not written as zeros."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("exchange/data", (6, 4, 5), "uint16", chunks=(1, 4, 5))
        data[:4] = VIEWS[:4]
    refused(
        "exchange/data of .* holds 4 of its 6 chunks; expected a scan that was written to its end", tmp_path / "a.h5"
    )


def test_tiffs_that_differ(tmp_path: Path) -> None:
    write_tiffs(tmp_path / "a", VIEWS)
    write_tiffs(tmp_path / "a", VIEWS[:1, :3], "proj_9{}.tif")
    refused(
        r"proj_95.tif has frames of 3 x 5 uint16, and .*proj_5.tif of 4 x 5 uint16; expected one size", tmp_path / "a"
    )
    write_tiffs(tmp_path / "b", VIEWS)
    write_tiffs(tmp_path / "b", VIEWS[:1].astype("float32"), "proj_9{}.tif")
    refused(r"proj_95.tif has frames of 4 x 5 float32, and .*uint16; expected one size and one dtype", tmp_path / "b")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((2, 4, 5, 3), "uint8"), photometric="rgb")
    refused("has pages RGB .* of uint8; expected grey frames", tmp_path / "c.tif")
    with tifffile.TiffWriter(tmp_path / "d.tif") as file:
        file.write(VIEWS[0])
        file.write(VIEWS[1, :2])
    refused("holds 2 images", tmp_path / "d.tif")


def test_files_that_go_while_the_scan_is_open(tmp_path: Path) -> None:
    scan = ip.read_scan(write_tiffs(tmp_path / "a", VIEWS))
    (tmp_path / "a" / "proj_7.tif").write_bytes(b"")
    with pytest.raises(ValueError, match=r"path is .*proj_7.tif, which is not a complete file of frames"):
        scan.projections[:]
    assert np.array_equal(scan.projections[:2], VIEWS[:2])


def test_geometry(tmp_path: Path) -> None:
    path = write_nxtomo(tmp_path / "a.nxs")
    refused("beam is 'fan'; expected one of 'parallel', 'cone'", path, beam="fan")
    refused("pixel_size is -1; expected a positive number", path, pixel_size=-1)
    refused("pixel_size is .*; expected two numbers", path, pixel_size=[[1, 2], [3]])
    refused(r"det_shift is 1.0; expected two numbers \(v, a\)", path, det_shift=1.0)
    refused("source_distance is 0; expected a positive number", path, source_distance=0)
    scan = ip.read_scan(path, beam="cone", pixel_size=0.1)
    with pytest.raises(ValueError, match=r"source_distance is None; the scan does not tell it, expected read_scan"):
        scan.transform()
    scan = ip.read_scan(write_tiffs(tmp_path / "b", VIEWS))
    with pytest.raises(ValueError, match=r"angles is None; the scan does not tell them"):
        scan.transform()
    for key in (3.5, "a", 6, (0, 0, 0, 0), np.s_[:, ::-1], None):
        with pytest.raises(IndexError, match=r"(index|frames) is .*; expected"):
            scan.projections[key]


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One of: cut short, a few bytes changed, a piece of it twice."""
    way = rng.integers(3)
    if way == 0:
        return data[: rng.integers(len(data))]
    changed = bytearray(data)
    if way == 1:
        for _ in range(rng.integers(1, 6)):
            changed[rng.integers(len(data))] = rng.integers(256)
    else:
        first, n = rng.integers(len(data)), rng.integers(1, 40)
        changed[first : first + n] = rng.bytes(n)
    return bytes(changed)


@pytest.mark.parametrize("kind", ["NXtomo", "DXchange", "TIFF", "packed TIFF"])
def test_damaged_files_are_one_sentence(tmp_path: Path, kind: str, rng: np.random.Generator) -> None:
    """Read whole, or refused in one sentence, whatever happened to the file; never more memory than it has."""
    path = tmp_path / ("scan.tif" if "TIFF" in kind else "scan.h5")
    if kind == "NXtomo":
        write_nxtomo(path)
    elif kind == "DXchange":
        write_dxchange(path)
    else:
        tifffile.imwrite(path, VIEWS, compression="zlib" if kind == "packed TIFF" else None)
    whole, outcomes = path.read_bytes(), {"read": 0, "refused": 0}
    for _ in range(200):
        path.write_bytes(damaged(whole, rng))
        try:
            scan = ip.read_scan(path)
            frames = scan.projections[:]
        except ValueError as err:
            assert "\n" not in str(err) and len(str(err)) < 600, err
            outcomes["refused"] += 1
        else:
            assert frames.shape == scan.shape and frames.nbytes < 2**25
            outcomes["read"] += 1
    assert min(outcomes.values()) > 20, outcomes
