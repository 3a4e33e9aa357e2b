"""Images and volumes of NIfTI, NRRD, MAT and the other formats through one door."""

from __future__ import annotations

import gzip
import sys
from itertools import permutations, product
from pathlib import Path

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

import ipbox as ip
from ipbox.io.formats.orientation import axial

VOLUME = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # (slices, rows, columns)
# of a volume (x, y, z) that counts to the left, to the back, to the head: NIfTI counts the first two the other way
LPS = np.diag([-2.0, -3.0, 5.0, 1.0])


def save_nifti(
    path: Path, array: np.ndarray, affine: np.ndarray | None = LPS, kind: type = nibabel.Nifti1Image
) -> Path:
    image = kind(array, affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


# ---------------------------------------------------------------- NIfTI


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64", "complex64"])
def test_nifti(tmp_path: Path, name: str, kind: type, dtype: str) -> None:
    path = save_nifti(tmp_path / name.lower(), VOLUME.astype(dtype).transpose(2, 1, 0), kind=kind)
    u, spacing = ip.read_image(path.rename(tmp_path / name))
    assert u.dtype == dtype and np.array_equal(u, VOLUME) and u.flags.c_contiguous
    assert spacing == pytest.approx((5.0, 3.0, 2.0))


@pytest.mark.parametrize(("order", "signs"), [*product(permutations(range(3)), product((1, -1), repeat=3))])
def test_every_orientation_is_the_same_volume(tmp_path: Path, order: tuple, signs: tuple) -> None:
    """One volume, its axes stored in any order and direction: NIfTI's affine undoes it, as nibabel does."""
    original = nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), LPS)
    image = original.as_reoriented(np.stack([order, signs], axis=1))
    image.to_filename(tmp_path / "a.nii")
    u, spacing = ip.read_image(tmp_path / "a.nii")
    assert np.array_equal(u, VOLUME) and spacing == pytest.approx((5.0, 3.0, 2.0))


def test_closest_axes_agree_with_nibabel(rng: np.random.Generator) -> None:
    for _ in range(50):
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0] * rng.uniform(0.5, 4, 3)
        code = nibabel.orientations.io_orientation(np.block([[turn, np.zeros((3, 1))], [np.zeros(3), 1]]))
        stored = rng.standard_normal((2, 3, 4))
        expected = nibabel.orientations.apply_orientation(stored, code).transpose(2, 1, 0)
        u, spacing = axial(stored, turn.T)
        # nibabel matches axes to columns one after the other, the closest first; here the sum of the cosines decides
        if (
            np.array_equal(u.shape, expected.shape)
            and sorted(np.abs(turn / np.linalg.norm(turn, axis=0)).max(0))[0] > 0.8
        ):
            assert np.array_equal(u, expected)
        assert sorted(spacing) == pytest.approx(sorted(np.linalg.norm(turn, axis=0)))


def test_dicom_and_nifti_of_one_scan_agree(tmp_path: Path) -> None:
    from tests.io.writers import write_series

    write_series(tmp_path / "series", VOLUME, step=2.5)  # pixels 0.5 x 0.75 mm, first one at (-60, -50, 10)
    affine = np.array([[-0.75, 0, 0, 60], [0, -0.5, 0, 50], [0, 0, 2.5, 10], [0, 0, 0, 1]])
    u, spacing = ip.read_image(save_nifti(tmp_path / "a.nii.gz", VOLUME.transpose(2, 1, 0), affine))
    scan = ip.read_dicom_series(tmp_path / "series")
    assert np.array_equal(u, scan.array) and spacing == pytest.approx(scan.spacing)


def test_nifti_scaling_time_units_and_two_axes(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.stack([VOLUME, -VOLUME], axis=3).transpose(2, 1, 0, 3), LPS / 1000)
    image.header.set_slope_inter(0.5, 3.0)
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "a.nii")
    u, spacing = ip.read_image(tmp_path / "a.nii")
    assert u.shape == (2, 2, 3, 4) and u.dtype == np.float32 and spacing == pytest.approx((5, 3, 2))
    assert np.array_equal(u, [0.5 * VOLUME + 3, -0.5 * VOLUME + 3])
    flat, spacing = ip.read_image(save_nifti(tmp_path / "b.nii", VOLUME[0].T))
    assert np.array_equal(flat, VOLUME[0]) and spacing == (3.0, 2.0)


