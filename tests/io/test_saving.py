"""What `save` writes, read by the formats' own libraries and by `read_image`; what it refuses."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image

import ipbox as ip

IMAGE = np.array([[0.0, 1.5, -2.25], [7.125, 3.0, 1e3]], dtype=np.float32)
VOLUME = (np.arange(24).reshape(2, 3, 4) ** 2).astype(np.float32)
KEEP = [".npy", ".h5", ".hdf5", ".tif", ".TIFF", ".nii", ".nii.gz"]
NUMBERS = ["uint8", "int16", "uint16", "int32", "int64", "float32", "float64", "complex64", "complex128"]


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("ending", KEEP)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_values_and_dtype_are_kept(tmp_path: Path, ending: str, dtype: str) -> None:
    for x in (IMAGE.astype(np.int8).astype(dtype), VOLUME.astype(dtype)):
        x = x * dtype_one(dtype)
        ip.save(x, tmp_path / f"x{ending}")
        y, _ = ip.read_image(tmp_path / f"x{ending}")
        assert y.dtype == dtype and np.array_equal(x, y)


def dtype_one(dtype: str) -> complex | int:
    return np.dtype(dtype).type(1 + 2j) if dtype.startswith("complex") else np.dtype(dtype).type(1)


@pytest.mark.parametrize("ending", [".h5", ".tif", ".nii", ".nii.gz", ".dcm"])
@pytest.mark.parametrize(("x", "steps"), [(IMAGE, (0.5, 0.75)), (VOLUME, (2.5, 0.5, 0.75)), (VOLUME, 1.25)])
def test_spacing_comes_back(tmp_path: Path, ending: str, x: np.ndarray, steps: float | tuple) -> None:
    ip.save(x, tmp_path / f"x{ending}", spacing=steps, unit="1/mm")
    y, spacing = ip.read_image(tmp_path / f"x{ending}")
    assert spacing == pytest.approx(steps if isinstance(steps, tuple) else (steps,) * x.ndim, rel=1e-6)
    assert np.abs(y - x).max() <= (np.ptp(x) / 65535 / 2 * 1.001 if ending == ".dcm" else 0)


def test_views_other_byte_orders_and_bool(tmp_path: Path) -> None:
    for ending in (".npy", ".h5", ".tif", ".nii", ".dcm"):
        for x in (IMAGE[:, ::-1], np.asfortranarray(IMAGE), IMAGE.astype(">f4"), IMAGE.astype(np.int16)[::-1].T):
            before = x.copy()
            ip.save(x, tmp_path / f"x{ending}")
            y, _ = ip.read_image(tmp_path / f"x{ending}")
            assert y.dtype.isnative and np.allclose(y, x, atol=0.02) and np.array_equal(before, x)
        ip.save(IMAGE > 1, tmp_path / f"x{ending}")
        assert np.array_equal(ip.read_image(tmp_path / f"x{ending}")[0], IMAGE > 1)


# ---------------------------------------------------------------- what other libraries read


def test_tiff_by_pillow_and_tifffile(tmp_path: Path) -> None:
    ip.save(VOLUME, tmp_path / "x.tif", spacing=(2.5, 0.5, 0.25), unit="HU")
    with Image.open(tmp_path / "x.tif") as image:
        assert image.n_frames == 2 and image.mode == "F"
        assert float(image.tag_v2[282]) == 40 and float(image.tag_v2[283]) == 20 and image.tag_v2[296] == 3  # per cm
        image.seek(1)
        assert np.array_equal(np.asarray(image), VOLUME[1])
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert np.array_equal(file.asarray(), VOLUME) and file.shaped_metadata[0]["unit"] == "HU"


def test_hdf5_by_h5py(tmp_path: Path) -> None:
    ip.save(IMAGE, tmp_path / "x.h5", spacing=0.5, unit="1/mm", dataset="images/tv")
    with h5py.File(tmp_path / "x.h5") as file:
        node = file["images/tv"]
        assert (
            np.array_equal(node[()], IMAGE)
            and node.attrs["unit"] == "1/mm"
            and tuple(node.attrs["spacing"]) == (0.5, 0.5)
        )


def test_nifti_by_nibabel(tmp_path: Path) -> None:
    """Slices to the head, rows to the back, columns to the left, in nibabel's own orientation code."""
    ip.save(VOLUME, tmp_path / "x.nii.gz", spacing=(2.5, 0.5, 0.75), unit="1/mm")
    image = nibabel.load(tmp_path / "x.nii.gz")
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S") and image.header.get_xyzt_units()[0] == "mm"
    assert np.array_equal(np.asarray(image.dataobj), VOLUME.transpose(2, 1, 0))
    assert bytes(image.header["descrip"]).rstrip(b"\0") == b"unit 1/mm"
    centre = image.affine @ [*(np.array(image.shape) - 1) / 2, 1]
    assert np.allclose(centre, [0, 0, 0, 1])


