"""Raw scans: every part of them is where the writer put it, and is read without the rest."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

import ipbox as ip
from ipbox.io.scans.scan import Scan
from tests.io.scan_writers import DARKS, DEGREES, FLATS, VIEWS, write_dxchange, write_nxtomo, write_tiffs

MM = {"instrument/detector/x_pixel_size": "um", "instrument/detector/y_pixel_size": "um"}
MM |= {"instrument/detector/distance": "m", "instrument/source/distance": "m"}


def is_whole(scan: Scan, flats: Any = FLATS, darks: Any = DARKS) -> bool:
    """Whether all frames are those of the writers, and any part that of NumPy."""
    for frames, expected in ((scan.projections, VIEWS), (scan.flats, flats), (scan.darks, darks)):
        if expected is None:
            assert frames is None
            continue
        assert frames is not None and frames.shape == expected.shape and frames.dtype == expected.dtype
        for key in (*np.s_[:, 0, ::2, -1, 1:2, ::-1, [-1, 0]], np.s_[:, 1:3], np.s_[0, 2, 1:4], np.s_[-1, :, ::2]):
            assert np.array_equal(frames[key], expected[key]), key
        every = np.s_[:, 1::2, :3]
        part = frames.part(slice(None, None, -1), *every[1:])
        assert np.array_equal(part, expected[::-1][every]) and np.array_equal(part[1:, 0], expected[::-1][every][1:, 0])
    return True


def test_nxtomo(tmp_path: Path) -> None:
    path = write_nxtomo(tmp_path / "scan.nxs")
    scan = ip.read_scan(path)
    assert scan.format == "NXtomo" and is_whole(scan)
    assert scan.angles == pytest.approx(np.deg2rad(DEGREES))
    assert scan.missing == ("pixel_size", "det_shift") and scan.geometry.beam == "parallel"
    assert repr(scan).startswith("NXtomo scan: 6 views of 4 x 5 uint16, 3 flats, 2 darks, angles over 150 degrees")


def test_nxtomo_geometry(tmp_path: Path) -> None:
    """A laboratory's cone, and the same numbers at a synchrotron, whose source is far away."""
    sizes = {"instrument/detector/x_pixel_size": 200.0, "instrument/detector/y_pixel_size": 100.0}
    lab = {"instrument/source/distance": -0.0004, "instrument/detector/distance": 0.0006}
    axis = {"instrument/detector/x_rotation_axis_pixel_position": 0.5}
    geometry = ip.read_scan(write_nxtomo(tmp_path / "a.nxs", units=MM, **sizes | lab | axis)).geometry
    assert geometry.beam == "cone" and geometry.pixel_size == pytest.approx((0.1, 0.2))
    assert (geometry.source_distance, geometry.detector_distance) == pytest.approx((0.4, 0.6))
    assert geometry.det_shift == pytest.approx((0.0, -0.1)) and geometry.magnification == pytest.approx(2.5)
    far = {"instrument/source/distance": -145.0, "instrument/detector/distance": 0.6, "sample/x_pixel_size": 1e-6}
    units = MM | {"sample/x_pixel_size": "m"}
    geometry = ip.read_scan(write_nxtomo(tmp_path / "b.nxs", units=units, **sizes | far)).geometry
    assert geometry.beam == "parallel" and geometry.pixel_size == pytest.approx((1e-3, 1e-3))
    unitless = ip.read_scan(write_nxtomo(tmp_path / "c.nxs", **sizes | lab))
    assert unitless.geometry.pixel_size is None and unitless.geometry.beam == "parallel"


def test_nxtomo_views_of_alignment_are_left_out(tmp_path: Path) -> None:
    """image_key_control has -1 where image_key has 0, and 3 is a frame that is not valid."""
    key = np.zeros(6, int)
    numbers = {"instrument/detector/image_key": key, "instrument/detector/image_key_control": [0, 0, 3, 0, -1, -1]}
    scan = ip.read_scan(write_nxtomo(tmp_path / "a.nxs", flats=None, darks=None, **numbers))
    assert scan.shape == (3, 4, 5) and np.array_equal(scan.projections, VIEWS[[0, 1, 3]])
    assert scan.angles == pytest.approx(np.deg2rad(DEGREES[[0, 1, 3]])) and scan.about["left_out"] == 3


