"""DICOM series: what is read, and what each bad series is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

import ipbox as ip
from ipbox.io.formats.dicom import read_dicom_series
from tests.io.writers import uid, write_dicom, write_series

HU = np.random.default_rng(0).integers(-1000, 2000, size=(5, 7, 6)).astype(np.int16)


def test_series_comes_back_in_hounsfield_units_from_the_feet_up(tmp_path: Path) -> None:
    write_series(tmp_path, HU, names=[3, 0, 4, 1, 2])
    volume = read_dicom_series(tmp_path)
    assert np.array_equal(volume.array, HU) and volume.array.dtype == np.float32
    assert volume.spacing == (2.5, 0.5, 0.75)
    assert np.array_equal(volume.positions, [[-60, -50, 10 + 2.5 * k] for k in range(5)])
    assert volume.about["units"] == "HU" and volume.about["patient"] == "P1" and volume.about["modality"] == "CT"
    assert [path.name for path in volume.about["files"]] == ["003.dcm", "000.dcm", "004.dcm", "001.dcm", "002.dcm"]


def test_list_of_files_and_rescaling(tmp_path: Path) -> None:
    """The stored values 0, 1, 2 with slope 0.5 and intercept -3."""
    files = [write_dicom(tmp_path / f"{k}", np.full((2, 3), k), (0, 0, -k), rescale=(0.5, -3.0)) for k in range(3)]
    volume = read_dicom_series(files)
    assert volume.array[:, 0, 0].tolist() == [-2.0, -2.5, -3.0]  # z = -2, -1, 0
    assert volume.spacing[0] == 1.0


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    """As in PET."""
    for k in range(2):
        write_dicom(
            tmp_path / f"{k}.dcm", np.full((2, 2), 100), (0, 0, k), rescale=(k + 1, 0), Modality="PT", Units="BQML"
        )
    volume = read_dicom_series(tmp_path)
    assert volume.array[:, 0, 0].tolist() == [100.0, 200.0] and volume.about["units"] == "BQML"


def test_mr_without_rescale_stays_as_stored(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", HU[0], rescale=None, Modality="MR", SliceThickness=4.0)
    volume = read_dicom_series(tmp_path)
    assert np.array_equal(volume.array[0], HU[0]) and volume.about["units"] == "stored values"
    assert volume.spacing == (4.0, 0.5, 0.75)


def test_oblique_slices_are_sorted_along_their_normal(tmp_path: Path) -> None:
    c, s = np.cos(0.4), np.sin(0.4)
    along, down, normal = np.array([c, s, 0]), np.array([0, 0, -1.0]), np.array([-s, c, 0])  # coronal, turned
    for k in range(4):
        where = np.array([1.0, 2.0, 3.0]) + 3 * k * normal
        write_dicom(tmp_path / f"{9 - k}.dcm", HU[k], where, ImageOrientationPatient=[*along, *down])
    volume = read_dicom_series(tmp_path)
    assert np.allclose(np.cross(along, down), normal)
    assert np.array_equal(volume.array, HU[:4] - 1024.0) and volume.spacing[0] == pytest.approx(3.0)


def test_tilted_gantry_is_read(tmp_path: Path) -> None:
    for k in range(4):
        write_dicom(tmp_path / f"{k}.dcm", HU[k], (0, 0.8 * k, 2.5 * k))
    assert read_dicom_series(tmp_path).spacing[0] == 2.5


def test_positions_rounded_to_a_tenth_are_even(tmp_path: Path) -> None:
    for k in range(5):
        write_dicom(tmp_path / f"{k}.dcm", HU[k], (0, 0, round(0.625 * k, 1)))
    assert read_dicom_series(tmp_path).spacing[0] == pytest.approx(0.625)


def test_files_beside_the_series_are_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, HU)
    (tmp_path / "069.xml").write_text("<annotation/>")
    (tmp_path / "LICENSE").write_text("terms")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "more").mkdir()
    write_series(tmp_path / "more", HU, series="other")
    assert read_dicom_series(tmp_path).array.shape == HU.shape


@pytest.mark.parametrize(
    ("name", "shape", "units", "least", "most"),
    [
        ("CT_small.dcm", (1, 128, 128), "HU", -896, 1167),
        ("MR_small.dcm", (1, 64, 64), "stored values", 127, 2145),
        ("MR_small_bigendian.dcm", (1, 64, 64), "stored values", 127, 2145),
        ("MR_small_RLE.dcm", (1, 64, 64), "stored values", 127, 2145),
    ],
)
def test_real_scans(name: str, shape: tuple[int, ...], units: str, least: float, most: float) -> None:
    volume = read_dicom_series([get_testdata_file(name, download=False)])
    assert volume.array.shape == shape and volume.about["units"] == units
    assert (volume.array.min(), volume.array.max()) == (least, most)


def test_front_door(tmp_path: Path) -> None:
    u, spacing = ip.read_image(get_testdata_file("CT_small.dcm", download=False), dtype="float64")
    assert u.shape == (128, 128) and u.dtype == np.float64 and spacing == (0.661468, 0.661468)
    write_dicom(tmp_path / "a.dcm", HU[0], PixelSpacing=None)
    assert ip.read_image(tmp_path / "a.dcm")[1] is None
    with pytest.raises(ValueError, match="dataset is 'b'; .*CT_small.dcm holds one array without a name"):
        ip.read_image(get_testdata_file("CT_small.dcm", download=False), "b")


# ---------------------------------------------------------------- bad series


def fails(source: object, words: str, series: str | None = None, error: type[Exception] = ValueError) -> None:
    with pytest.raises(error, match=words) as caught:
        read_dicom_series(source, series)
    assert "\n" not in str(caught.value)


def test_missing_slices_are_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, np.repeat(HU, 2, axis=0))
    files[3].unlink()
    fails(tmp_path, r"slices are missing in .*: 1 between 002.dcm \(15 mm\) and 004.dcm \(20 mm\)$")
    files[6].unlink()
    files[7].unlink()
    fails(tmp_path, r"1 between 002.dcm .*, 2 between 005.dcm \(22.5 mm\) and 008.dcm")


def test_one_of_four_missing(tmp_path: Path) -> None:
    write_series(tmp_path, HU[:4])[1].unlink()
    fails(tmp_path, "1 between 000.dcm .* and 002.dcm")


def test_uneven_distances(tmp_path: Path) -> None:
    for k, z in enumerate((0, 1, 2, 3.4)):
        write_dicom(tmp_path / f"{k}.dcm", HU[k], (0, 0, z))
    fails(tmp_path, "are 1 to 1.4 mm apart; expected even distances")


def test_several_series_are_listed(tmp_path: Path) -> None:
    write_series(tmp_path / "a", HU, series="thorax")
    write_series(tmp_path / "b", HU[:2], series="scout")
    for path in (tmp_path / "b").iterdir():
        path.rename(tmp_path / "a" / f"scout{path.name}")
    listed = rf"{uid('thorax')} \(CT, 5 files, thorax\).*{uid('scout')} \(CT, 2 files, scout\)"
    fails(tmp_path / "a", f"series is not given; source holds 2, expected one's UID: {listed}")
    fails(tmp_path / "a", f"series is '1.2'; source holds {listed}", "1.2")
    assert read_dicom_series(tmp_path / "a", uid("scout")).array.shape == (2, 7, 6)


@pytest.mark.parametrize(
    ("stored", "tags", "words"),
    [
        (HU[0, :5], {}, r"has size \(5, 6\), 000.dcm \(7, 6\); expected one in a series"),
        (HU[0], {"PixelSpacing": [0.5, 0.5]}, r"has pixel spacing \(0.5, 0.5\), 000.dcm \(0.5, 0.75\)"),
        (HU[0], {"ImageOrientationPatient": [1.0, 0, 0, 0, 0, -1.0]}, "has orientation .* expected one in a series"),
        (HU[0], {"ImagePositionPatient": [-60.0, -50.0, 12.5]}, "are at the same position; expected one image a slice"),
        (HU[0], {"ImagePositionPatient": [-40.0, -50.0, 22.5]}, "is shifted by .* in its plane"),
        (HU[0], {"ImagePositionPatient": None}, "has no PixelSpacing, ImageOrientationPatient or ImagePosition"),
        (HU[0], {"PixelSpacing": [0.0, 0.0]}, "has no PixelSpacing"),
        (HU[0], {"NumberOfFrames": 3}, "holds 3 frames; expected one slice a file, or the"),
        (HU[0], {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "is a colour image"),
        (HU[0], {"RescaleSlope": None, "RescaleIntercept": None}, "is a CT without RescaleSlope"),
        (HU[0], {"RescaleIntercept": None}, "has one of RescaleSlope and RescaleIntercept"),
        (HU[0], {"RescaleSlope": ""}, "has RescaleSlope None and RescaleIntercept -1024.0; expected finite numbers"),
        (HU[0], {"RescaleType": "US"}, "is in US, 000.dcm in HU; expected one unit"),
        (HU[0], {"Rows": None}, "is no image"),
        (HU[0], {"Rows": 60000, "Columns": 60000}, r"claims 7200000000 bytes of data"),
        (HU[0], {"PixelData": b"\0\0"}, "not a complete DICOM image .*less than expected"),
        (HU[0], {"PixelData": None}, "it has no pixel data"),
    ],
)
def test_a_slice_that_does_not_belong(tmp_path: Path, stored: np.ndarray, tags: dict, words: str) -> None:
    write_series(tmp_path, HU[:5])
    write_dicom(tmp_path / "005.dcm", stored + 1024, (-60, -50, 22.5), **tags)
    fails(tmp_path, words)


def test_look_up_table(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset

    write_dicom(tmp_path / "a.dcm", HU[0], rescale=None, Modality="MR", ModalityLUTSequence=[Dataset()])
    fails(tmp_path, "maps its values by a look-up table")


@pytest.mark.filterwarnings("ignore:Invalid value")  # pydicom, of what it finds of a value
@pytest.mark.parametrize("part", [0.0, 0.1, 0.3, 0.5, 0.8, 0.999])
def test_truncated_file(tmp_path: Path, part: float) -> None:
    files = write_series(tmp_path, HU)
    content = files[2].read_bytes()
    files[2].write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"002\.dcm") as caught:
        read_dicom_series(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is wrong with single values
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path, place: float, byte: int) -> None:
    content = bytearray(write_dicom(tmp_path / "a.dcm", HU[0]).read_bytes())
    content[int(place * len(content))] = byte
    (tmp_path / "a.dcm").write_bytes(content)
    try:
        read_dicom_series([tmp_path / "a.dcm"])
    except ValueError as err:
        assert "\n" not in str(err)


def test_compressed_file_that_cannot_be_decoded(tmp_path: Path) -> None:
    content = Path(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)).read_bytes()
    start = content.rindex(b"\xff\xd8\xff")
    broken = tmp_path / "a.dcm"
    broken.write_bytes(content[:start] + bytes(64) + content[start + 64 :])
    fails([broken], r"is compressed \(JPEG-LS Lossless.*, which no installed decoder could read \(")
    broken.write_bytes(content[: len(content) * 3 // 4])
    fails([broken], "not a complete DICOM image .End of file reached")


def test_files_that_are_no_images(tmp_path: Path) -> None:
    fails([get_testdata_file("rtplan.dcm", download=False)], r"is no image \(modality RTPLAN\)")
    (tmp_path / "a.dcm").write_text("some text that goes on for more than the preamble of a DICOM file " * 4)
    fails(tmp_path, "not a complete DICOM file .it has no DICOM header")
    fails([get_testdata_file("MR_truncated.dcm", download=False)], "not a complete DICOM image .*8130 vs 8192")


def test_sources(tmp_path: Path) -> None:
    fails(tmp_path / "nowhere", "source is .*nowhere; there is no such folder", error=FileNotFoundError)
    fails(tmp_path, "which holds no DICOM file$")
    (tmp_path / "series").mkdir()
    fails(tmp_path, "which holds no DICOM file; its 1 subfolders are not searched")
    fails([], "source is an empty list")
    fails([tmp_path / "a.dcm"], "source names .*a.dcm; there is no such file", error=FileNotFoundError)
    path = write_dicom(tmp_path / "a.dcm", HU[0])
    fails(path, "a.dcm, a file; expected a folder, or a list of files")


def test_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = write_dicom(tmp_path / "a.dcm", HU[0])
    monkeypatch.setitem(sys.modules, "pydicom", None)
    fails([path], r"reading DICOM files needs pydicom.*pip install 'ipbox\[io\]'", error=ImportError)
