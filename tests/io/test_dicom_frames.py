"""Enhanced DICOM: one frame or many in a file, each with its own place, size and slope; deflated files."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

import ipbox as ip
from ipbox.io.formats.dicom import read_dicom_series
from tests.io.writers import macro, uid, write_dicom, write_enhanced

FRAMES = np.arange(60, dtype="uint16").reshape(3, 4, 5)
MEASURES = {"PixelSpacing": [0.5, 0.7], "SliceThickness": 2.0}
AXIAL = {"ImageOrientationPatient": [1.0, 0, 0, 0, 1.0, 0]}
SHARED = macro(PixelMeasures=MEASURES, PlaneOrientation=AXIAL)


def at(z: float, **groups: dict[str, Any]) -> Dataset:
    return macro(PlanePosition={"ImagePositionPatient": [0.0, 0.0, z]}, **groups)


def slope(slope: Any, intercept: Any = 0.0, unit: str = "US") -> dict[str, Any]:
    scale = {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": unit}
    return {key: value for key, value in scale.items() if value is not None}


def refused(path: Path, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ip.read_image(path)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- one frame


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("tags", [{}, {"PixelSpacing": [9.0, 9.0], "RescaleSlope": 5.0, "RescaleIntercept": 1.0}])
def test_one_frame_has_its_slope_and_spacing(tmp_path: Path, each: bool, tags: dict[str, Any]) -> None:
    """In its own group or in the shared one; what is said beside them counts less."""
    groups = macro(PixelMeasures=MEASURES, PixelValueTransformation=slope(2.5, -7.0))
    shared, own = (Dataset(), groups) if each else (groups, Dataset())
    path = write_enhanced(tmp_path / "a.dcm", FRAMES[:1], shared, [own], **tags)
    u, spacing = ip.read_image(path)
    assert np.array_equal(u, FRAMES[0] * 2.5 - 7) and spacing == (0.5, 0.7)
    volume = read_dicom_series([path])
    assert volume.spacing == (2.0, 0.5, 0.7) and volume.about["units"] == "US" and volume.about["frames"] == (0,)


def test_own_groups_count_more_than_shared_ones(tmp_path: Path) -> None:
    shared = macro(PixelMeasures=MEASURES, PixelValueTransformation=slope(100.0))
    own = macro(PixelValueTransformation=slope(2.0))
    u, spacing = ip.read_image(write_enhanced(tmp_path / "a.dcm", FRAMES[:1], shared, [own]))
    assert np.array_equal(u, 2 * FRAMES[0]) and spacing == (0.5, 0.7)


# ---------------------------------------------------------------- many frames


def test_frames_out_of_order_with_a_slope_each(tmp_path: Path) -> None:
    frames = [at(z, PixelValueTransformation=slope(1.0 + z, -z)) for z in (4.0, 0.0, 2.0)]
    path = write_enhanced(tmp_path / "a.dcm", FRAMES, SHARED, frames)
    u, spacing = ip.read_image(path)
    assert np.array_equal(u, [FRAMES[1], 3 * FRAMES[2].astype(int) - 2, 5 * FRAMES[0].astype(int) - 4])
    assert spacing == (2.0, 0.5, 0.7)
    volume = read_dicom_series([path])
    assert volume.about["frames"] == (1, 2, 0) and volume.about["files"] == (path,) * 3
    assert volume.positions[:, 2].tolist() == [0, 2, 4]


def test_several_enhanced_files_are_one_series(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "a.dcm", FRAMES[:2], SHARED, [at(6.0), at(0.0)])
    write_enhanced(tmp_path / "b.dcm", FRAMES[1:], SHARED, [at(4.0), at(2.0)])
    volume = read_dicom_series(tmp_path)
    assert np.array_equal(volume.array, FRAMES[[1, 2, 1, 0]])
    assert [path.name for path in volume.about["files"]] == ["a.dcm", "b.dcm", "b.dcm", "a.dcm"]


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([at(0), at(2), at(2)], r"frame 2 of .*a\.dcm and frame 3 of a\.dcm are at the same position; expected one"),
        (
            [at(0), at(2), at(6)],
            r"slices are missing in .*: 1 between frame 2 of a\.dcm \(2 mm\) and frame 3 of a\.dcm",
        ),
        ([at(0), at(2)], "it has 3 frames and functional groups of 2"),
        ([at(0), at(2), macro()], "frame 3 of .*a.dcm has no PixelSpacing, ImageOrientationPatient or ImagePosition"),
        (
            [at(0), at(2), at(4, PixelMeasures={"PixelSpacing": [0.5, 0.5]})],
            r"frame 3 of .*a\.dcm has pixel spacing \(0\.5, 0\.5\), frame 1 of a\.dcm \(0\.5, 0\.7\); expected one",
        ),
        (
            [at(z, PixelValueTransformation=slope(1.0, 0.0, "US" if z < 4 else "HU")) for z in (0, 2, 4)],
            r"frame 3 of .*a\.dcm is in HU, frame 1 of a\.dcm in US; expected one unit",
        ),
        ([at(z, PixelValueTransformation=slope("", 0.0)) for z in (0, 2, 4)], "has RescaleSlope None and"),
        ([at(z, PixelValueTransformation=slope(None, 0.0)) for z in (0, 2, 4)], "has one of RescaleSlope and Rescale"),
    ],
)
def test_frames_that_are_refused(tmp_path: Path, frames: list[Dataset], words: str) -> None:
    refused(write_enhanced(tmp_path / "a.dcm", FRAMES, SHARED, frames), words)


def test_enhanced_ct_without_slope_and_colours(tmp_path: Path) -> None:
    frames = [at(0), at(2), at(4)]
    refused(write_enhanced(tmp_path / "a.dcm", FRAMES, SHARED, frames, Modality="CT"), "CT without RescaleSlope")
    rgb = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    refused(write_enhanced(tmp_path / "b.dcm", FRAMES, SHARED, frames, **rgb), "is a colour image")


# ---------------------------------------------------------------- other ways to say what values are


def test_dose_of_a_plan() -> None:
    """pydicom's RT dose, 15 frames: offsets along the normal, integers times DoseGridScaling."""
    import pydicom

    path = get_testdata_file("rtdose.dcm", download=False)
    volume = read_dicom_series([path])
    stored = pydicom.dcmread(path)
    assert np.allclose(volume.array, stored.pixel_array * float(stored.DoseGridScaling), rtol=1e-6)
    assert volume.spacing == (5.0, 10.0, 10.0) and volume.about["units"] == stored.DoseUnits
    assert np.allclose(volume.positions[:, 2] - stored.ImagePositionPatient[2], stored.GridFrameOffsetVector)


