"""Small scans written by h5py, tifffile, mrcfile and by hand, as beamlines and laboratories write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

VIEWS = np.arange(120, dtype=np.uint16).reshape(6, 4, 5) + 100  # (views, rows, columns), no two numbers alike
FLATS = np.arange(60, dtype=np.uint16).reshape(3, 4, 5) + 1000
DARKS = np.arange(40, dtype=np.uint16).reshape(2, 4, 5)
DEGREES = np.array([0.0, 30.0, 60.0, 90.0, 120.0, 150.0])


def write_nxtomo(
    path: Path,
    views: np.ndarray = VIEWS,
    degrees: np.ndarray = DEGREES,
    flats: np.ndarray | None = FLATS,
    darks: np.ndarray | None = DARKS,
    entry: str = "entry",
    units: dict[str, str] | None = None,
    **numbers: Any,
) -> Path:
    """Darks, half of the flats, views, the other flats; ``numbers`` by their paths below the entry."""
    units = {"sample/rotation_angle": "degree"} | (units or {})
    first = 0 if flats is None else len(flats) // 2
    parts = [(darks, 2), (None if flats is None else flats[:first], 1), (views, 0)]
    parts += [(None if flats is None else flats[first:], 1)]
    kept = [(frames, key) for frames, key in parts if frames is not None]
    key = np.concatenate([np.full(len(frames), key) for frames, key in kept])
    angles = np.zeros(len(key))
    angles[key == 0] = degrees
    numbers = {"sample/rotation_angle": angles, "instrument/detector/image_key": key} | numbers
    with h5py.File(path, "a") as file:
        group = file.create_group(entry)
        group.attrs["NX_class"] = "NXentry"
        frames = np.concatenate([frames for frames, _ in kept])
        group.create_dataset("instrument/detector/data", data=frames, chunks=(1, *frames.shape[1:]))
        for name, value in numbers.items():
            if value is not None:
                group[name] = value
                if name in units:
                    group[name].attrs["units"] = units[name]
    return path


def write_dxchange(path: Path, theta: np.ndarray | None = DEGREES, units: str | None = None, **datasets: Any) -> Path:
    datasets = {"data": VIEWS, "data_white": FLATS, "data_dark": DARKS} | datasets
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            if values is not None:
                file[f"exchange/{name}"] = values
        if theta is not None:
            file["exchange/theta"] = theta
            if units is not None:
                file["exchange/theta"].attrs["units"] = units
    return path


def write_tiffs(folder: Path, frames: np.ndarray, name: str = "proj_{}.tif", **options: Any) -> Path:
    """A file for each frame, numbered without zeros in front, so that names are not in the order of letters."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, frame in enumerate(frames):
        tifffile.imwrite(folder / name.format(k + 5), frame, photometric="minisblack", **options)
    return folder


def write_nikon(
    folder: Path,
    views: np.ndarray = VIEWS,
    initial: float = 0.0,
    step: float = 30.0,
    name: str = "bone",
    **settings: Any,
) -> Path:
    """As Inspect-X writes them: numbers of four digits from 1 on, Windows' line ends."""
    write_tiffs(folder, views[:0])
    for k, frame in enumerate(views):
        tifffile.imwrite(folder / f"{name}_{k + 1:04d}.tif", frame, photometric="minisblack")
    told: dict[str, Any] = {"Name": name, "VoxelsX": 5, "WhiteLevel": 60000, "Projections": len(views)}
    told |= {"SrcToObject": 100, "SrcToDetector": 250.0, "InitialAngle": initial, "AngularStep": step}
    told |= {"DetectorPixelsX": views.shape[2], "DetectorPixelsY": views.shape[1]}
    told |= {"DetectorPixelSizeX": 0.2, "DetectorPixelSizeY": 0.4, "InputFolderName": "", "ObjectOffsetX": 0.0}
    told = {key: value for key, value in (told | settings).items() if value is not None}
    lines = ["[XTekCT]", *(f"{key}={value}" for key, value in told.items()), "[CTPro]", "FilterType=1"]
    path = folder / f"{name}.xtekct"
    path.write_bytes("\r\n".join(lines).encode("latin-1"))
    return path


def write_edf(path: Path, frames: np.ndarray, order: str = "<", kind: str = "UnsignedShort", **fields: Any) -> Path:
    """A header of 1024 bytes in braces before each frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for k, frame in enumerate(frames):
            told = {"HeaderID": "EH:000001:000000:000000", "Image": k + 1}
            told |= {"ByteOrder": "LowByteFirst" if order == "<" else "HighByteFirst", "DataType": kind}
            told |= {"Dim_1": frame.shape[1], "Dim_2": frame.shape[0], "Size": frame.nbytes} | fields
            head = "{\n" + "".join(f"{key} = {value} ;\n" for key, value in told.items())
            file.write((head.ljust(1022) + "}\n").encode())
            file.write(frame.astype(frame.dtype.newbyteorder(order)).tobytes())
    return path
