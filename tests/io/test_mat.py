"""MATLAB files: numbers in the type of their class, whatever they are stored in; only what is asked for is unpacked."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy
from scipy.io import loadmat, savemat, whosmat

import ipbox as ip
from ipbox.io.arrays import read_array

WRITTEN = Path(scipy.__file__).parent / "io/matlab/tests/data"  # by MATLAB 4.2 to 8, on Linux, Solaris and Windows
CLASSES = ["double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
DTYPES = {"double": "float64", "single": "float32"} | {name: name for name in CLASSES[2:]}
TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def variable(
    name: str, array: np.ndarray, kind: str, stored: str, order: str = "<", packed: bool = False, flags: int = 0
) -> bytes:
    """An array of MATLAB's class ``kind`` whose numbers are of the type ``stored``, as MATLAB saves room."""
    flags |= 6 + CLASSES.index(kind) | (0x800 if array.dtype.kind == "c" else 0)
    parts = [array.real, array.imag] if array.dtype.kind == "c" else [array]
    content = element(6, struct.pack(f"{order}II", flags, 0), order)
    content += element(5, np.array(array.shape, f"{order}i4").tobytes(), order) + element(1, name.encode(), order)
    for part in parts:
        content += element(TYPES[stored], part.astype(order + stored).tobytes(order="F"), order)
    content = element(14, content, order)
    if not packed:
        return content
    data = zlib.compress(content)
    return struct.pack(f"{order}II", 15, len(data)) + data


def write5(path: Path, *variables: bytes, order: str = "<") -> Path:
    version = struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + version + b"".join(variables))
    return path


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("stored", TYPES)
def test_numbers_come_in_the_type_of_their_class(tmp_path: Path, kind: str, stored: str) -> None:
    """As MATLAB 5 to 7.2 writes 0 to 59: in any type that holds them, packed or not, in either order of bytes."""
    volume = np.arange(60).reshape(3, 4, 5)
    for order, packed in product("<>", (False, True)):
        path = write5(tmp_path / "a.mat", variable("b", volume, kind, stored, order, packed), order=order)
        theirs = loadmat(path)["b"]
        ours = read_array(path)
        assert ours.dtype == DTYPES[kind] and ours.flags.c_contiguous
        assert np.array_equal(ours, volume) and np.array_equal(theirs, volume)
        assert (ours[0] - ours[1]).min() == (-20 if kind[0] != "u" else 2 ** int(kind[4:]) - 20)


@pytest.mark.parametrize(("kind", "dtype"), [("double", "complex128"), ("single", "complex64"), ("int16", "complex64")])
@pytest.mark.parametrize("stored", ["u1", "i2", "f8"])
def test_complex_numbers_are_kept(tmp_path: Path, kind: str, dtype: str, stored: str) -> None:
    """SciPy 1.17 drops the imaginary part where it is asked for MATLAB's type."""
    image = np.arange(12).reshape(3, 4) + 5j
    for packed in (False, True):
        u, _ = ip.read_image(write5(tmp_path / "a.mat", variable("b", image, kind, stored, packed=packed)))
        assert u.dtype == dtype and np.array_equal(u, image)


def test_logical(tmp_path: Path) -> None:
    mask = np.arange(12).reshape(3, 4) % 3 == 0
    for kind in ("uint8", "double"):  # the second as MATLAB 5 did
        u, _ = ip.read_image(write5(tmp_path / "a.mat", variable("b", mask, kind, "u1", flags=0x200)))
        assert u.dtype == bool and np.array_equal(u, mask)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int16", "uint16", "uint8", "complex128"])
def test_all_numbers_of_matlab_4_are_doubles(tmp_path: Path, dtype: str) -> None:
    image = np.arange(12).reshape(3, 4).astype(dtype)
    savemat(tmp_path / "a.mat", {"b": image}, format="4")
    u, _ = ip.read_image(tmp_path / "a.mat")
    assert u.dtype == ("complex128" if dtype == "complex128" else "float64") and np.array_equal(u, image)


FILES = [
    (path.name, name)
    for path in sorted(WRITTEN.glob("test*_*.mat"))
    if not any(word in path.name for word in ("hdf5", "skip", "matlabstring"))  # SciPy 1.18 cannot list its strings
    for name, _, kind in whosmat(path)
    if kind in DTYPES
]


