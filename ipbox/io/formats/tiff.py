"""TIFF files by tifffile: pages of one size as a volume, colours first; spacing where the file tells it for sure."""

from __future__ import annotations

import contextlib
import logging
import math
import struct
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ipbox.checks import counted
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


def pages(path: Path) -> tuple[tuple[int, int], np.dtype, list[int | None]]:
    """Size and dtype of the grey pages of a file, and where in it each begins; None where it is packed or in strips.

    Raises
    ------
    Unusable
        for pages of several sizes, colours, and numbers that mean anything but themselves.
    """
    import tifffile

    try:
        with _strict(), tifffile.TiffFile(path) as file:
            _check(file, path)
            series, page = file.series[0], file.pages.first
            if (
                "S" in series.axes
                or page.photometric != tifffile.PHOTOMETRIC.MINISBLACK
                or series.dtype.kind not in "iuf"
            ):
                raise Unusable(
                    f"{path} has pages {page.photometric.name} {series.axes} of {series.dtype}; expected grey frames"
                )
            shape, count = tuple(page.shape), series.size // page.size
            dtype = np.dtype(file.byteorder + series.dtype.char)
            if len(shape) != 2:
                raise Unusable(f"{path} has pages of shape {shape}; expected frames (rows, columns)")
            if series.dataoffset is not None:  # one piece, of whose pages the file may name the first one only
                return shape, dtype, [series.dataoffset + k * page.nbytes for k in range(count)]
            return shape, dtype, [None if one is None else _place(one) for one in series.pages]
    except tifffile.TiffFileError as err:
        raise ValueError(one_line(err)) from err


def read_pages(path: Path, numbers: Iterable[int]) -> Iterator[np.ndarray]:
    """Pages of a file, one after the other."""
    import tifffile

    try:
        with _strict(), tifffile.TiffFile(path) as file:
            _check(file, path)
            for k in numbers:
                yield file.series[0].pages[k].asarray()
    except tifffile.TiffFileError as err:
        raise ValueError(one_line(err)) from err
    except (ValueError, ImportError) as err:
        if "imagecodecs" not in str(err):
            raise
        raise Unusable(f"{path} is compressed, which needs imagecodecs: pip install imagecodecs") from err


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """What tifffile only logs, such as a chain of pages that breaks off, is an error."""
    told: list[logging.LogRecord] = []

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == threading.get_ident():
                told.append(record)

    handler = Told(logging.WARNING)
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    if told:
        raise ValueError(told[0].getMessage())


def _place(page: Any) -> int | None:
    """Where the page's numbers begin, if they lie in one piece as they are."""
    return page.dataoffsets[0] if page.is_contiguous else None


def _check_chain(path: Path) -> None:
    """The pages, each of which says where the next one is, come to an end; tifffile would go round and round."""
    size, seen = path.stat().st_size, set()
    with open(path, "rb") as file:
        head = file.read(16).ljust(16, b"\0")
        order = "<" if head[:2] == b"II" else ">"
        count, item, next_ = ("Q", 20, "Q") if struct.unpack(f"{order}H", head[2:4])[0] == 43 else ("H", 12, "I")
        at = struct.unpack_from(f"{order}{next_}", head, 8 if next_ == "Q" else 4)[0]
        while at:
            if at in seen:
                raise ValueError(f"its page at byte {at} follows itself")
            seen.add(at)
            file.seek(at)
            tags = file.read(struct.calcsize(count))
            end = at + len(tags) + item * struct.unpack(f"{order}{count}", tags)[0] if len(tags) > 1 else size
            if end >= size:  # tifffile says so
                return
            file.seek(end)
            told = file.read(struct.calcsize(next_))
            at = struct.unpack(f"{order}{next_}", told)[0] if len(told) == struct.calcsize(next_) else 0


def _check(file: Any, path: Path) -> None:
    """One array, of numbers that mean themselves, all of which is there."""
    import tifffile

    _check_chain(path)
    if len(file.series) != 1:
        shapes = ", ".join(str(one.shape) for one in file.series[:4])
        raise Unusable(
            f"{path} holds {counted(len(file.series), 'image')} ({shapes}); expected one, or pages of one size"
        )
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
    written = file.shaped_metadata[0].get("spacing") if file.shaped_metadata else None
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