def test_dicom_by_pydicom(tmp_path: Path) -> None:
    hu = np.array([[[-1000, 40], [3071, 0]], [[1, 2], [3, 4]]], dtype=np.int16)
    ip.save(hu, tmp_path / "x.dcm", spacing=(5.0, 0.5, 0.75), unit="HU")
    data = pydicom.dcmread(tmp_path / "x.dcm")
    assert np.array_equal(data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept), hu)
    assert [float(h) for h in data.PixelSpacing] == [0.5, 0.75] and data.RescaleType == "HU"
    positions = [g.PlanePositionSequence[0].ImagePositionPatient for g in data.PerFrameFunctionalGroupsSequence]
    assert positions == [[-0.375, -0.25, -2.5], [-0.375, -0.25, 2.5]]
    y, spacing = ip.read_image(tmp_path / "x.dcm")
    assert np.array_equal(y, hu) and spacing == (5.0, 0.5, 0.75)
    assert ip.read_dicom_series([tmp_path / "x.dcm"]).about["units"] == "HU"


@pytest.mark.parametrize(
    "x", [VOLUME * 1e-7 + 0.019, VOLUME - 1e6, np.full((2, 3, 4), 0.1), VOLUME.astype(np.int64) * 1000]
)
def test_dicom_is_exact_to_its_steps(tmp_path: Path, x: np.ndarray) -> None:
    ip.save(x, tmp_path / "x.dcm", spacing=1.0)
    data = pydicom.dcmread(tmp_path / "x.dcm")
    y = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    assert np.abs(y - x).max() <= 0.51 * np.ptp(x) / 65535 + 1e-9 * np.abs(x).max()


