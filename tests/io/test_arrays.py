"""Sinograms from files: what is read, and what each bad file is told."""

from __future__ import annotations

from pathlib import Path

import h5py
import nrrd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from ipbox.io.arrays import read_array, read_sinogram

SINOGRAM = np.arange(12, dtype="float32").reshape(3, 4) + 0.5
SUFFIXES = [".npy", ".npz", ".h5", ".mat", ".nrrd"]


def save(path: Path, **arrays: np.ndarray) -> Path:
    """Arrays by name in the format of the suffix (.npy and .nrrd: the only one)."""
    if path.suffix == ".npy":
        np.save(path, *arrays.values())
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".mat":
        savemat(path, arrays)
    elif path.suffix == ".nrrd":
        nrrd.write(str(path), *arrays.values(), index_order="C")
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", ">f8"])
def test_reads_floating_data_as_they_are(tmp_path: Path, suffix: str, dtype: str) -> None:
    b = read_sinogram(save(tmp_path / f"b{suffix}", b=SINOGRAM.astype(dtype)))
    assert b.dtype == np.dtype(dtype).newbyteorder("=") and b.dtype.isnative
    assert np.array_equal(b, SINOGRAM) and b.flags.c_contiguous


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_integers_are_converted_only_on_demand(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"b{suffix}", b=SINOGRAM.astype("uint16"))
    with pytest.raises(TypeError, match=r"^FILE .* has .* \(dtype=float32 converts them, .* --dtype float32\)$"):
        read_sinogram(path, name="FILE")
    b = read_sinogram(path, dtype="float32")
    assert b.dtype == np.float32 and np.array_equal(b, SINOGRAM.astype("uint16"))


def test_transpose(tmp_path: Path) -> None:
    b = read_sinogram(save(tmp_path / "b.npy", b=SINOGRAM), transpose=True)
    assert np.array_equal(b, SINOGRAM.T) and b.flags.c_contiguous
    np.save(tmp_path / "f.npy", np.asfortranarray(SINOGRAM))
    assert np.array_equal(read_sinogram(tmp_path / "f.npy"), SINOGRAM)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_one_of_several_arrays(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"scan{suffix}", b=SINOGRAM, angles=np.arange(3))
    assert np.array_equal(read_sinogram(path, "b"), SINOGRAM)
    assert np.array_equal(read_array(path, "angles"), np.arange(3))
    with pytest.raises(ValueError, match=r"dataset is not given; .* holds 2 arrays \((b, angles|angles, b)\)"):
        read_sinogram(path)
    with pytest.raises(ValueError, match=r"dataset is 'c'; .* holds (b, angles|angles, b)"):
        read_sinogram(path, "c")


def test_hdf5_data_in_other_files(tmp_path: Path) -> None:
    big = np.ones((2, 1100, 1000))  # more than a file of links alone may claim
    save(tmp_path / "raw.h5", b=big)
    layout = h5py.VirtualLayout(big.shape, big.dtype)
    for k in range(2):
        layout[k] = h5py.VirtualSource("raw.h5", "b", shape=big.shape)[k]
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file["link"] = h5py.ExternalLink("raw.h5", "/b")
        file.create_virtual_dataset("virtual", layout)
    for name in ("link", "virtual"):
        assert np.array_equal(read_array(tmp_path / "scan.nxs", name), big)
    save(tmp_path / "raw.h5", c=big)
    with pytest.raises(ValueError, match=r"/virtual of .* has its data in .*raw\.h5, which has no dataset b"):
        read_array(tmp_path / "scan.nxs", "virtual")
    (tmp_path / "raw.h5").unlink()
    with pytest.raises(ValueError, match=r"/virtual of .* has its data in .*raw\.h5; there is no such file"):
        read_array(tmp_path / "scan.nxs", "virtual")


