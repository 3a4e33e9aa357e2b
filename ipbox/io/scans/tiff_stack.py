"""TIFF stacks: a folder with a file for each frame, or files of many pages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ipbox.io.checks import Unusable, one_sentence
from ipbox.io.formats.tiff import pages
from ipbox.io.scans.frames import Frames, Place, PlacedFrames
from ipbox.io.scans.geometry import ScanGeometry
from ipbox.io.scans.names import sorted_out

TIFF = (".tif", ".tiff")


def tiff_frames(paths: Iterable[Path], name: str = "path") -> Frames:
    """The pages of files, one after the other, of one size and one kind of numbers."""
    places: list[Place] = []
    first: tuple[tuple[int, ...], Any, Path] | None = None
    for path in paths:
        with one_sentence(path, "TIFF file of frames", name):
            shape, dtype, offsets = pages(path)
            if first is None:
                first = shape, dtype, path
            elif shape != first[0] or dtype.newbyteorder("=") != first[1].newbyteorder("="):
                raise Unusable(
                    f"{path} has frames of {shape[0]} x {shape[1]} {dtype}, and {first[2]} of "
                    f"{first[0][0]} x {first[0][1]} {first[1]}; expected one size and one dtype"
                )
            packed = None in offsets or dtype != first[1]  # pages, of which tifffile knows the order of bytes
            places += [Place(path, None if packed else offset, k) for k, offset in enumerate(offsets)]
    if first is None:
        raise ValueError(f"{name} names no file; expected those of frames")
    return PlacedFrames(places, first[0], first[1])


def read_tiff_stack(path: Path, name: str) -> dict[str, Any]:
    """Fields of a `Scan`: rows as stored from the top down, columns from the left; no angles and no geometry."""
    if path.is_dir():
        with one_sentence(path, "folder of TIFF files", name):
            found = sorted_out(path, TIFF)
    else:
        found = {"projections": [path], "flats": [], "darks": []}
    frames = {kind: tiff_frames(paths, name) if paths else None for kind, paths in found.items()}
    about = {"files": {kind: len(paths) for kind, paths in found.items()}}
    return frames | {"angles": None, "geometry": ScanGeometry(), "format": "TIFF", "about": about}