def test_real_nifti() -> None:
    """nibabel's two repeats of an EPI brain scan, 24 slices of 128 x 96."""
    path = Path(nibabel.__file__).parent / "tests/data/example4d.nii.gz"
    u, spacing = ip.read_image(path)
    assert u.shape == (2, 24, 96, 128) and u.dtype == np.int16 and spacing == pytest.approx((2.2, 2, 2))
    assert 0.95 < np.corrcoef(u[0].ravel(), u[1].ravel())[0, 1] < 0.9999  # the same head, two noises


def test_nifti_that_is_refused(tmp_path: Path) -> None:
    colours = np.zeros((2, 3, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.Nifti1Image(colours, LPS).to_filename(tmp_path / "c.nii")
    refused(tmp_path / "c.nii", "has colours")
    refused(
        save_nifti(tmp_path / "t.nii", np.zeros((2, 2, 2, 1, 3))), r"has shape \(2, 2, 2, 1, 3\); expected an image"
    )
    content = bytearray(save_nifti(tmp_path / "s.nii", VOLUME).read_bytes())
    content[280:296] = bytes(16)  # srow_x: no step along x
    (tmp_path / "s.nii").write_bytes(content)
    refused(tmp_path / "s.nii", "not a complete NIfTI file of numbers .its steps between pixels are|its axes lie")
    content = bytearray(save_nifti(tmp_path / "h.nii", VOLUME.astype("float32")).read_bytes())
    content[42:44] = content[44:46] = (32000).to_bytes(2, "little")
    (tmp_path / "h.nii").write_bytes(content)
    refused(tmp_path / "h.nii", r"claims \d+ bytes of data; expected a complete file")
    (tmp_path / "l.nii").write_bytes(save_nifti(tmp_path / "m.nii", VOLUME).read_bytes() + b"\0")
    refused(tmp_path / "l.nii", "found more")


# ---------------------------------------------------------------- NRRD


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64", "float32", "float64"])
def test_nrrd(tmp_path: Path, encoding: str, dtype: str) -> None:
    header = {"encoding": encoding, "space": "left-posterior-superior", "space directions": np.diag([2.0, 3.0, 5.0])}
    nrrd.write(str(tmp_path / "a.nrrd"), VOLUME.astype(dtype), header, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert u.dtype == dtype and u.dtype.isnative and np.array_equal(u, VOLUME) and spacing == (5.0, 3.0, 2.0)


@pytest.mark.parametrize("space", ["RAS", "right-anterior-superior"])
def test_nrrd_is_turned(tmp_path: Path, space: str) -> None:
    header = {"space": space, "space directions": np.diag([2.0, 3.0, -5.0])}
    nrrd.write(str(tmp_path / "a.nrrd"), VOLUME, header, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert np.array_equal(u, VOLUME[::-1, ::-1, ::-1]) and spacing == (5.0, 3.0, 2.0)


def test_nrrd_without_space(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), VOLUME, {"spacings": [2.0, 3.0, 5.0]}, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert np.array_equal(u, VOLUME) and spacing == (5.0, 3.0, 2.0)
    nrrd.write(str(tmp_path / "b.nrrd"), VOLUME[0], index_order="C")
    u, spacing = ip.read_image(tmp_path / "b.nrrd")
    assert np.array_equal(u, VOLUME[0]) and spacing is None


def test_nrrd_axes_that_are_not_of_space_come_first(tmp_path: Path) -> None:
    """Vectors: the fastest axis of the file has no direction."""
    vectors = np.stack([VOLUME, -VOLUME], axis=-1)
    directions = np.vstack([np.full(3, np.nan), np.diag([2.0, 3.0, 5.0])])
    header = {"space": "LPS", "space directions": directions, "kinds": ["vector", "domain", "domain", "domain"]}
    nrrd.write(str(tmp_path / "a.nrrd"), vectors, header, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert np.array_equal(u, [VOLUME, -VOLUME]) and spacing == (5.0, 3.0, 2.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"sizes: 4 3 2", b"sizes: 4 3 9", "expected .* bytes|Size of the data|buffer"),
        (b"sizes: 4 3 2", b"sizes: 4 3 0", r"sizes \[4, 3, 0\]"),
        (b"sizes: 4 3 2", b"sizes: 90000 90000 90000", r"claims 1458000000000000 bytes of data"),
        (b"type: int16", b"type: block", "holds blocks of bytes"),
        (b"type: int16", b"type: int17", "not a complete .nrrd file"),
        (b"encoding: raw", b"encoding: zip", "Unsupported encoding"),
        (b"encoding: raw", b"encoding: gzip\nbyte skip: 2", "skips bytes or lines"),
        (b"encoding: raw", b"encoding: raw\ndata file: /etc/passwd", "keeps its data in another file"),
        (b"NRRD000", b"MRRD000", "not a complete .nrrd file"),
        (b"type: int16\n", b"", "has no field 'type'"),
    ],
)
def test_nrrd_that_is_refused(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), VOLUME, {"encoding": "raw"}, index_order="C")
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    refused(path, words)


# ---------------------------------------------------------------- MATLAB


def save_mat73(path: Path, array: np.ndarray, kind: str = "double", name: str = "b", **attributes: object) -> Path:
    """As MATLAB writes it: axes backwards, complex numbers as pairs, and a header of 512 bytes before the HDF5."""
    if array.dtype.kind == "c":
        pairs = np.empty(array.shape, dtype=[("real", array.real.dtype), ("imag", array.real.dtype)])
        pairs["real"], pairs["imag"] = array.real, array.imag
        array = pairs
    with h5py.File(path, "w" if not path.exists() else "a", userblock_size=512 if not path.exists() else None) as file:
        file[name] = array.T
        file[name].attrs.update({"MATLAB_class": np.bytes_(kind)} | attributes)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("version", ["4", "5", "5 packed", "7.3"])
def test_mat(tmp_path: Path, dtype: str, version: str) -> None:
    path, array = tmp_path / "a.mat", VOLUME[0].astype(dtype)
    if version == "7.3":
        save_mat73(path, array, {"float32": "single", "uint8": "uint8", "int16": "int16"}.get(dtype, "double"))
    else:
        savemat(path, {"b": array}, format=version[0], do_compression="packed" in version)
    u, spacing = ip.read_image(path)
    kind = "float64" if version == "4" and array.dtype.kind != "c" else dtype  # all numbers of MATLAB 4 are doubles
    assert u.dtype == kind and np.array_equal(u, array) and spacing is None


def test_mat_with_other_things_beside_the_array(tmp_path: Path) -> None:
    things = {"b": VOLUME, "info": {"kvp": 120.0}, "title": "a scan", "cells": np.array([1, "a"], dtype=object)}
    savemat(tmp_path / "a.mat", things)
    assert np.array_equal(ip.read_image(tmp_path / "a.mat")[0], VOLUME)  # the only array of numbers
    refused(
        tmp_path / "a.mat", "dataset is 'info'; that of .* is of class struct, expected an array of", dataset="info"
    )
    refused(tmp_path / "a.mat", "dataset is 'cells'; that of .* is of class cell", dataset="cells")
    refused(tmp_path / "a.mat", "dataset is 'c'; .* holds b, info, title, cells", dataset="c")
    savemat(tmp_path / "b.mat", {"b": VOLUME, "c": VOLUME})
    refused(tmp_path / "b.mat", r"dataset is not given; .* holds 2 arrays \(b, c\)")


def test_mat73_with_other_things(tmp_path: Path) -> None:
    path = save_mat73(tmp_path / "a.mat", VOLUME.astype(float))
    save_mat73(path, np.array([[97, 98]], dtype="u2"), "char", "title")
    save_mat73(path, np.array([[1, 0]], dtype="u1"), "logical", "mask")
    assert ip.read_image(path, "mask")[0].dtype == bool
    refused(path, "dataset is 'title'; that of .* is of class char", dataset="title")
    refused(path, r"dataset is not given; .* holds 2 arrays \(b, mask\)")


# ---------------------------------------------------------------- one door


def refused(path: Path, words: str, error: type[Exception] = ValueError, **options: object) -> None:
    with pytest.raises(error, match=words) as caught:
        ip.read_image(path, **options)
    assert "\n" not in str(caught.value)


def write(path: Path) -> Path:
    """VOLUME in the format of the suffix."""
    if path.suffix == ".npy":
        np.save(path, VOLUME)
    elif path.suffix == ".npz":
        np.savez_compressed(path, b=VOLUME)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["b"] = VOLUME
    elif path.suffix == ".mat":
        savemat(path, {"b": VOLUME}, do_compression=True)
    elif path.suffix == ".nrrd":
        nrrd.write(str(path), VOLUME, index_order="C")
    else:
        save_nifti(path, VOLUME.transpose(2, 1, 0))
    return path


NAMES = ["a.npy", "a.npz", "a.h5", "a.mat", "a.nrrd", "a.nii", "a.nii.gz"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_conversion(tmp_path: Path, name: str, dtype: str) -> None:
    path = write(tmp_path / name)
    assert np.array_equal(ip.read_image(path)[0], VOLUME)
    u, _ = ip.read_image(path, dtype=dtype)
    assert u.dtype == dtype and np.array_equal(u, VOLUME) and u.flags.c_contiguous


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [0.0, 0.02, 0.2, 0.5, 0.9, 1.0])
def test_truncated(tmp_path: Path, name: str, part: float) -> None:
    """``part`` of the file, but at least a byte less than all of it."""
    path = write(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: min(int(part * len(content)), len(content) - 1)])
    refused(path, "path is .*, which is not a complete|claims .* bytes of data")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path, name: str, place: float, byte: int) -> None:
    path = write(tmp_path / name)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] = byte
    path.write_bytes(content)
    try:
        u, _ = ip.read_image(path)
        assert u.dtype.kind in "biufc" and np.isfinite(u).all()
    except (ValueError, TypeError) as err:
        assert "\n" not in str(err)


