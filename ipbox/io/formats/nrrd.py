"""NRRD files: the header by pynrrd, the data checked against it before they are believed."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, check_claim, io_extra, one_line, read_exactly

_PACKED: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "gz": gzip.open, "bzip2": bz2.open, "bz2": bz2.open}

# bytes of a number, by the names the format allows for its type
_ITEM = dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1)
_ITEM |= dict.fromkeys((f"{u}{name}" for u in ("", "signed ", "unsigned ") for name in ("short", "short int")), 2)
_ITEM |= dict.fromkeys(("ushort", "int16", "int16_t", "uint16", "uint16_t"), 2)
_ITEM |= dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4)
_ITEM |= dict.fromkeys((f"{u}long long{i}" for u in ("", "signed ", "unsigned ") for i in ("", " int")), 8)
_ITEM |= dict.fromkeys(("longlong", "ulonglong", "int64", "int64_t", "uint64", "uint64_t", "double"), 8)
_ITEM["float"] = 4


# what the header says of each axis, from the fastest to the slowest, by the names the format allows
_PER_AXIS: tuple[str, ...] = ("sizes", "spacings", "thicknesses", "kinds", "centers", "centerings", "labels", "units")
_PER_AXIS += ("space directions", "axis mins", "axismins", "axis maxs", "axismaxs")


def read_nrrd(path: Path, dataset: str | None = None) -> tuple[np.ndarray, Mapping[str, Any]]:
    """The array of a .nrrd file, axes from the slowest to the fastest (so slices, rows, columns), and its header.

    An axis of the kind ``complex`` holds real and imaginary parts: the array is complex and has no such axis.
    """
    with io_extra("reading NRRD files"):
        import nrrd
    if dataset is not None:
        raise Unusable(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    try:
        return _complex(*_stored(nrrd, path))
    except (nrrd.NRRDError, StopIteration) as err:
        raise ValueError(one_line(err)) from err


def _stored(nrrd: Any, path: Path) -> tuple[np.ndarray, Mapping[str, Any]]:
    with open(path, "rb") as file:
        header = nrrd.read_header(file)
        _check(header, path)
        packed = _PACKED.get(header["encoding"])
        if packed is None and header["encoding"] != "raw":  # text
            return nrrd.read_data(header, file, index_order="C"), header
        stored = io.BytesIO(file.read())
    if packed is not None:
        with packed(stored) as whole:
            stored = io.BytesIO(read_exactly(whole, _nbytes(header)))
    return nrrd.read_data(header | {"encoding": "raw"}, stored, index_order="C").copy(), header


def _complex(array: np.ndarray, header: Mapping[str, Any]) -> tuple[np.ndarray, Mapping[str, Any]]:
    """The complex array, where an axis holds the two parts of each number, and the header without that axis."""
    pairs = [k for k, kind in enumerate(header.get("kinds", ())) if kind == "complex"]
    if not pairs:
        return array, header
    if len(pairs) > 1 or header["sizes"][pairs[0]] != 2:
        raise ValueError(f"its header has kinds {header['kinds']} and sizes {list(map(int, header['sizes']))}")
    real, imag = np.moveaxis(array, array.ndim - 1 - pairs[0], 0)
    out = np.empty(real.shape, dtype=np.result_type(array.dtype, np.complex64))
    out.real, out.imag = real, imag
    kept = {key: [v for k, v in enumerate(header[key]) if k != pairs[0]] for key in _PER_AXIS if key in header}
    return out, {**header, **kept, "dimension": out.ndim}


def _check(header: Mapping[str, Any], path: Path) -> None:
    for field in ("type", "dimension", "encoding", "sizes"):
        if field not in header:
            raise ValueError(f"its header has no field {field!r}")
    if {"data file", "datafile"} & set(header):
        raise Unusable(f"{path} keeps its data in another file; expected a .nrrd file that holds its own")
    if header["type"] == "block":
        raise Unusable(f"{path} holds blocks of bytes; expected numbers")
    sizes = [int(n) for n in header["sizes"]]
    if len(sizes) != header["dimension"] or min(sizes, default=0) < 1:
        raise ValueError(f"its header has dimension {header['dimension']} and sizes {sizes}")
    skipped = [header.get(key, 0) for key in ("byte skip", "byteskip", "line skip", "lineskip")]
    if any(skipped) and header["encoding"] != "raw":
        raise Unusable(f"{path} skips bytes or lines before {header['encoding']} data; expected none, or raw data")
    check_claim(_nbytes(header), path)


def _nbytes(header: Mapping[str, Any]) -> int:
    kind = header["type"]
    if kind not in _ITEM:
        raise ValueError(f"its header has type {kind!r}")
    return int(np.prod(header["sizes"], dtype=object)) * _ITEM[kind]
