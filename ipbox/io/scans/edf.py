"""Scans in EDF, as the ESRF wrote them: a folder with a file for each frame and an .info file, or one file of many."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ipbox.io.checks import Unusable, one_sentence
from ipbox.io.scans.frames import Frames, HeldFrames, Place, PlacedFrames
from ipbox.io.scans.geometry import ScanGeometry
from ipbox.io.scans.names import sorted_out

EDF = (".edf",)
_MOST = 2**16  # bytes of a header
_DTYPES = {
    "signed8": "i1",
    "unsigned8": "u1",
    "signed16": "i2",
    "unsigned16": "u2",
    "signed32": "i4",
    "unsigned32": "u4",
    "float32": "f4",
    "signedbyte": "i1",
    "unsignedbyte": "u1",
    "signedshort": "i2",
    "unsignedshort": "u2",
    "signedinteger": "i4",
    "unsignedinteger": "u4",
    "signedlong": "i4",
    "unsignedlong": "u4",
    "signed64": "i8",
    "unsigned64": "u8",
    "float": "f4",
    "floatvalue": "f4",
    "floatieee32": "f4",
    "real": "f4",
    "double": "f8",
    "doublevalue": "f8",
    "floatieee64": "f8",
}


@dataclass(frozen=True)
class _Frame:
    shape: tuple[int, int]
    dtype: np.dtype
    offset: int


def read_edf_scan(path: Path, name: str) -> dict[str, Any]:
    """Fields of a `Scan`: Dim_1 are the columns, Dim_2 the rows, from the top down.

    Of an .info file in the folder: ``ScanRange`` (degrees) and ``TOMO_N`` give the angles, ``PixelSize`` is in
    micrometres, ``Distance`` in mm; darkend*.edf is a sum of ``DARK_N`` frames.
    """
    found: dict[str, list[Path]] = {"projections": [path], "flats": [], "darks": []}
    info: dict[str, float] = {}
    if path.is_dir():
        with one_sentence(path, "folder of EDF files", name):
            found, info = sorted_out(path, EDF), _info(path)
    frames: dict[str, Any] = {kind: edf_frames(paths, name) if paths else None for kind, paths in found.items()}
    about = {"files": {kind: len(paths) for kind, paths in found.items()}, "info": info, "left_out": 0}
    if info.get("DARK_N", 1) > 1 and any(path.stem.startswith("darkend") for path in found["darks"]):
        frames["darks"] = HeldFrames(frames["darks"][:] / np.float32(info["DARK_N"]))  # which is a sum
    angles, (views, _, _) = None, frames["projections"].shape
    if info.get("TOMO_N", 0) > 0 and "ScanRange" in info:
        planned = int(info["TOMO_N"])
        if views < planned:
            raise ValueError(f"{name} is {path}, which has {views} views of TOMO_N={planned}; expected all of them")
        used = min(views, planned + 1)  # the last one closes the range; what follows are views to check movement
        about["left_out"] = views - used
        frames["projections"] = frames["projections"].part(slice(used))
        angles = np.deg2rad(np.arange(used) * info["ScanRange"] / planned)
    size = info.get("PixelSize", 0.0) * 1e-3
    distance = info.get("Distance")
    geometry = ScanGeometry(
        "parallel",
        (size, size) if size > 0 else None,
        detector_distance=distance if distance is not None and distance >= 0 else None,
    )
    return frames | {"angles": angles, "geometry": geometry, "format": "EDF", "about": about}


def edf_frames(paths: Iterable[Path], name: str = "path") -> Frames:
    """The frames of files, one after the other, of one size and one kind of numbers."""
    places: list[Place] = []
    first: _Frame | None = None
    for path in paths:
        with one_sentence(path, "EDF file of frames", name):
            for frame in _frames(path):
                first = first or frame
                if (frame.shape, frame.dtype) != (first.shape, first.dtype):
                    raise Unusable(
                        f"{path} has frames of {frame.shape[0]} x {frame.shape[1]} {frame.dtype}, and others have "
                        f"{first.shape[0]} x {first.shape[1]} {first.dtype}; expected one size and one dtype"
                    )
                places.append(Place(path, frame.offset))
    if first is None:
        raise ValueError(f"{name} names no file; expected those of frames")
    return PlacedFrames(places, first.shape, first.dtype)


def _frames(path: Path) -> list[_Frame]:
    """Where the frames of a file are: a header in braces before each."""
    found, size, at = [], path.stat().st_size, 0
    with open(path, "rb") as file:
        while at < size:
            frame, at = _frame(file, at, size, path)
            found.append(frame)
    if not found:
        raise Unusable(f"{path} is empty; expected an EDF file")
    return found


def _frame(file: IO[bytes], at: int, size: int, path: Path) -> tuple[_Frame, int]:
    file.seek(at)
    head = file.read(_MOST)
    end = head.find(b"}\n")
    if not head.lstrip().startswith(b"{") or end < 0:
        raise Unusable(f"{path} has no header in braces at byte {at}; expected an EDF file")
    text = head[:end].decode("latin-1")
    pairs = (item.partition("=") for item in text.replace("{", "", 1).split(";"))
    fields = {key.strip().lower(): value.strip() for key, _, value in pairs}
    if (packed := fields.get("compression", "none").lower()) not in ("none", "nocompression", ""):
        raise Unusable(f"{path} is compressed ({packed[:40]}); expected EDF data as they are")
    kind = _DTYPES.get(fields.get("datatype", "").lower().replace(" ", ""))
    order = {"lowbytefirst": "<", "highbytefirst": ">"}.get(fields.get("byteorder", "").lower())
    if kind is None or order is None:
        told = f"DataType={fields.get('datatype', '')[:40]!r} and ByteOrder={fields.get('byteorder', '')[:40]!r}"
        raise Unusable(f"{path} has {told}; expected those of an EDF file")
    columns, rows = (_dimension(fields, key, path) for key in ("dim_1", "dim_2"))
    if fields.get("dim_3", "1") not in ("1", "0"):
        raise Unusable(f"{path} has Dim_3={fields['dim_3'][:40]}; expected frames")
    dtype, first = np.dtype(order + kind), at + end + 2
    last = first + rows * columns * dtype.itemsize
    if last > size:
        raise Unusable(
            f"{path} has {size} bytes, and a frame of {rows} x {columns} {dtype} from byte {first} on; expected a "
            "complete file"
        )
    given = fields.get("edf_binarysize") or fields.get("size") or ""
    room = int(given) if given.isdigit() else 0  # what follows the frame may be filled up
    return _Frame((rows, columns), dtype, first), max(last, min(first + room, size))


def _dimension(fields: dict[str, str], key: str, path: Path) -> int:
    value = fields.get(key, "")
    if not value.isdigit() or not 0 < int(value) < 2**24:
        raise Unusable(f"{path} has {key.capitalize()}={value[:40]!r}; expected a number of pixels")
    return int(value)


def _info(folder: Path) -> dict[str, float]:
    """The numbers of an .info file, where the folder has one."""
    files = sorted(folder.glob("*.info"))
    if len(files) != 1 or files[0].stat().st_size > _MOST:
        return {}
    pairs = re.findall(r"^\s*(\w+)\s*=\s*([-+.\deE]+)\s*$", files[0].read_bytes().decode("utf-8", "replace"), re.M)
    return {key: value for key, text in pairs if (value := _float(text)) is not None}


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