@pytest.mark.parametrize("name", NAMES)
def test_another_format_than_the_name_says(tmp_path: Path, name: str) -> None:
    for other in NAMES:
        if other != name:
            (tmp_path / name).write_bytes(write(tmp_path / f"x{other}").read_bytes())
            refused(tmp_path / name, "not a complete")
            (tmp_path / name).unlink()


def test_paths(tmp_path: Path) -> None:
    refused(tmp_path / "a.nii", "path is .*a.nii; there is no such file", FileNotFoundError)
    refused(tmp_path, r"a folder; expected a file that ends in \.npy, .*\.nii\.gz, \.dcm")
    (tmp_path / "a.bmp").write_bytes(b"II*\0")
    refused(tmp_path / "a.bmp", r"path is .*a\.bmp; expected a file that ends in")
    for name in ("a.nii", "a.nrrd", "a.npy"):
        refused(write(tmp_path / name), "dataset is 'b'; .* holds one array without a name", dataset="b")


@pytest.mark.parametrize(
    ("array", "options", "error", "words"),
    [
        (np.array([[1.0, np.nan]]), {}, ValueError, "has NaN or infinite entries; expected finite numbers"),
        (np.array([[1.0, np.inf]]), {}, ValueError, "NaN or infinite"),
        (np.zeros(4), {}, ValueError, r"has shape \(4,\); expected an image"),
        (np.zeros((0, 4)), {}, ValueError, r"has shape \(0, 4\)"),
        (np.array([["a", "b"]]), {}, TypeError, "has dtype <U1; expected numbers"),
        (np.array([[1j, 2]]), {"dtype": "float32"}, TypeError, "complex128; expected real numbers for dtype=float32"),
        (np.array([[1e300, 2]]), {"dtype": "float32"}, ValueError, "beyond the range of float32"),
        (np.eye(2), {"dtype": "int16"}, TypeError, "dtype is int16; expected float32, float64, complex64 or"),
        (np.array([[1.0, None]], dtype=object), {}, ValueError, "allow_pickle=False"),
    ],
)
def test_unusable_arrays(tmp_path: Path, array: np.ndarray, options: dict, error: type[Exception], words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    refused(tmp_path / "a.npy", words, error, **options)


def test_hdf5_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("b", shape=(100_000, 100_000), dtype="f8", chunks=(1000, 1000))  # never written
    refused(tmp_path / "a.h5", "claims 80000000000 bytes of data")


def test_gzip_bomb(tmp_path: Path) -> None:
    """A header of a small volume before a gigabyte of zeros: no more is unpacked than the header says."""
    content = gzip.decompress(write(tmp_path / "a.nii.gz").read_bytes())
    with gzip.open(tmp_path / "a.nii.gz", "wb", compresslevel=1) as file:
        file.write(content)
        for _ in range(16):
            file.write(bytes(2**20))
    refused(tmp_path / "a.nii.gz", "found more")


@pytest.mark.parametrize(("name", "package"), [("a.nii", "nibabel"), ("a.nrrd", "nrrd")])
def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    path = write(tmp_path / name)
    monkeypatch.setitem(sys.modules, package, None)
    refused(path, rf"needs {package}, which is not installed: pip install 'ipbox\[io\]'", ImportError)
