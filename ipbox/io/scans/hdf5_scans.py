"""Scans in HDF5: NXtomo of NeXus and DXchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ipbox.checks import counted
from ipbox.io.checks import Unusable, one_sentence
from ipbox.io.hdf5 import datasets
from ipbox.io.hdf5.opened import opened
from ipbox.io.scans.frames import Frames, Hdf5Frames
from ipbox.io.scans.geometry import ScanGeometry, looks_parallel
from ipbox.io.scans.units import in_mm, in_radians

# of image_key
_PROJECTION, _FLAT, _DARK = 0, 1, 2
_DETECTOR = "instrument/detector"


def read_hdf5_scan(path: Path, entry: str | None, name: str) -> dict[str, Any]:
    """Fields of a `Scan`, of whichever of the two formats the file is."""
    import h5py

    with one_sentence(path, "HDF5 file of a scan", name), opened(path) as file:
        if entry is None and isinstance(file.get("exchange"), h5py.Group) and "data" in file["exchange"]:
            return _dxchange(file, path)
        return _nxtomo(file, _entry(file, entry, path), path)


# ---------------------------------------------------------------- NXtomo


def _entry(file: Any, entry: str | None, path: Path) -> str:
    """The name of the group with the scan."""
    import h5py

    found = []
    for name in file:
        inside = [name, *(f"{name}/{part}" for part in _groups(file, name))]
        found += [group for group in inside if isinstance(file.get(f"{group}/{_DETECTOR}/data"), h5py.Dataset)]
    if entry is not None:
        if not isinstance(file.get(f"{entry}/{_DETECTOR}/data"), h5py.Dataset):
            raise Unusable(f"entry is {entry!r}; {path} has a scan in {', '.join(found) or 'no group'}")
        return entry
    if len(found) != 1:
        told = f"scans in {', '.join(found)}" if found else f"neither exchange/data nor .../{_DETECTOR}/data"
        raise Unusable(f"{path} has {told}; expected {'entry= with one of them' if found else 'NXtomo or DXchange'}")
    return found[0]


def _groups(file: Any, name: str) -> list[str]:
    import h5py

    node = file.get(name)
    return [part for part in node if isinstance(node.get(part), h5py.Group)] if isinstance(node, h5py.Group) else []


def _nxtomo(file: Any, entry: str, path: Path) -> dict[str, Any]:
    """Frames sorted by image_key, where image_key_control marks views of alignment as -1."""
    detector = f"{entry}/{_DETECTOR}"
    frames = Hdf5Frames(path, _dataset(file, f"{detector}/data", path))
    key = _vector(file, f"{detector}/image_key_control", path)
    key = _vector(file, f"{detector}/image_key", path) if key is None else key
    if key is None:
        key = np.zeros(len(frames), dtype=int)
    if key.size != len(frames):
        raise Unusable(
            f"image_key of {path} has {counted(key.size, 'entry')}; "
            f"expected one for each of {counted(len(frames), 'frame')}"
        )
    views = np.flatnonzero(key == _PROJECTION)
    if not views.size:
        raise Unusable(f"image_key of {path} marks no frame as a projection (0)")
    parts: dict[str, Frames | None] = {"projections": frames.part(views)}
    for kind, code in (("flats", _FLAT), ("darks", _DARK)):
        parts[kind] = frames.part(np.flatnonzero(key == code)) if (key == code).any() else None
    about = {"entry": entry, "left_out": int(key.size - np.isin(key, (_PROJECTION, _FLAT, _DARK)).sum())}
    about |= {"flats_at": np.flatnonzero(key == _FLAT).tolist(), "views_at": views.tolist()}
    title = file.get(f"{entry}/title")
    if title is not None:
        about["title"] = _text(title[()])
    geometry = _nxtomo_geometry(file, entry, frames.shape, path)
    angles = _nxtomo_angles(file, entry, key, path)
    return parts | {"angles": angles, "geometry": geometry, "format": "NXtomo", "about": about}


def _nxtomo_angles(file: Any, entry: str, key: np.ndarray, path: Path) -> np.ndarray | None:
    name = f"{entry}/sample/rotation_angle"
    stored = _vector(file, name, path)
    if stored is None:
        return None
    views = key == _PROJECTION
    if stored.size == key.size:
        stored = stored[views]
    elif stored.size != views.sum():
        raise Unusable(
            f"rotation_angle of {path} has {counted(stored.size, 'entry')}; expected one for each of "
            f"{counted(key.size, 'frame')}, or of {views.sum()} projections"
        )
    return in_radians(_finite(stored, name, path), _unit(file[name]), f"rotation_angle of {path}")


def _nxtomo_geometry(file: Any, entry: str, shape: tuple[int, ...], path: Path) -> ScanGeometry:
    """A cone beam where source and panel are so near that it matters."""
    detector = f"{entry}/{_DETECTOR}"
    source = _length(file, (f"{entry}/instrument/source/distance", f"{entry}/source/distance"), path)
    to_panel = _length(file, (f"{detector}/distance",), path)
    panel = _sizes(file, detector, path)
    source, to_panel = (None if of is None else abs(of) for of in (source, to_panel))
    cone = False
    if source is not None and to_panel is not None and panel is not None:
        cone = not looks_parallel(shape, panel[1], source, to_panel)
    # optics enlarge what a parallel beam shows: the pixels' size at the object counts
    size = panel if cone else _sizes(file, f"{entry}/sample", path) or panel
    axis, shift = _number(file, f"{detector}/x_rotation_axis_pixel_position", path), None
    if axis is not None and size is not None:
        shift = (0.0, -axis * size[1])
    return ScanGeometry("cone" if cone else "parallel", size, source, to_panel, shift)


# ---------------------------------------------------------------- DXchange


def _dxchange(file: Any, path: Path) -> dict[str, Any]:
    parts: dict[str, Frames | None] = {"projections": Hdf5Frames(path, _dataset(file, "exchange/data", path))}
    for kind, dataset in (("flats", "data_white"), ("darks", "data_dark")):
        node = datasets.dataset(file, f"exchange/{dataset}", path) if f"exchange/{dataset}" in file else None
        parts[kind] = None if node is None else Hdf5Frames(path, node)
    theta = _vector(file, "exchange/theta", path)
    angles = None
    if theta is not None:
        theta = _finite(theta, "exchange/theta", path)
        angles = in_radians(theta, _unit(file["exchange/theta"]), f"theta of {path}")
    return parts | {
        "angles": angles,
        "geometry": ScanGeometry("parallel", _dxchange_size(file, path)),
        "format": "DXchange",
        "about": {},
    }


def _dxchange_size(file: Any, path: Path) -> tuple[float, float] | None:
    """The pixels' size at the object: as the file tells it, else the sensor's over the objective's magnification."""
    objective = "measurement/instrument/detection_system/objective"
    resolution = _length(file, (f"{objective}/resolution",), path)
    if resolution is not None:
        return (resolution, resolution) if resolution > 0 else None
    detector = "measurement/instrument/detector"
    sensor = _sizes(file, detector, path, ("actual_pixel_size_{}", "pixel_size_{}"))
    M = _number(file, f"{objective}/magnification", path)
    return None if sensor is None or M is None or M <= 0 else (sensor[0] / M, sensor[1] / M)