def test_nxtomo_in_a_group_of_the_entry_and_in_several(tmp_path: Path) -> None:
    path = write_nxtomo(tmp_path / "a.nxs", entry="entry1/tomo_entry")
    assert is_whole(ip.read_scan(path))
    write_nxtomo(path, 2 * VIEWS, entry="entry2")
    with pytest.raises(ValueError, match=r"has scans in entry1/tomo_entry, entry2; expected entry= with one of them"):
        ip.read_scan(path)
    assert np.array_equal(ip.read_scan(path, entry="entry2").projections, 2 * VIEWS)
    with pytest.raises(ValueError, match=r"entry is 'entry3'; .* has a scan in entry1/tomo_entry, entry2"):
        ip.read_scan(path, entry="entry3")


def test_nxtomo_of_linked_frames(tmp_path: Path) -> None:
    """As detectors write them: the frames in a file of their own, which a virtual dataset names."""
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["data"] = VIEWS
    layout = h5py.VirtualLayout(VIEWS.shape, VIEWS.dtype)
    layout[:] = h5py.VirtualSource("frames.h5", "data", VIEWS.shape)
    path = write_nxtomo(tmp_path / "a.nxs", flats=None, darks=None)
    with h5py.File(path, "a") as file:
        del file["entry/instrument/detector/data"]
        file["entry/instrument/detector"].create_virtual_dataset("data", layout)
    assert is_whole(ip.read_scan(path), None, None)
    (tmp_path / "frames.h5").unlink()
    with pytest.raises(ValueError, match=r"has its data in .*frames\.h5; there is no such file"):
        ip.read_scan(path)


@pytest.mark.parametrize(("theta", "units"), [(DEGREES, None), (DEGREES, "deg"), (np.deg2rad(DEGREES), "radians")])
def test_dxchange(tmp_path: Path, theta: np.ndarray, units: str | None) -> None:
    scan = ip.read_scan(write_dxchange(tmp_path / "scan.h5", theta, units))
    assert scan.format == "DXchange" and is_whole(scan)
    assert scan.angles == pytest.approx(np.deg2rad(DEGREES)) and scan.missing == ("pixel_size", "det_shift")


def test_what_does_not_fit_within_a_file_names_it_and_can_be_given(tmp_path: Path) -> None:
    path = write_dxchange(tmp_path / "scan.h5", DEGREES[:2])
    with pytest.raises(
        ValueError, match=r"path is .*scan\.h5, whose angles has 2 entries; expected one for each of the"
    ):
        ip.read_scan(path)
    assert ip.read_scan(path, angles=np.deg2rad(DEGREES)).angles.size == len(VIEWS)
    with pytest.raises(ValueError, match="^angles has 3 entries"):
        ip.read_scan(path, angles=np.zeros(3))


def test_dxchange_sizes(tmp_path: Path) -> None:
    path = write_dxchange(tmp_path / "scan.h5", data_dark=None)
    with h5py.File(path, "a") as file:
        for name, value in (("detector/pixel_size_x", 6.5), ("detection_system/objective/magnification", 5.0)):
            file[f"measurement/instrument/{name}"] = value
        file["measurement/instrument/detector/pixel_size_x"].attrs["units"] = "micron"
    scan = ip.read_scan(path)
    assert scan.darks is None and scan.geometry.pixel_size == pytest.approx((1.3e-3, 1.3e-3))


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"rowsperstrip": 1}])
def test_tiff_folder(tmp_path: Path, options: dict[str, Any]) -> None:
    """View 10 after view 9; flats in a folder of their own, darks told by the names of their files."""
    write_tiffs(tmp_path, VIEWS, **options)
    write_tiffs(tmp_path / "flats", FLATS, "{}.tif", **options)
    write_tiffs(tmp_path, DARKS, "dark_{}.tif", **options)
    scan = ip.read_scan(tmp_path, angles=np.deg2rad(DEGREES))
    assert scan.format == "TIFF" and is_whole(scan)
    assert scan.missing == ("pixel_size", "det_shift")