def real_world(slope: float, intercept: float) -> Dataset:
    item, unit = Dataset(), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "mm2/s", "UCUM", "mm2/s"
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    item.MeasurementUnitsCodeSequence = [unit]
    return item


def test_real_world_values(tmp_path: Path) -> None:
    """They count where nothing else says what values are, and where there is one kind of them."""
    group = macro(PixelMeasures=MEASURES)
    group.RealWorldValueMappingSequence = [real_world(0.5, 3.0)]
    path = write_enhanced(tmp_path / "a.dcm", FRAMES[:1], group, [Dataset()])
    assert np.array_equal(ip.read_image(path)[0], 0.5 * FRAMES[0] + 3)
    assert read_dicom_series([path]).about["units"] == "mm2/s"
    classic = {"RealWorldValueMappingSequence": [real_world(0.5, 3.0)], "Modality": "MR"}
    path = write_dicom(tmp_path / "b.dcm", FRAMES[0], rescale=None, **classic)
    assert np.array_equal(ip.read_image(path)[0], 0.5 * FRAMES[0] + 3)
    group.RealWorldValueMappingSequence = [real_world(0.5, 3.0), real_world(1.0, 0.0)]
    path = write_enhanced(tmp_path / "c.dcm", FRAMES[:1], group, [Dataset()])
    assert np.array_equal(ip.read_image(path)[0], FRAMES[0])
    assert read_dicom_series([path]).about["units"] == "stored values"


