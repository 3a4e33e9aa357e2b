"""MRC files of images and volumes, as electron microscopy has them: a header of 1024 bytes and the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from ipbox.io.checks import Unusable

_HEADER = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_IMOD, _SIGNED = 1146047817, 1
_MM = 1e-7  # an angstrom


def read_mrc(path: Path, dataset: str | None = None) -> tuple[np.ndarray, tuple[float, ...] | None]:
    """The image of a file of one section, else the volume (sections, rows, columns) as stored; spacing in mm."""
    if dataset is not None:
        raise Unusable(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    dtype, shape, start, steps = read_header(path)
    array = np.fromfile(path, dtype, shape[0] * shape[1] * shape[2], offset=start).reshape(shape)
    if shape[0] == 1:
        return array[0], None if steps is None else steps[1:]
    return array, steps if steps is not None and steps[0] > 0 else None


def read_header(path: Path) -> tuple[np.dtype, tuple[int, int, int], int, tuple[float, float, float] | None]:
    """Dtype, (sections, rows, columns), where the data begin, and their distances in mm, that of sections 0 for views.

    Raises
    ------
    Unusable
        for another kind of file, complex or packed numbers, and more data than the file has bytes.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(_HEADER)
    if len(head) < _HEADER:
        raise Unusable(f"{path} has {size} bytes; expected an MRC file, whose header has {_HEADER}")
    orders = [order for order in "<>" if _plausible(head, order)]
    if not orders:
        columns, rows, sections, mode = np.frombuffer(head, "<i4", 4).tolist()
        raise Unusable(
            f"{path} says mode {mode} and {sections} sections of {rows} x {columns}; expected an MRC file in mode 0, "
            "1, 2, 6 or 12"
        )
    order = orders[-1] if head[212] == 0x11 else orders[0]
    columns, rows, sections, mode = np.frombuffer(head, f"{order}i4", 4).tolist()
    beyond = int(np.frombuffer(head, f"{order}i4", 1, 92)[0])
    stamp, flags = np.frombuffer(head, f"{order}i4", 2, 152).tolist()
    kind = "u1" if mode == 0 and stamp == _IMOD and not flags & _SIGNED else _DTYPES[mode]
    dtype = np.dtype(f"{order}{kind}")
    needed = _HEADER + beyond + columns * rows * sections * dtype.itemsize
    if beyond < 0 or needed > size:
        raise Unusable(
            f"{path} has {size} bytes, and {sections} sections of {rows} x {columns} {dtype.newbyteorder('=')} behind "
            f"a header of {_HEADER + beyond} need {needed}; expected a complete file"
        )
    cells = np.frombuffer(head, f"{order}i4", 3, 28).tolist()
    lengths = np.frombuffer(head, f"{order}f4", 3, 40).tolist()
    steps = [_MM * length / n if n > 0 and 0 < length < 1e12 else 0.0 for length, n in zip(lengths, cells, strict=True)]
    of_pixels = min(steps[:2]) > 0
    return dtype, (sections, rows, columns), _HEADER + beyond, (steps[2], steps[1], steps[0]) if of_pixels else None


def _plausible(head: bytes, order: str) -> bool:
    *sizes, mode = np.frombuffer(head, f"{order}i4", 4).tolist()
    return mode in _DTYPES and all(0 < n < 2**24 for n in sizes)


def write_mrc(file: IO[bytes], x: np.ndarray, spacing: tuple[float, ...] | None, unit: str) -> None:
    """An image (rows, columns) or a volume of MRC2014, its first row the one that viewers show at the bottom.

    References
    ----------
    Cheng et al., MRC2014: extensions to the MRC format header for electron cryo-microscopy and tomography, J. Struct.
    Biol. 192 (2015).
    """
    modes = {np.dtype(kind): mode for mode, kind in _DTYPES.items()}
    if x.dtype not in modes:
        raise TypeError(f"x has dtype {x.dtype}; .mrc holds {', '.join(map(str, modes))}")
    shape = np.array([*x.shape[::-1], 1])[:3]  # columns, rows, sections
    head = np.zeros(_HEADER, np.uint8)

    def put(at: int, numbers: object, kind: str) -> None:
        values = np.atleast_1d(np.asarray(numbers, dtype=f"<{kind}"))
        head[at : at + values.nbytes] = values.view(np.uint8)

    put(0, [*shape, modes[x.dtype]], "i4")
    put(28, shape, "i4")
    if spacing is not None:
        put(40, shape * np.array([*spacing[::-1], spacing[0]])[:3] / _MM, "f4")
    put(52, [90, 90, 90], "f4")
    put(64, [1, 2, 3], "i4")
    put(76, [x.min(), x.max(), x.mean(dtype=np.float64)], "f4")
    put(88, x.ndim == 3, "i4")  # a volume, not a stack of images
    put(108, 20140, "i4")
    head[208:216] = np.frombuffer(b"MAP \x44\x44\x00\x00", np.uint8)
    put(216, x.std(dtype=np.float64), "f4")
    if unit:
        put(220, 1, "i4")
        label = f"unit {unit}".encode("ascii", "replace")[:80].ljust(80)
        head[224:304] = np.frombuffer(label, np.uint8)
    file.write(head.tobytes() + x.tobytes())
