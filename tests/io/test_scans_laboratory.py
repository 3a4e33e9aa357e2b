"""Scans of Nikon instruments, electron microscopes (MRC) and in EDF: frames and geometry are where they were put."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

import ipbox as ip
from ipbox.io.scans.scan import Scan
from tests.io.scan_writers import DARKS, DEGREES, FLATS, VIEWS, write_edf, write_nikon, write_tiffs
from tests.io.test_scans import is_whole
from tests.io.test_scans_refused import damaged, refused

# ---------------------------------------------------------------- Nikon


def test_nikon(tmp_path: Path) -> None:
    scan = ip.read_scan(write_nikon(tmp_path, initial=10.0))
    assert scan.format == "Nikon" and is_whole(scan, np.full((1, 4, 5), 60000, np.float32), None)
    assert scan.angles == pytest.approx(-np.deg2rad(10 + DEGREES)) and scan.missing == ("darks",)
    geometry = scan.geometry
    assert (geometry.beam, geometry.magnification, geometry.pixel_size) == ("cone", 2.5, (0.4, 0.2))
    assert (geometry.source_distance, geometry.detector_distance) == (100.0, 150.0)
    assert "det_shift=(0, 0)" in repr(scan)  # not -0


def test_nikon_views_in_a_folder_of_their_own(tmp_path: Path) -> None:
    path = write_nikon(tmp_path, InputFolderName="C:\\scans\\bone")
    (tmp_path / "bone").mkdir()
    for file in tmp_path.glob("*.tif"):
        file.rename(tmp_path / "bone" / file.name)
    write_tiffs(tmp_path / "bone", 2 * VIEWS, "other_{}.tif")
    assert np.array_equal(ip.read_scan(path).projections, VIEWS)
    assert np.array_equal(ip.read_scan(tmp_path).projections, VIEWS)


@pytest.mark.parametrize("settings", [{"ObjectOffsetX": 0.3}, {"ObjectOffsetX": None, "CentreOfRotationTop": 1.5}])
def test_nikon_axis(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = settings | ({"CentreOfRotationBottom": 0.0} if "CentreOfRotationTop" in settings else {})
    shift = ip.read_scan(write_nikon(tmp_path, **settings)).geometry.det_shift
    assert shift == pytest.approx((0.0, -0.75))


def test_a_ball_of_a_nikon_scan_is_where_it_was(tmp_path: Path) -> None:
    """Its shadows drawn by similar triangles: the source at 0, the beam along y, z up, the object turning clockwise.

    Columns go to the left as seen from the source, rows down; the axis is 0.6 mm to the left of the central ray.
    """
    (X, Y, Z), offset, step, views, (rows, columns) = (2.0, -3.0, 1.2), 0.6, 4.0, 90, (16, 64)
    phi = np.deg2rad(25.0 + step * np.arange(views))[:, None, None]
    x, depth = X * np.cos(phi) + Y * np.sin(phi) - offset, 100 - X * np.sin(phi) + Y * np.cos(phi)
    row = (np.arange(rows) - (rows - 1) / 2)[:, None] * 0.8 + Z * 250 / depth
    column = (np.arange(columns) - (columns - 1) / 2) * 0.6 + x * 250 / depth
    chord = 2 * np.sqrt(np.maximum(1.2**2 - (row**2 + column**2) / 2.5**2, 0))
    counts = np.round(60000 * np.exp(-0.2 * chord)).astype(np.uint16)
    sizes = {"DetectorPixelSizeX": 0.6, "DetectorPixelSizeY": 0.8, "ObjectOffsetX": offset}
    scan = ip.read_scan(write_nikon(tmp_path, counts, 25.0, step, **sizes))
    b, _ = ip.line_integrals(scan.projections[:], 60000.0)
    A = scan.transform()
    u, _ = ip.fdk(A, b, "hann")
    hz, hy, hx = A.voxel_widths
    centre = np.array([np.average(np.arange(n), weights=np.moveaxis(u.clip(0.1) - 0.1, k, 0).sum((1, 2)))
                       for k, n in enumerate(u.shape)])  # fmt: skip
    expected = [(16 - 1) / 2 - Z / hz, (64 - 1) / 2 - Y / hy, (64 - 1) / 2 - X / hx]
    assert centre == pytest.approx(expected, abs=0.3)
    assert u.max() == pytest.approx(0.2, rel=0.15)


def test_nikon_settings_that_do_not_fit(tmp_path: Path) -> None:
    cases: dict[str, dict[str, Any]] = {
        "has no SrcToObject; expected the settings of a Nikon scan": {"SrcToObject": None},
        "has neither Projections nor SrcToObject": {"SrcToObject": None, "Projections": None},
        "SrcToDetector of .* is 'far'; expected a number": {"SrcToDetector": "far"},
        "has SrcToObject=100, SrcToDetector=50 and pixels": {"SrcToDetector": 50},
        "has Projections=7 and 6 TIFF files; expected one for each view": {"Projections": 7},
        "Projections of .* is 1e\\+30; expected a positive integer": {"Projections": 1e30},
        "says 4 x 6 pixels, and the views have 4 x 5; expected one size": {"DetectorPixelsX": 6},
        "AngularStep of .* is 0; expected the degrees": {"AngularStep": 0},
        r"path is .*\.xtekct, whose angles reach .*, which looks like degrees": {"AngularStep": 1e12},
        "InitialAngle of .* is 'nan'; expected a number": {"InitialAngle": "nan"},
    }
    for words, settings in cases.items():
        refused(words, write_nikon(tmp_path, **settings))


# ---------------------------------------------------------------- MRC


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_mrc(tmp_path: Path, dtype: str, order: str) -> None:
    views = (VIEWS / 8).astype(dtype)
    with mrcfile.new(tmp_path / "a.st") as file:
        file.set_data(views.astype(np.dtype(dtype).newbyteorder(order)))
        file.voxel_size = (2.5, 3.5, 1.0)
    (tmp_path / "a.rawtlt").write_text("\n".join(f"  {degrees:.2f}" for degrees in DEGREES - 60))
    scan = ip.read_scan(tmp_path / "a.st")
    assert scan.format == "MRC" and scan.projections.dtype == dtype and np.array_equal(scan.projections, views)
    assert np.array_equal(scan.projections[::2, 1:3, -2:], views[::2, 1:3, -2:])
    assert scan.angles == pytest.approx(np.deg2rad(DEGREES - 60))
    assert scan.geometry.pixel_size == pytest.approx((3.5e-7, 2.5e-7))
    assert scan.missing == ("flats", "darks", "det_shift")


def test_mrc_angles(tmp_path: Path) -> None:
    """Refined ones before those that the microscope was told; an .mdoc file of SerialEM."""
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(VIEWS)
    assert "angles" in ip.read_scan(tmp_path / "a.mrc").missing
    text = "".join(f"[ZValue = {k}]\nTiltAngle = {d}\nDefocus = 1\n\n" for k, d in enumerate(DEGREES))
    (tmp_path / "a.mrc.mdoc").write_text(f"PixelSpacing = 2\n{text}")
    assert ip.read_scan(tmp_path / "a.mrc").angles == pytest.approx(np.deg2rad(DEGREES))
    (tmp_path / "a.rawtlt").write_text(" ".join(map(str, DEGREES + 1)))
    assert ip.read_scan(tmp_path / "a.mrc").angles == pytest.approx(np.deg2rad(DEGREES + 1))
    (tmp_path / "a.tlt").write_text(" ".join(map(str, DEGREES[1:])))
    refused(r"a\.tlt has 5 angles; expected one for each of the 6 sections", tmp_path / "a.mrc")
    (tmp_path / "a.tlt").write_text("0 ten 20")
    refused(r"a\.tlt holds words that are no numbers; expected tilt angles in degrees", tmp_path / "a.mrc")


def test_mrc_that_claims_more_than_there_is(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(VIEWS)
    whole = (tmp_path / "a.mrc").read_bytes()
    (tmp_path / "a.mrc").write_bytes(whole[:-1])
    refused("has 1263 bytes, and 6 sections of 4 x 5 uint16 behind a header of 1024 need 1264", tmp_path / "a.mrc")
    huge = np.array([2**22, 2**22, 2**22], "<i4").tobytes() + whole[12:]
    (tmp_path / "a.mrc").write_bytes(huge)
    refused("has 1264 bytes, and 4194304 sections of .* need .*; expected a complete file", tmp_path / "a.mrc")
    (tmp_path / "a.mrc").write_bytes(whole[:12] + np.array([4], "<i4").tobytes() + whole[16:])
    refused("says mode 4 and 6 sections of 4 x 5; expected an MRC file in mode 0, 1, 2, 6 or 12", tmp_path / "a.mrc")
    (tmp_path / "a.mrc").write_bytes(b"MRC")
    refused("has 3 bytes; expected an MRC file, whose header has 1024", tmp_path / "a.mrc")


def test_mrc_of_imod_has_bytes_without_sign(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data((VIEWS % 256).astype("uint8").view("int8"))
    data = bytearray((tmp_path / "a.mrc").read_bytes())
    data[152:160] = np.array([1146047817, 0], "<i4").tobytes()
    (tmp_path / "a.mrc").write_bytes(data)
    assert np.array_equal(ip.read_scan(tmp_path / "a.mrc").projections, VIEWS % 256)


# ---------------------------------------------------------------- EDF


def write_esrf(
    folder: Path, info: str = "TOMO_N= 5\nScanRange= 150\nPixelSize= 3.5\nDistance= 30\nDARK_N= 2\n"
) -> Path:
    """A scan of 5 views over 150 degrees, one that closes it, flats before and after, darks as their sum."""
    for k, frame in enumerate(VIEWS):
        write_edf(folder / f"bone{k:04d}.edf", frame[None])
    for k, frame in enumerate(FLATS):
        write_edf(folder / f"refHST{k:04d}.edf", frame[None])
    write_edf(folder / "darkend0000.edf", DARKS[1:])
    if info:
        (folder / "bone.info").write_text(info)
    return folder


def test_edf_folder(tmp_path: Path) -> None:
    scan = ip.read_scan(write_esrf(tmp_path))
    assert scan.format == "EDF" and is_whole(scan, FLATS, DARKS[1:] / np.float32(2))
    assert scan.angles == pytest.approx(np.deg2rad(DEGREES)) and scan.missing == ("det_shift",)
    assert scan.geometry.pixel_size == (3.5e-3, 3.5e-3) and scan.geometry.detector_distance == 30
    write_edf(tmp_path / "bone0006.edf", VIEWS[:1])  # seen again at the end
    assert ip.read_scan(tmp_path).shape == (6, 4, 5) and ip.read_scan(tmp_path).about["left_out"] == 1
    (tmp_path / "bone.info").write_text("TOMO_N=9\nScanRange=180\n")
    refused("has 7 views of TOMO_N=9; expected all of them", tmp_path)
    (tmp_path / "bone.info").unlink()
    assert ip.read_scan(tmp_path).missing == ("angles", "pixel_size", "det_shift")


@pytest.mark.parametrize(
    ("order", "kind", "dtype"), [("<", "UnsignedShort", "u2"), (">", "FloatValue", "f4"), ("<", "SignedLong", "i4")]
)
def test_edf_of_many_frames(tmp_path: Path, order: str, kind: str, dtype: str) -> None:
    scan = ip.read_scan(write_edf(tmp_path / "a.edf", VIEWS.astype(dtype), order, kind))
    assert scan.projections.dtype == dtype and np.array_equal(scan.projections, VIEWS)
    assert np.array_equal(scan.projections[1:4, ::2, 1:3], VIEWS[1:4, ::2, 1:3])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_edf_as_fabio_writes_it(tmp_path: Path, dtype: str) -> None:
    edfimage = pytest.importorskip("fabio.edfimage")
    image = edfimage.EdfImage(data=VIEWS[0].astype(dtype), header={"title": "a = b"})
    for frame in VIEWS[1:]:
        image.append_frame(data=frame.astype(dtype))
    image.write(str(tmp_path / "a.edf"))
    scan = ip.read_scan(tmp_path / "a.edf")
    assert scan.projections.dtype == dtype and np.array_equal(scan.projections, VIEWS.astype(dtype))


def test_edf_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    refused("is compressed .gzip.; expected EDF data as they are", write_edf(path, VIEWS, Compression="Gzip"))
    refused("has Dim_1='-3'; expected a number of pixels", write_edf(path, VIEWS, Dim_1=-3))
    refused("has Dim_3=7; expected frames", write_edf(path, VIEWS, Dim_3=7))
    refused("has DataType='Text' and ByteOrder='LowByteFirst'", write_edf(path, VIEWS, kind="Text"))
    refused("a frame of 99999 x 5 uint16 from byte 1024 on; expected a complete", write_edf(path, VIEWS, Dim_2=99999))
    write_edf(tmp_path / "b" / "a0.edf", VIEWS), write_edf(tmp_path / "b" / "a1.edf", VIEWS[:, 1:])
    refused("has frames of 3 x 5 uint16, and others have 4 x 5 uint16; expected one size", tmp_path / "b")
    path.write_bytes(b"")
    refused("is empty; expected an EDF file", path)
    path.write_bytes(b"hello")
    refused("has no header in braces at byte 0; expected an EDF file", path)


# ---------------------------------------------------------------- damaged files


def outcome(scan: Path) -> Scan | None:
    """The scan, all of whose frames were read; None where it was refused in a sentence."""
    try:
        found = ip.read_scan(scan)
        frames = found.projections[:]
    except ValueError as err:
        assert "\n" not in str(err) and len(str(err)) < 600, err
        return None
    assert frames.shape == found.shape and frames.nbytes < 2**25
    return found


@pytest.mark.parametrize("kind", ["Nikon", "MRC", "EDF"])
def test_damaged_files_are_one_sentence(tmp_path: Path, kind: str, rng: np.random.Generator) -> None:
    path = tmp_path / {"Nikon": "bone.xtekct", "MRC": "a.mrc", "EDF": "a.edf"}[kind]
    if kind == "Nikon":
        write_nikon(tmp_path)
    elif kind == "EDF":
        write_edf(path, VIEWS)
    else:
        with mrcfile.new(path) as file:
            file.set_data(VIEWS)
    whole = path.read_bytes()
    outcomes = []
    for _ in range(300):
        path.write_bytes(damaged(whole, rng))
        outcomes.append(outcome(path) is not None)
    assert 20 < sum(outcomes) < 280