def test_parametric_map(tmp_path: Path) -> None:
    """highdicom 0.28 stores floating numbers, of which pixels have no PixelData."""
    hd = pytest.importorskip("highdicom")
    import pydicom
    from pydicom.sr.codedict import codes

    files = [write_dicom(tmp_path / f"{k}.dcm", FRAMES[k], (0, 0, 2.5 * k), SliceThickness=2.5) for k in range(3)]
    sources = [pydicom.dcmread(path) for path in files]
    for source in sources:
        source.FrameOfReferenceUID, source.AccessionNumber, source.StudyID = uid("frame"), "1", "1"
        source.PatientName = source.PatientBirthDate = source.PatientSex = source.StudyDate = source.StudyTime = None
        source.ReferringPhysicianName = source.SeriesNumber = source.InstanceNumber = None
    values = np.random.default_rng(0).standard_normal((3, 4, 5)).astype("float32")
    mapping = hd.pm.RealWorldValueMapping("1", "a map", codes.UCUM.NoUnits, (-5.0, 5.0), slope=2.0, intercept=1.0)
    window, names = [hd.VOILUTTransformation(0.0, 1.0)], ("us", "model", "1", "1")
    made = hd.pm.ParametricMap(
        sources, values, uid("s"), 1, uid("i"), 1, *names, False, [mapping], voi_lut_transformations=window
    )
    made.save_as(tmp_path / "map.dcm")
    u, spacing = ip.read_image(tmp_path / "map.dcm")
    assert np.allclose(u, 2 * values + 1, rtol=1e-6) and spacing == pytest.approx((2.5, 0.5, 0.75))


@pytest.mark.parametrize("bits", [10, 12, 15, 16])
def test_signed_numbers_of_fewer_bits(tmp_path: Path, bits: int) -> None:
    """-1 in twelve bits is 4095 in the sixteen that hold them, and what is above is no part of it."""
    numbers = np.array([[-1, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0]], dtype="int16")
    stored = (numbers.astype("uint16") & (2**bits - 1)).view("int16")
    path = write_dicom(tmp_path / "a.dcm", stored, rescale=(1.0, 0.0), BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(ip.read_image(path)[0], numbers)


# ---------------------------------------------------------------- deflated files


def test_deflated(tmp_path: Path) -> None:
    path = write_enhanced(
        tmp_path / "a.dcm", FRAMES, SHARED, [at(4.0), at(0.0), at(2.0)], syntax=DeflatedExplicitVRLittleEndian
    )
    u, spacing = ip.read_image(path)
    assert np.array_equal(u, FRAMES[[1, 2, 0]]) and spacing == (2.0, 0.5, 0.7)
    content = path.read_bytes()
    for length in (300, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:length])
        refused(path, r"a\.dcm, which is not a complete DICOM file")


@pytest.mark.parametrize("where", ["pixels", "behind"])
def test_deflated_bomb(tmp_path: Path, where: str) -> None:
    """A quarter of a gigabyte of zeros in a file of 250 kB: no more is unpacked than the header claims."""
    path = write_enhanced(tmp_path / "a.dcm", FRAMES[:1], SHARED, [at(0)], syntax=DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    inner = zlib.decompress(content[start:], -15)
    if where == "pixels":
        end = inner.rindex(b"\xe0\x7f\x10\x00OW\x00\x00") + 8
        inner = inner[:end] + (2**28).to_bytes(4, "little")
    pack = zlib.compressobj(wbits=-15)
    parts = [pack.compress(inner)] + [pack.compress(bytes(2**24)) for _ in range(16)] + [pack.flush()]
    path.write_bytes(content[:start] + b"".join(parts))
    tracemalloc.start()
    refused(path, r"unpacks to more than the \d+ bytes of pixels that it claims")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


@pytest.mark.parametrize(
    "tags", [{"Rows": 16384, "Columns": 16384}, {"NumberOfFrames": 2**24, "Rows": 16, "Columns": 1}]
)
def test_deflated_bomb_that_says_so(tmp_path: Path, tags: dict[str, int]) -> None:
    path = write_enhanced(
        tmp_path / "a.dcm", FRAMES[:1], SHARED, [at(0)], syntax=DeflatedExplicitVRLittleEndian, **tags
    )
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    pack = zlib.compressobj(wbits=-15)
    parts = [pack.compress(zlib.decompress(content[start:], -15))]
    parts += [pack.compress(bytes(2**24)) for _ in range(16)] + [pack.flush()]
    path.write_bytes(content[:start] + b"".join(parts))
    tracemalloc.start()
    refused(path, r"has \d+ bytes and claims \d+ bytes of data; expected a complete file")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_real_deflated_file() -> None:
    u, _ = ip.read_image(get_testdata_file("image_dfl.dcm", download=False))
    assert u.shape == (512, 512) and u.max() > u.min()