@pytest.mark.parametrize(("file", "name"), FILES, ids=lambda value: value)
def test_files_that_matlab_wrote(file: str, name: str) -> None:
    ours, theirs = read_array(WRITTEN / file, name), loadmat(WRITTEN / file)[name]
    assert np.array_equal(ours, theirs)
    assert ours.dtype == ("float32" if "floats" in name else "complex128" if theirs.dtype.kind == "c" else "float64")


def test_there_are_files_that_matlab_wrote() -> None:
    assert len(FILES) >= 30


# ---------------------------------------------------------------- version 7.3


def test_header_of_an_old_73_file() -> None:
    """MATLAB 7.4 calls itself 7.0 there."""
    content = (WRITTEN / "testhdf5_7.4_GLNX86.mat").read_bytes()
    assert content.startswith(b"MATLAB 7.0 MAT-file") and content[512:520] == b"\x89HDF\r\n\x1a\n"
    assert np.allclose(read_array(WRITTEN / "testhdf5_7.4_GLNX86.mat"), np.arange(9)[None] * np.pi / 4)


@pytest.mark.parametrize("head", ["MATLAB 7.3 MAT-file", "MATLAB 7.0 MAT-file", "MATLAB 8.1 MAT-file"])
@pytest.mark.parametrize("kind", ["double", "single", "int32", "logical"])
@pytest.mark.parametrize("stored", ["uint8", "int16", "float64"])
def test_73(tmp_path: Path, head: str, kind: str, stored: str) -> None:
    volume = np.arange(60).reshape(3, 4, 5) % 2
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["b"] = volume.T.astype(stored)
        file["b"].attrs["MATLAB_class"] = np.bytes_(kind)
    with open(tmp_path / "a.mat", "r+b") as file:
        file.write(head.encode())
    u, _ = ip.read_image(tmp_path / "a.mat")
    assert u.dtype == DTYPES.get(kind, "bool") and np.array_equal(u, volume)


def test_hdf5_that_is_not_matlabs(tmp_path: Path) -> None:
    """Its axes may be in either order."""
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["b"] = np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"a\.mat, which is not a complete \.mat file of numbers"):
        read_array(tmp_path / "a.mat")


# ---------------------------------------------------------------- what is unpacked


def peak(path: Path, name: str | None = None) -> int:
    tracemalloc.start()
    try:
        read_array(path, name)
    except ValueError as err:
        assert "\n" not in str(err)
        raise
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2**24
    return most


def test_other_variables_stay_packed(tmp_path: Path) -> None:
    """64 MiB of zeros beside twelve numbers."""
    zeros = variable("zeros", np.zeros((2**13, 2**13), "u1"), "uint8", "u1", packed=True)
    small = variable("b", np.arange(12).reshape(3, 4), "double", "u1", packed=True)
    for order in ((zeros, small), (small, zeros)):
        peak(write5(tmp_path / "a.mat", *order), "b")
    with pytest.raises(ValueError, match=r"holds 2 arrays \(small|holds 2 arrays \(b, zeros\)"):
        peak(tmp_path / "a.mat")


def test_a_variable_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    honest = variable("b", np.zeros((2**13, 2**13), "u1"), "uint8", "u1")
    lying = honest[:32] + struct.pack("<ii", 3, 4) + honest[40:]
    data = zlib.compress(lying)
    with pytest.raises(ValueError, match=r"unpacks to more than the \d+ bytes its header claims"):
        peak(write5(tmp_path / "a.mat", struct.pack("<II", 15, len(data)) + data))


def test_checksum_of_what_is_packed(tmp_path: Path) -> None:
    content = bytearray(variable("b", np.arange(12).reshape(3, 4), "double", "f8", packed=True))
    content[-1] ^= 1
    with pytest.raises(ValueError, match="incorrect data check"):
        read_array(write5(tmp_path / "a.mat", bytes(content)))
    with pytest.raises(ValueError, match="its packed data are cut short"):
        cut = variable("b", np.arange(12).reshape(3, 4), "double", "f8", packed=True)[8:-6]
        read_array(write5(tmp_path / "b.mat", struct.pack("<II", 15, len(cut)) + cut))
