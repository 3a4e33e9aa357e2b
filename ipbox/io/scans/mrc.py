"""Tilt series in MRC, as electron microscopes write them; the angles are in a text file beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.checks import counted
from ipbox.io.checks import Unusable, one_sentence
from ipbox.io.formats.mrc import read_header
from ipbox.io.scans.frames import Place, PlacedFrames
from ipbox.io.scans.geometry import ScanGeometry

MRC = (".mrc", ".mrcs", ".st", ".ali", ".preali")


def read_mrc_scan(path: Path, name: str) -> dict[str, Any]:
    """Fields of a `Scan`: sections are views, the axis of tilt lies along their columns, as IMOD aligns them.

    Rows come as they are stored, which viewers of MRC show from the bottom up.
    """
    with one_sentence(path, "MRC file", name):
        dtype, (views, rows, columns), start, steps = read_header(path)
        nbytes = rows * columns * dtype.itemsize
        places = [Place(path, start + k * nbytes) for k in range(views)]
        angles, told = _angles(path, views)
    return {
        "projections": PlacedFrames(places, (rows, columns), dtype),
        "flats": None,
        "darks": None,
        "angles": angles,
        "geometry": ScanGeometry("parallel", None if steps is None else steps[1:]),
        "format": "MRC",
        "about": {"angles": told},
    }


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
            raise Unusable(
                f"{file} has {counted(degrees.size, 'angle')}; expected one for each of the {views} sections of {path}"
            )
        if not (abs(degrees) <= 360).all():  # NaN neither
            raise Unusable(f"{file} has angles that are no numbers from -360 to 360; expected tilt angles in degrees")
        return np.deg2rad(degrees), file.name
    return None, None
