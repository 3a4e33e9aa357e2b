"""Arrays of MATLAB files: version 4 to 7.2 by SciPy, 7.3 by h5py; numbers only, no cells, structs or objects."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ipbox.io.checks import Unusable, check_claim, pick

_NUMBERS = {"double", "single", "logical"} | {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}

_MATRIX, _COMPRESSED = 14, 15  # elements of a version 5 file
_STORED = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}  # types of stored numbers


def read_mat(path: Path, dataset: str | None) -> np.ndarray:
    """The array ``dataset`` of a .mat file, with MATLAB's axes in MATLAB's order; errors are those of `read_array`."""
    with open(path, "rb") as file:
        start = file.read(10)
    return (_read_73 if start == b"MATLAB 7.3" else _read_old)(path, dataset)


def _read_old(path: Path, dataset: str | None) -> np.ndarray:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        kinds = {name: (shape, kind) for name, shape, kind in whosmat(path)}
        key = _pick(path, dataset, {name: kind for name, (_, kind) in kinds.items()})
        shape, kind = kinds[key]
        check_claim(int(np.prod(shape, dtype=object)), path)  # at least one byte a number
        _check_types(path, key)
        array = loadmat(path, variable_names=[key], mat_dtype=False)[key]
    except MatReadError as err:
        raise ValueError(str(err)) from err
    if not isinstance(array, np.ndarray) or array.dtype.hasobject or array.shape != tuple(shape):
        raise Unusable(f"dataset is {key!r}; that of {path} holds no array of numbers")
    return array.astype(bool) if kind == "logical" else array


def _check_types(path: Path, key: str) -> None:
    """Refuse a version 5 array whose numbers are of a type that is none: SciPy would crash the process."""
    with open(path, "rb") as file:
        start = file.read(128)
        if 0 in start[:4]:  # version 4
            return
        order = "<" if start[126:] == b"IM" else ">"
        while tag := file.read(8):
            kind, nbytes = struct.unpack(f"{order}II", tag)
            content = file.read(nbytes)
            if kind == _COMPRESSED:
                content = zlib.decompress(content)
                kind, content = struct.unpack_from(f"{order}I", content)[0], content[8:]
            # of a matrix: flags, sizes, name, real part, imaginary part
            _, _, name, *numbers = _elements(content, order) if kind == _MATRIX else [(0, b"")] * 3
            if bytes(name[1]) == key.encode("latin1") and not {stored for stored, _ in numbers} <= _STORED:
                raise ValueError(f"its array {key!r} has numbers of an unknown type")


def _elements(content: bytes, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each; up to four bytes of data share the eight of the tag."""
    at, view = 0, memoryview(content)
    while at < len(content):
        kind, nbytes = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:
            yield kind & 0xFFFF, view[at + 4 : at + 4 + (kind >> 16)]
            at += 8
        else:
            yield kind, view[at + 8 : at + 8 + nbytes]
            at += 8 + nbytes + -nbytes % 8


def _read_73(path: Path, dataset: str | None) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        kinds = {name: _matlab_class(node) for name, node in file.items() if not name.startswith("#")}
        key = _pick(path, dataset, kinds)
        node = file[key]
        if not isinstance(node, h5py.Dataset) or node.dtype.hasobject or node.shape is None:
            raise Unusable(f"dataset is {key!r}; that of {path} holds no array of numbers")
        if node.attrs.get("MATLAB_empty", 0):  # what is stored is the shape
            return np.zeros(tuple(int(n) for n in node[()]), dtype=np.float64)
        check_claim(node.size * node.dtype.itemsize, path)
        array = node[()]
    if array.dtype.names == ("real", "imag"):
        array = (array["real"] + 1j * array["imag"]).astype(np.result_type(array.dtype["real"], np.complex64))
    elif array.dtype.names is not None:
        raise Unusable(f"dataset is {key!r}; that of {path} holds no array of numbers")
    array = np.ascontiguousarray(array.T)  # HDF5 lists MATLAB's axes backwards
    return array.astype(bool) if kinds[key] == "logical" else array


def _matlab_class(node: object) -> str:
    kind = node.attrs.get("MATLAB_class", b"unknown")
    return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)


def _pick(path: Path, dataset: str | None, kinds: dict[str, str]) -> str:
    """The array that is asked for, or the only one of numbers."""
    numbers = [name for name, kind in kinds.items() if kind in _NUMBERS]
    key = pick(path, dataset, numbers if dataset is None else list(kinds))
    if key not in numbers:
        raise Unusable(f"dataset is {key!r}; that of {path} is of class {kinds[key]}, expected an array of numbers")
    return key