# ---------------------------------------------------------------- what both hold


def _dataset(file: Any, name: str, path: Path) -> Any:
    node = datasets.dataset(file, name, path)
    if node is None:
        raise Unusable(f"{path} has no dataset {name}")
    return node


def _vector(file: Any, name: str, path: Path) -> np.ndarray | None:
    """The numbers of a dataset, flat; None where there is none."""
    node = datasets.dataset(file, name, path) if name in file else None
    if node is None:
        return None
    if node.dtype.kind not in "iuf" or node.ndim > 2:
        raise Unusable(f"{name} of {path} has shape {node.shape} and dtype {node.dtype}; expected numbers")
    return np.atleast_1d(node[()]).ravel()


def _finite(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    if not np.isfinite(values).all():
        raise Unusable(f"{name} of {path} has NaN or infinite entries; expected finite numbers")
    return values


def _number(file: Any, name: str, path: Path) -> float | None:
    values = _vector(file, name, path)
    return float(values[0]) if values is not None and values.size == 1 and np.isfinite(values[0]) else None


def _length(file: Any, names: tuple[str, ...], path: Path) -> float | None:
    """In mm; None where there is none, or it has no unit."""
    for name in names:
        value = _number(file, name, path)
        unit = None if value is None else _unit(file[name])
        if value is not None and unit is not None:
            return in_mm(value, unit)
    return None


def _sizes(
    file: Any, group: str, path: Path, names: tuple[str, ...] = ("{}_pixel_size",)
) -> tuple[float, float] | None:
    """Height and width of the pixels in mm."""
    sizes = [_length(file, tuple(f"{group}/{name.format(axis)}" for name in names), path) for axis in "yx"]
    height, width = (sizes[k] if sizes[k] is not None else sizes[1 - k] for k in (0, 1))
    if height is None or width is None or not (height > 0 and width > 0):
        return None
    return height, width


def _unit(node: Any) -> str | None:
    unit = node.attrs.get("units", node.attrs.get("unit"))
    return None if unit is None else _text(unit)


def _text(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
