"""Cone-beam scans of Nikon's laboratory instruments: an .xtekct file of settings and a TIFF file for each view."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, one_sentence
from ipbox.io.scans.frames import Frames, HeldFrames
from ipbox.io.scans.geometry import ScanGeometry
from ipbox.io.scans.names import kind_of, natural
from ipbox.io.scans.tiff_stack import TIFF, tiff_frames

_LARGEST = 2**20  # bytes of settings


def read_nikon(path: Path, name: str) -> dict[str, Any]:
    """Fields of a `Scan`: rows from the panel's top down, so that slice 0 is the object's top.

    Columns are as seen against the beam, and the object turns clockwise, seen from above, as the angle grows: with z
    pointing down, β of `ConeBeamTransform` is minus that angle.
    """
    with one_sentence(path, ".xtekct file", name):
        if path.stat().st_size > _LARGEST:
            raise Unusable(f"{path} has {path.stat().st_size} bytes; expected the settings of a scan")
        settings = _settings(path)
        views, rows, columns = (
            _count(settings, key, path) for key in ("Projections", "DetectorPixelsY", "DetectorPixelsX")
        )
        step = _number(settings, "AngularStep", path)
        if step == 0:
            raise Unusable(f"AngularStep of {path} is 0; expected the degrees between two views")
        geometry = _geometry(settings, path)
        files = _views(path, settings)
        if len(files) != views:
            raise Unusable(f"{path} has Projections={views} and {len(files)} TIFF files; expected one for each view")
    projections = tiff_frames(files, name)
    if projections.shape[1:] != (rows, columns):
        raise ValueError(
            f"{name} is {path}, which says {rows} x {columns} pixels, and the views have {projections.shape[1]} x "
            f"{projections.shape[2]}; expected one size"
        )
    with one_sentence(path, ".xtekct file", name):
        degrees = _number(settings, "InitialAngle", path, 0.0) + step * np.arange(views)
        white = _number(settings, "WhiteLevel", path, math.nan)
        flats: Frames | None = None
        if white > 0:  # the views are corrected by the instrument, which scales them to it
            flats = HeldFrames(np.broadcast_to(np.float32(white), (1, rows, columns)))
    return {
        "projections": projections,
        "flats": flats,
        "darks": None,
        "angles": -np.deg2rad(degrees),
        "geometry": geometry,
        "format": "Nikon",
        "about": {"settings": settings},
    }


def _settings(path: Path) -> dict[str, str]:
    text = path.read_bytes().decode("utf-8", "replace")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    found = {key.strip(): value.strip() for key, _, value in pairs}
    if "SrcToObject" not in found and "Projections" not in found:
        raise Unusable(f"{path} has neither Projections nor SrcToObject; expected the settings of a Nikon scan")
    return found


def _number(settings: dict[str, str], key: str, path: Path, default: float | None = None) -> float:
    if key not in settings and default is not None:
        return default
    if key not in settings:
        raise Unusable(f"{path} has no {key}; expected the settings of a Nikon scan")
    try:
        value = float(settings[key])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Unusable(f"{key} of {path} is {settings[key][:40]!r}; expected a number")
    return value


def _count(settings: dict[str, str], key: str, path: Path) -> int:
    value = _number(settings, key, path)
    if value != int(value) or not 0 < value < 2**31:
        raise Unusable(f"{key} of {path} is {value:g}; expected a positive integer")
    return int(value)


def _geometry(settings: dict[str, str], path: Path) -> ScanGeometry:
    """The axis meets the panel where CentreOfRotation says, or ObjectOffsetX times the magnification."""
    to_object, to_panel, height, width = (
        _number(settings, key, path)
        for key in ("SrcToObject", "SrcToDetector", "DetectorPixelSizeY", "DetectorPixelSizeX")
    )
    if not 0 < to_object <= to_panel or min(height, width) <= 0:
        raise Unusable(
            f"{path} has SrcToObject={to_object:g}, SrcToDetector={to_panel:g} and pixels of {height:g} x {width:g}; "
            "expected positive lengths, the panel behind the object"
        )
    if "ObjectOffsetX" in settings:
        axis = _number(settings, "ObjectOffsetX", path) * to_panel / to_object
    else:
        axis = 0.5 * sum(_number(settings, f"CentreOfRotation{end}", path, 0.0) for end in ("Top", "Bottom"))
    return ScanGeometry("cone", (height, width), to_object, to_panel - to_object, (0.0, 0.0 - axis))


def _views(path: Path, settings: dict[str, str]) -> list[Path]:
    """In the folder that the settings name, where it is beside them, or beside them; called by the scan's name."""
    named = settings.get("InputFolderName", "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    inner = path.parent / named
    home = inner if named and inner.is_dir() else path.parent
    files = [file for file in home.iterdir() if file.name.lower().endswith(TIFF)]
    prefix = f"{settings.get('Name') or path.stem}_"
    views = [file for file in files if file.name.startswith(prefix) and file.stem[len(prefix) :].isdigit()]
    views = views or [file for file in files if kind_of(file.name) == "projections"]
    return sorted(views, key=lambda file: natural(file.name))
