"""Arrays of MATLAB files: version 5 to 7.2, version 4 by SciPy, 7.3 by h5py; numbers only, no cells or structs.

MATLAB stores numbers in the smallest type that holds them; what they are is told by their class.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.checks import counted
from ipbox.io.checks import Unusable, check_claim, pick
from ipbox.io.hdf5 import datasets
from ipbox.io.hdf5.opened import opened

_DTYPES = {"double": "f8", "single": "f4", "logical": "b1"}
_DTYPES |= {f"{u}int{8 * n}": f"{u or 'i'}{n}" for u in ("", "u") for n in (1, 2, 4, 8)}

# of a version 5 file: elements, types of stored numbers, classes of arrays
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES: tuple[str, ...] = ("", "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8")
_CLASSES += ("int16", "uint16", "int32", "uint32", "int64", "uint64", "function", "opaque")
_COMPLEX, _LOGICAL = 0x800, 0x200  # flags
_ITEM_4 = {"0": 8, "1": 4, "2": 4, "3": 2, "4": 2, "5": 1}  # bytes of a number, by the third digit of a version 4 type
_HEAD = 4096  # bytes in which an array says its name, class and shape


def read_mat(path: Path, dataset: str | None) -> np.ndarray:
    """The array ``dataset`` of a .mat file, with MATLAB's axes in MATLAB's order; errors are those of `read_array`."""
    import h5py

    with open(path, "rb") as file:
        start = file.read(6)
    if start == b"MATLAB" and h5py.is_hdf5(path):  # 7.3, whatever release the header names
        return _read_73(path, dataset)
    return (_read_4 if 0 in start[:4] else _read_5)(path, dataset)


# ---------------------------------------------------------------- version 4


def _read_4(path: Path, dataset: str | None) -> np.ndarray:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    _check_4(path)
    try:
        kinds = {name: (shape, kind) for name, shape, kind in whosmat(path)}
        key = _pick(path, dataset, {name: kind for name, (_, kind) in kinds.items()})
        shape, kind = kinds[key]
        check_claim(int(np.prod(shape, dtype=object)), path)  # at least one byte a number
        array = loadmat(path, variable_names=[key], mat_dtype=False)[key]
    except MatReadError as err:
        raise ValueError(str(err)) from err
    if not isinstance(array, np.ndarray) or array.dtype.hasobject or array.shape != tuple(shape):
        raise Unusable(f"dataset is {key!r}; that of {path} holds no array of numbers")
    return _of_class(array, kind)


def _check_4(path: Path) -> None:
    """All arrays are there: SciPy takes memory for what their headers claim."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        while head := file.read(20):
            order = "<" if len(head) == 20 and 0 <= struct.unpack("<i", head[:4])[0] < 5000 else ">"
            kind, rows, columns, is_complex, name = struct.unpack(f"{order}5i", head)
            digits = f"{kind:04d}"
            if len(digits) != 4 or digits[2] not in _ITEM_4 or min(kind, rows, columns, name) < 0:
                raise ValueError("it has no header of an array of version 4")
            end = file.tell() + name + rows * columns * _ITEM_4[digits[2]] * (1 + (is_complex == 1))
            if end > size:
                raise EOFError(f"it ends before byte {end}")
            file.seek(end)


# ---------------------------------------------------------------- versions 5 to 7.2


@dataclass(frozen=True)
class _Variable:
    """Where an array is in the file, and what its first bytes say; its numbers begin at ``head``."""

    name: str
    kind: str
    shape: tuple[int, ...]
    is_complex: bool
    head: int
    start: int
    nbytes: int
    packed: bool


@dataclass(frozen=True)
class _Element:
    kind: int
    data: memoryview
    end: int


def _read_5(path: Path, dataset: str | None) -> np.ndarray:
    """Only the array that is asked for is unpacked, and of it no more than its header claims."""
    found: dict[str, _Variable] = {}
    with open(path, "rb") as file:
        start = file.read(128)
        order = {b"IM": "<", b"MI": ">"}.get(start[126:])
        if order is None:
            raise ValueError("it has no header of a .mat file")
        while tag := file.read(8):
            kind, nbytes = struct.unpack(f"{order}II", tag)
            at = file.tell()
            if at + nbytes > path.stat().st_size:
                raise EOFError(f"it ends before byte {at + nbytes}")
            if kind in (_MATRIX, _COMPRESSED):
                variable = _variable(file.read(min(nbytes, _HEAD)), order, at, nbytes, kind == _COMPRESSED)
                found |= {variable.name: variable} if variable.name else {}
            file.seek(at + nbytes)
        key = _pick(path, dataset, {name: variable.kind for name, variable in found.items()})
        of = found[key]
        file.seek(of.start)
        content = file.read(of.nbytes)
    count = int(np.prod(of.shape, dtype=object))
    if len(of.shape) < 2 or min(of.shape) < 0:
        raise ValueError(f"its array {key!r} has shape {of.shape}")
    check_claim(count, path)
    if of.packed:
        content = _unpacked(content, of.head + (1 + of.is_complex) * (8 * count + 16))
    parts = [_numbers(part, count, order, key) for part in _elements(content, order, of.head)]
    if len(parts) != 1 + of.is_complex:
        raise ValueError(f"its array {key!r} has {counted(len(parts), 'part')}; expected {1 + of.is_complex}")
    array = parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1].astype(np.float64)
    return _of_class(array.reshape(of.shape, order="F"), of.kind)