def test_hdf5_groups_and_links(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file["entry/data/b"] = SINOGRAM
        file["entry/link"] = h5py.SoftLink("/entry/data/b")
        file["entry/broken"] = h5py.SoftLink("/nowhere")
        file["entry/title"] = "a scan"
    for name in ("entry/data/b", "/entry/data/b", "entry/link"):
        assert np.array_equal(read_sinogram(tmp_path / "scan.nxs", name), SINOGRAM)
    for name in ("entry/broken", "entry/data"):  # a link to nowhere, a group
        with pytest.raises(ValueError, match=f"dataset is '{name}'; .* holds entry/data/b"):
            read_sinogram(tmp_path / "scan.nxs", name)
    with pytest.raises(ValueError, match=r"'/entry/title'; that of .* holds no array of numbers"):
        read_sinogram(tmp_path / "scan.nxs", "entry/title")


def test_npy_has_no_datasets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset is 'b'; .* holds one array without a name"):
        read_sinogram(save(tmp_path / "b.npy", b=SINOGRAM), "b")


# ---------------------------------------------------------------- bad files


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"^FILE is .*b\..*; there is no such file$"):
        read_sinogram(tmp_path / f"b{suffix}", name="FILE")


def test_folder_and_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a folder; expected a file that ends in \.npy"):
        read_sinogram(tmp_path)
    (tmp_path / "b.bmp").write_bytes(b"II*\0")
    with pytest.raises(ValueError, match=r"path is .*b\.bmp; expected a file that ends in \.npy, \.npz, \.h5"):
        read_sinogram(tmp_path / "b.bmp")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"this is some text\n", b"\x89PNG\r\n\x1a\n"])
def test_other_content_than_the_name_says(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"b{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"FILE is .*, which is not a complete .* file of numbers") as caught:
        read_sinogram(path, name="FILE")
    assert "\n" not in str(caught.value)


def test_a_name_for_another_format(tmp_path: Path) -> None:
    save(tmp_path / "b.npy", b=SINOGRAM).rename(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"not a complete \.npz file"):
        read_sinogram(tmp_path / "b.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_file(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"b{suffix}", b=np.ones((40, 50), "float32"))
    content = path.read_bytes()
    for length in (1, len(content) // 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="FILE is .*, which is not a complete"):
            read_sinogram(path, name="FILE")


@pytest.mark.parametrize("byte", [0, 8, 14, 16, 20, 255])
def test_mat_file_with_numbers_of_no_type(tmp_path: Path, byte: int) -> None:  # on which SciPy alone crashes
    path = save(tmp_path / "b.mat", b=SINOGRAM)
    content = bytearray(path.read_bytes())
    assert content[176] == 7  # float32
    content[176] = byte
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="not a complete .mat file of numbers .its array 'b' has numbers of an unknown"
    ):
        read_sinogram(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path, suffix: str, place: float, byte: int) -> None:
    path = save(tmp_path / f"b{suffix}", b=SINOGRAM)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] = byte
    path.write_bytes(content)
    try:
        read_sinogram(path)
    except (ValueError, TypeError) as err:
        assert "\n" not in str(err) and type(err) in (ValueError, TypeError)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickles_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"b{suffix}"
    objects = np.array([[1.0, None]], dtype=object)
    np.save(path, objects) if suffix == ".npy" else np.savez(path, b=objects)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_sinogram(path)


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.zeros(4), ValueError, r"has shape \(4,\); expected a sinogram \(angles, detector pixels\)"),
        (np.zeros((2, 3, 4)), ValueError, r"has shape \(2, 3, 4\)"),
        (np.zeros((0, 4)), ValueError, r"has shape \(0, 4\)"),
        (np.array([[1.0, np.nan]]), ValueError, "NaN or infinite"),
        (np.array([[1.0, np.inf]]), ValueError, "NaN or infinite"),
        (np.zeros((2, 2), "complex64"), TypeError, "dtype complex64"),
        (np.zeros((2, 2), "bool"), TypeError, "dtype bool"),
        (np.zeros((2, 2), "float16"), TypeError, r"dtype float16; .*dtype=float32 converts"),
        (np.array([["a", "b"]]), TypeError, "dtype <U1"),
    ],
)
def test_unusable_arrays(tmp_path: Path, array: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"^FILE .*b.npy .*{words}"):
        read_sinogram(save(tmp_path / "b.npy", b=array), name="FILE")


def test_conversion_never_loses_more_than_digits(tmp_path: Path) -> None:
    path = save(tmp_path / "b.npy", b=np.array([[1e300]]))
    with pytest.raises(ValueError, match="beyond the range of float32"):
        read_sinogram(path, dtype="float32")
    with pytest.raises(TypeError, match="dtype is int32; expected float32 or float64"):
        read_sinogram(path, dtype="int32")
    with pytest.raises(TypeError, match="dtype complex64"):
        read_sinogram(save(tmp_path / "c.npy", b=np.zeros((2, 2), "complex64")), dtype="float32")