@pytest.mark.parametrize(
    "options", [{}, {"metadata": None}, {"imagej": True}, {"compression": "zlib"}, {"bigtiff": True}]
)
def test_tiff_of_many_pages(tmp_path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", VIEWS, photometric="minisblack", **options)
    tifffile.imwrite(tmp_path / "open.tif", FLATS, photometric="minisblack", **options)
    scan = ip.read_scan(tmp_path / "scan.tif", flats=tmp_path / "open.tif", darks=DARKS)
    assert is_whole(scan) and scan.missing == ("angles", "pixel_size", "det_shift")


def test_orders_of_bytes_may_differ(tmp_path: Path) -> None:
    write_tiffs(tmp_path, VIEWS[:3])
    write_tiffs(tmp_path, VIEWS[3:], "proj_1{}.tif", byteorder=">")
    assert np.array_equal(ip.read_scan(tmp_path).projections, VIEWS)


def test_a_part_of_a_scan(tmp_path: Path) -> None:
    """Angles follow the views, the panel's shift its rows and columns."""
    scan = ip.read_scan(write_nxtomo(tmp_path / "a.nxs"), pixel_size=(0.1, 0.2), det_shift=(1.0, 2.0))
    part = scan.part(slice(1, None, 2), slice(1, 3), slice(2, None))
    assert np.array_equal(part.projections, VIEWS[1::2, 1:3, 2:])
    assert part.flats is not None and np.array_equal(part.flats, FLATS[:, 1:3, 2:])
    assert part.angles == pytest.approx(np.deg2rad(DEGREES[1::2]))
    assert part.geometry.det_shift == pytest.approx((1.0, 2.0 + 0.2))  # columns 2, 3, 4 of 0 to 4
    with pytest.raises(ValueError, match=r"the part has shape \(6, 0, 5\); expected views, rows and columns"):
        scan.part(rows=slice(4, None))


def test_views_of_a_part_in_any_order(tmp_path: Path) -> None:
    """From the last to the first, and by their numbers, from HDF5 and TIFF; when they were taken follows."""
    nexus = ip.read_scan(write_nxtomo(tmp_path / "a.nxs"))
    tiffs = ip.read_scan(write_tiffs(tmp_path / "b", VIEWS), angles=np.deg2rad(DEGREES))
    for scan in (nexus, tiffs):
        for views in (slice(None, None, -1), [4, 0, 3], slice(4, 0, -2)):
            part = scan.part(views=views)
            numbers = np.arange(6)[views]
            assert np.array_equal(part.projections, VIEWS[numbers])
            assert part.angles == pytest.approx(np.deg2rad(DEGREES[numbers]))
    at = nexus.about["views_at"]
    assert nexus.part(views=[4, 0]).about["views_at"] == [at[4], at[0]] and len(at) == 6


def test_positions_of_a_part_are_those_of_the_whole(tmp_path: Path) -> None:
    """The rays that are left pass where they did."""
    scan = ip.read_scan(
        write_nxtomo(tmp_path / "a.nxs"),
        beam="cone",
        pixel_size=(0.1, 0.2),
        source_distance=10,
        detector_distance=5,
        det_shift=(0.3, -0.4),
    )
    v, a = scan.transform().positions()
    part_v, part_a = scan.part(rows=slice(1, None), columns=slice(0, None, 2)).transform().positions()
    assert part_v == pytest.approx(v[1:]) and part_a == pytest.approx(a[::2])


@pytest.mark.parametrize("kind", ["NXtomo", "TIFF"])
def test_a_slab_is_read_without_the_rest(tmp_path: Path, kind: str) -> None:
    views = np.zeros((40, 256, 256), np.uint16)
    if kind == "NXtomo":
        scan = ip.read_scan(write_nxtomo(tmp_path / "a.nxs", views, np.arange(40.0), None, None))
    else:
        tifffile.imwrite(tmp_path / "a.tif", views)
        scan = ip.read_scan(tmp_path / "a.tif")
    scan.projections[0]  # imports
    tracemalloc.start()
    scan.projections[:, 8:16]
    slab = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert slab < 0.25 * views.nbytes  # 1/32 is asked for


def test_slices_come_out_where_they_are(tmp_path: Path) -> None:
    """An asymmetric object comes back unmirrored from FBP; its projections at 0 and 90 degrees are its sums."""
    truth = np.zeros((3, 33, 33))
    truth[0, 6:10, 20:24] = 1.0  # in the upper right
    truth[1, 24:27, 12:16] = 2.0
    truth[2, 16:17, 3:6] = 3.0
    degrees = np.arange(0, 180, 3.0)
    A = ip.RayTransform((33, 33), np.deg2rad(degrees), 33, dtype="float64")
    p = np.stack([A.apply(u) for u in truth], axis=1)  # (views, rows, columns)
    assert np.allclose(p[0], truth.sum(axis=1), atol=0.2) and np.allclose(p[30], truth.sum(axis=2)[:, ::-1], atol=0.2)
    counts = np.round(6e4 * np.exp(-0.02 * p)).astype(np.uint16)
    flats = np.full((1, 3, 33), 60000, np.uint16)
    scan = ip.read_scan(write_nxtomo(tmp_path / "a.nxs", counts, degrees, flats, None), pixel_size=1.0)
    b, _ = ip.line_integrals(scan.projections[:].swapaxes(0, 1), 6e4)
    x, _ = ip.fbp(scan.transform(), b, "hann")
    for u, v in zip(x, truth, strict=True):
        assert np.unravel_index(u.argmax(), u.shape) == pytest.approx(np.argwhere(v > 0).mean(axis=0), abs=1.6)