def test_png_by_pillow(tmp_path: Path) -> None:
    ip.save(IMAGE, tmp_path / "x.png", window=(0, 3))
    with Image.open(tmp_path / "x.png") as image:
        assert np.array_equal(np.asarray(image), [[0, 128, 0], [255, 255, 255]])
    ip.save(IMAGE, tmp_path / "x.png", window="range")
    y, spacing = ip.read_image(tmp_path / "x.png")
    assert (y.min(), y.max(), y.dtype, spacing) == (0, 255, np.uint8, None)
    ip.save(np.full((2, 3), 5.0), tmp_path / "x.png", window="range")
    assert not ip.read_image(tmp_path / "x.png")[0].any()
    for x in (np.arange(6, dtype=np.uint16).reshape(2, 3) * 10001, np.arange(24, dtype=np.uint8).reshape(3, 2, 4)):
        ip.save(x, tmp_path / "x.png")
        y, _ = ip.read_image(tmp_path / "x.png")
        assert y.dtype == x.dtype and np.array_equal(x, y)


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("x", "name", "options", "words"),
    [
        (IMAGE, "x.jpg", {}, "path is .*x.jpg; expected a file that ends in .npy"),
        (IMAGE, "x.png", {}, "window is not given; .png holds whole numbers, and x float32: expected window="),
        (IMAGE, "x.png", {"window": (1, 1)}, r"window is \(1, 1\); expected \(low, high\) with low < high"),
        (IMAGE, "x.png", {"window": (0, math.inf)}, r"window is \(0, inf\); expected \(low, high\) or 'range'"),
        (IMAGE, "x.png", {"window": "own"}, r"window is 'own'; expected \(low, high\) or 'range'"),
        (IMAGE, "x.tif", {"window": (0, 1)}, "window is .*; .tif holds the values themselves"),
        (IMAGE, "x.png", {"window": (0, 1), "spacing": 1.0}, "spacing is 1.0; .png does not hold one"),
        (IMAGE, "x.npy", {"unit": "1/mm"}, "unit is '1/mm'; .npy does not hold one"),
        (IMAGE, "x.npy", {"dataset": "y"}, "dataset is 'y'; .npy holds no names"),
        (IMAGE, "x.tif", {"spacing": (1.0, 2.0, 3.0)}, "spacing has 3 numbers for x of shape"),
        (IMAGE, "x.tif", {"spacing": 0}, "spacing is 0; expected a positive number"),
        (VOLUME, "x.dcm", {}, "spacing is not given; .dcm of several slices"),
        (VOLUME, "x.png", {"window": "range"}, r"x has shape \(2, 3, 4\); .png holds"),
        (VOLUME[None, None], "x.nii", {}, r"x has shape \(1, 1, 2, 3, 4\); .nii holds 2 to 4 axes"),
        (IMAGE[0], "x.tif", {}, r"x has shape \(3,\); .tif holds 2 or more axes"),
        (IMAGE[:0], "x.npy", {}, r"x has shape \(0, 3\)"),
        (np.where(IMAGE > 100, np.nan, IMAGE), "x.h5", {}, "x has NaN or infinite entries"),
        (IMAGE * 1j, "x.dcm", {}, r"x has dtype complex64; .dcm holds real numbers"),
        (IMAGE.astype(np.float16), "x.nii", {}, "x has dtype float16; .nii holds"),
        (IMAGE.tolist(), "x.npy", {}, "x is list; expected a NumPy or CuPy array"),
        (np.array([["a", "b"]]), "x.npy", {}, "x has dtype <U1"),
    ],
)
def test_refused_in_one_sentence(tmp_path: Path, x: object, name: str, options: dict, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        ip.save(x, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ip.save(IMAGE, tmp_path / "x.tif")
    before = (tmp_path / "x.tif").read_bytes()

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(OSError, match="cannot be written: No space left"):
        ip.save(VOLUME, tmp_path / "x.tif")
    assert (tmp_path / "x.tif").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(OSError, match="cannot be written"):
        ip.save(IMAGE, tmp_path / "none" / "x.npy")


@pytest.mark.parametrize(("name", "package"), [("x.dcm", "pydicom"), ("x.nii", "nibabel")])
def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    for known in [known for known in sys.modules if known.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, known, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}.*, which is not installed: pip install 'ipbox\[io\]'"):
        ip.save(IMAGE, tmp_path / name)


# ---------------------------------------------------------------- a series of DICOM slices


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_dicom_series(tmp_path: Path, dtype: str) -> None:
    """Whole numbers are kept, positions rise to the head, and the volume's centre is the origin."""
    x = VOLUME.astype(dtype)
    ip.save_dicom_series(x, tmp_path / "series", spacing=(2.5, 0.5, 0.75), unit="HU")
    volume = ip.read_dicom_series(tmp_path / "series")
    assert volume.spacing == (2.5, 0.5, 0.75) and volume.array.shape == x.shape
    assert np.abs(volume.array - x).max() <= (0 if dtype == "int16" else np.ptp(x) / 65535 / 2 * 1.01)
    heads = [pydicom.dcmread(file) for file in sorted((tmp_path / "series").iterdir())]
    assert [list(head.ImagePositionPatient) for head in heads] == [[-1.125, -0.5, -1.25], [-1.125, -0.5, 1.25]]
    assert len({head.SOPInstanceUID for head in heads}) == 2 and len({head.SeriesInstanceUID for head in heads}) == 1
    assert {head.RescaleType for head in heads} == {"HU"} and np.array_equal(heads[1].pixel_array.shape, (3, 4))


def test_dicom_series_that_is_refused(tmp_path: Path) -> None:
    for x, spacing, words in [
        (IMAGE, 1.0, r"x has shape \(2, 3\); expected \(slices, rows, columns\)"),
        (VOLUME, (1.0, 2.0), "spacing has 2 numbers for x of shape"),
        (VOLUME, None, "spacing is not given"),
        (VOLUME * np.nan, 1.0, "NaN"),
        (VOLUME, -1.0, "spacing is -1.0; expected a positive number"),
    ]:
        with pytest.raises(ValueError, match=words):
            ip.save_dicom_series(x, tmp_path / "a", spacing=spacing)
    with pytest.raises(ValueError, match="which exists; expected a folder that does not exist yet"):
        ip.save_dicom_series(VOLUME, tmp_path, spacing=1.0)
    with pytest.raises(OSError, match="cannot be written"):
        ip.save_dicom_series(VOLUME, tmp_path / "no" / "a", spacing=1.0)
    assert list(tmp_path.iterdir()) == []
