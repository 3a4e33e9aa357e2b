"""TIFF files by tifffile: pages of one size as a volume, colours first; spacing where the file tells it for sure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO, Any

import numpy as np

from ipbox.io.checks import Unusable, check_claim, one_line

# as ImageJ writes them
_MM = {"mm": 1.0, "cm": 10.0, "micron": 1e-3, "um": 1e-3, "µm": 1e-3, "\\u00B5m": 1e-3, "nm": 1e-6}


def read_tiff(path: Path, dataset: str | None = None) -> tuple[np.ndarray, tuple[float, ...] | None]:
    """The array of a TIFF file and its spacing in mm, as `read_image` returns them.

    A resolution alone is no spacing: cameras and scanners write 72 dpi whatever they saw.  ImageJ's calibration in a
    unit of length is one, and what `write_tiff` wrote.
    """
    import tifffile

    if dataset is not None:
        raise Unusable(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    try:
        with tifffile.TiffFile(path) as file:
            _check(file, path)
            series, page = file.series[0], file.pages.first
            try:
                array = series.asarray()
            except (ValueError, ImportError) as err:
                if "imagecodecs" in str(err):
                    raise Unusable(
                        f"{path} is compressed ({page.compression.name}), which needs imagecodecs, which is not "
                        "installed: pip install imagecodecs"
                    ) from err
                raise
            spacing = _spacing(file, page)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                array = np.logical_not(array) if array.dtype == bool else np.iinfo(array.dtype).max - array
            return _colours_first(array, series.axes, page, path), spacing
    except tifffile.TiffFileError as err:
        raise ValueError(one_line(err)) from err


def _check(file: Any, path: Path) -> None:
    """One array, of numbers that mean themselves, all of which is there."""
    import tifffile

    if len(file.series) != 1:
        shapes = ", ".join(str(one.shape) for one in file.series[:4])
        raise Unusable(f"{path} holds {len(file.series)} images ({shapes}); expected one, or pages of one size")
    series, page, size = file.series[0], file.pages.first, path.stat().st_size
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise Unusable(f"{path} has a palette; expected grey values or red, green and blue")
    if "S" in series.axes and page.photometric not in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.MINISBLACK):
        if page.photometric != tifffile.PHOTOMETRIC.YCBCR or page.compression == tifffile.COMPRESSION.NONE:
            raise Unusable(
                f"{path} has colours as {page.photometric.name}; expected grey values or red, green and blue"
            )
    check_claim(series.nbytes, path)
    for one in series.pages:
        parts = () if one is None else zip(one.dataoffsets, one.databytecounts, strict=True)
        for offset, count in parts:  # tifffile fills up with zeros what is not there
            if count == 0 or offset + count > size:
                raise EOFError(f"its data end at byte {offset + count}, the file at {size}")


def _colours_first(array: np.ndarray, axes: str, page: Any, path: Path) -> np.ndarray:
    """Red, green and blue before the rows; a channel of opacity is left out where it hides nothing."""
    if "S" not in axes:
        return array
    array = np.moveaxis(array, axes.index("S"), array.ndim - 3)
    extra = len(page.extrasamples)
    if not extra:
        return array
    colours, opacity = array[..., :-extra, :, :], array[..., -extra:, :, :]
    full = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1
    if extra > 1 or not (opacity == full).all():
        raise Unusable(f"{path} has transparent pixels or further channels; expected grey values or three colours")
    return colours if colours.shape[-3] > 1 else colours[..., 0, :, :]


def _spacing(file: Any, page: Any) -> tuple[float, ...] | None:
    written = (file.shaped_metadata or ({},))[0].get("spacing")
    if written is not None:
        return tuple(float(h) for h in written)
    told = file.imagej_metadata or {}
    scale = _MM.get(str(told.get("unit")))
    resolution = [page.tags.get(name) for name in ("YResolution", "XResolution")]
    if scale is None or None in resolution:
        return None
    steps = [tag.value[1] / tag.value[0] if tag.value[0] else math.nan for tag in resolution]
    steps = [float(told["spacing"]), *steps] if "spacing" in told and told.get("slices", 1) > 1 else steps
    return tuple(scale * h for h in steps) if all(0 < h < math.inf for h in steps) else None


def write_tiff(file: IO[bytes], x: np.ndarray, spacing: tuple[float, ...] | None, unit: str) -> None:
    """Uncompressed pages (rows, columns); spacing in mm as the resolution, and with the unit in the description."""
    import tifffile

    told: dict[str, Any] = {"unit": unit} if unit else {}
    resolution: dict[str, Any] = {}
    if spacing is not None:
        told["spacing"] = list(spacing)
        resolution = {"resolution": (10 / spacing[-1], 10 / spacing[-2]), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(file, x, photometric="minisblack", metadata=told, **resolution)