def _variable(head: bytes, order: str, at: int, nbytes: int, packed: bool) -> _Variable:
    """What the first bytes of an array say."""
    if packed:
        head = zlib.decompressobj().decompress(head, _HEAD)
    parts = _elements(head, order, 8 if packed else 0)  # what is packed begins with a tag
    flags = struct.unpack_from(f"{order}I", next(parts).data)[0]
    kind = _CLASSES[flags & 0xFF] if flags & 0xFF < len(_CLASSES) else "unknown"
    shape = () if kind == "opaque" else np.frombuffer(next(parts).data, f"{order}i4").tolist()
    name = next(parts)
    if flags & _LOGICAL and kind in _DTYPES:
        kind = "logical"
    text = bytes(name.data).decode("utf-8", "replace")
    return _Variable(text, kind, tuple(shape), bool(flags & _COMPLEX), name.end, at, nbytes, packed)


def _elements(content: bytes, order: str, at: int) -> Iterator[_Element]:
    """What is stored from ``at`` on; up to four bytes of data share the eight of the tag."""
    view = memoryview(content)
    while at < len(content):
        kind, nbytes = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:
            kind, nbytes, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start, end = at + 8, at + 8 + nbytes + -nbytes % 8
        if start + nbytes > len(content):
            raise EOFError(f"it ends before byte {start + nbytes} of an array")
        yield _Element(kind, view[start : start + nbytes], end)
        at = end


def _unpacked(content: bytes, most: int) -> bytes:
    unpack = zlib.decompressobj()
    data = unpack.decompress(content, most)
    if unpack.decompress(unpack.unconsumed_tail, 1):
        raise ValueError(f"it unpacks to more than the {most} bytes its header claims")
    if not unpack.eof:  # and the checksum has been compared
        raise EOFError("its packed data are cut short")
    return data


def _numbers(part: _Element, count: int, order: str, key: str) -> np.ndarray:
    if part.kind not in _STORED:
        raise ValueError(f"its array {key!r} has numbers of an unknown type")
    numbers = np.frombuffer(part.data, order + _STORED[part.kind])
    if numbers.size != count:
        raise ValueError(f"its array {key!r} has {counted(numbers.size, 'number')}; expected {count}")
    return numbers


# ---------------------------------------------------------------- version 7.3


def _read_73(path: Path, dataset: str | None) -> np.ndarray:

    with opened(path) as file:
        kinds = {name: _matlab_class(node) for name, node in file.items() if not name.startswith("#")}
        key = _pick(path, dataset, kinds)
        node = datasets.dataset(file, key, path)
        if node is None:
            raise Unusable(f"dataset is {key!r}; that of {path} holds no array of numbers")
        if node.attrs.get("MATLAB_empty", 0):  # what is stored is the shape
            return np.zeros(tuple(int(n) for n in node[()]), dtype=_DTYPES[kinds[key]])
        array = datasets.numbers(node, path)
    if array.dtype.names is not None:
        raise Unusable(f"dataset is {key!r}; that of {path} holds no array of numbers")
    return _of_class(array.T, kinds[key])  # HDF5 lists MATLAB's axes backwards


def _matlab_class(node: Any) -> str:
    kind = node.attrs.get("MATLAB_class", b"unknown")
    return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)


# ---------------------------------------------------------------- all versions


def _of_class(array: np.ndarray, kind: str) -> np.ndarray:
    """In the type of MATLAB's class, which is not the one in which small whole numbers are stored."""
    dtype = np.dtype(_DTYPES[kind])
    if array.dtype.kind == "c":
        dtype = np.result_type(dtype, np.complex64)
    return np.ascontiguousarray(array, dtype=dtype)


def _pick(path: Path, dataset: str | None, kinds: dict[str, str]) -> str:
    """The array that is asked for, or the only one of numbers."""
    numbers = [name for name, kind in kinds.items() if kind in _DTYPES]
    key = pick(path, dataset, numbers if dataset is None else list(kinds))
    if key not in numbers:
        raise Unusable(f"dataset is {key!r}; that of {path} is of class {kinds[key]}, expected an array of numbers")
    return key
