"""Tilt series in MRC, as electron microscopes write them; the angles are in a text file beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, one_sentence
from ipbox.io.scans.frames import Place, PlacedFrames
from ipbox.io.scans.geometry import ScanGeometry

MRC = (".mrc", ".mrcs", ".st", ".ali", ".preali")
_HEADER = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_IMOD, _SIGNED = 1146047817, 1
_MM = 1e-7  # an angstrom


def read_mrc_scan(path: Path, name: str) -> dict[str, Any]:
    """Fields of a `Scan`: sections are views, the axis of tilt lies along their columns, as IMOD aligns them.

    Rows come as they are stored, which viewers of MRC show from the bottom up.
    """
    with one_sentence(path, "MRC file", name):
        dtype, shape, start, widths = read_header(path)
        views, rows, columns = shape
        nbytes = rows * columns * dtype.itemsize
        places = [Place(path, start + k * nbytes) for k in range(views)]
        angles, told = _angles(path, views)
    return {
        "projections": PlacedFrames(places, (rows, columns), dtype),
        "flats": None,
        "darks": None,
        "angles": angles,
        "geometry": ScanGeometry("parallel", widths),
        "format": "MRC",
        "about": {"angles": told},
    }


def read_header(path: Path) -> tuple[np.dtype, tuple[int, int, int], int, tuple[float, float] | None]:
    """Dtype, (sections, rows, columns), where the data begin, and height and width of a pixel in mm.

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
    cells = np.frombuffer(head, f"{order}i4", 3, 28)[:2].tolist()
    lengths = np.frombuffer(head, f"{order}f4", 3, 40)[:2].tolist()
    steps = [_MM * length / n if n > 0 and 0 < length < 1e12 else 0.0 for length, n in zip(lengths, cells, strict=True)]
    return dtype, (sections, rows, columns), _HEADER + beyond, (steps[1], steps[0]) if min(steps) > 0 else None


def _plausible(head: bytes, order: str) -> bool:
    *sizes, mode = np.frombuffer(head, f"{order}i4", 4).tolist()
    return mode in _DTYPES and all(0 < n < 2**24 for n in sizes)


def _angles(path: Path, views: int) -> tuple[np.ndarray | None, str | None]:
    """In radians, and the name of the file they are from: refined ones first, then as the microscope set them."""
    beside = [path.with_suffix(ending) for ending in (".tlt", ".rawtlt")]
    for file in (*beside, path.with_name(f"{path.name}.mdoc"), path.with_suffix(".mdoc")):
        if not file.is_file():
            continue
        if file.stat().st_size > 2**24:
            raise Unusable(f"{file} has {file.stat().st_size} bytes; expected an angle for each of {views} sections")
        text = file.read_bytes().decode("utf-8", "replace")
        words = re.findall(r"^TiltAngle\s*=\s*(\S+)", text, re.M) if file.suffix == ".mdoc" else text.split()
        try:
            degrees = np.array([float(word) for word in words])
        except ValueError as err:
            raise Unusable(f"{file} holds words that are no numbers; expected tilt angles in degrees") from err
        if degrees.size != views:
            raise Unusable(f"{file} has {degrees.size} angles; expected one for each of the {views} sections of {path}")
        return np.deg2rad(degrees), file.name
    return None, None
