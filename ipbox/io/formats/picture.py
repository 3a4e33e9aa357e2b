"""PNG and JPEG pictures by Pillow: grey values (rows, columns), or red, green and blue first."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from ipbox.io.checks import Bounded, Unusable, check_claim, one_line

_GREY = {"1": bool, "L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.uint16}


def read_picture(path: Path, dataset: str | None = None) -> np.ndarray:
    """The picture as `read_image` returns it, the right way up as a camera has noted it; uint8, uint16 or bool."""
    from PIL import Image, ImageOps

    if dataset is not None:
        raise Unusable(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    try:
        with warnings.catch_warnings(), Bounded(path) as file:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large is checked here, against the file
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                check_claim(image.width * image.height * len(image.getbands()) * 2, path)
                _check(image, path)
                image.load()
                return _array(ImageOps.exif_transpose(image), path)
    except Image.DecompressionBombError as err:
        raise Unusable(f"{path} has more pixels than Pillow opens ({one_line(err)})") from err


def _check_chunks(path: Path) -> None:
    """The checksums, which Pillow does not compare for the pixels."""
    with Bounded(path) as file:
        file.seek(8)
        while head := file.read(8):
            length, kind = struct.unpack(">I4s", head)
            data, checksum = file.read(length), file.read(4)
            if len(data) != length or len(checksum) != 4:
                raise EOFError(f"it ends before its chunk {kind!r} does")
            if zlib.crc32(kind + data) != int.from_bytes(checksum, "big"):
                raise ValueError(f"the checksum of its chunk {kind!r} is another")
            if kind == b"IEND":
                return


def _check(image: Any, path: Path) -> None:
    if getattr(image, "n_frames", 1) != 1:
        raise Unusable(f"{path} is an animation; expected one picture")
    if image.format == "PNG":
        _check_chunks(path)
        with open(path, "rb") as file:
            depth, colours = file.read(26)[24:]
        if depth == 16 and colours != 0:  # Pillow would drop half of the bits
            raise Unusable(f"{path} has colours or opacity in 16 bits; expected grey values, or 8 bits (TIFF has both)")


def _array(image: Any, path: Path) -> np.ndarray:
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        if image.getchannel("A").getextrema() != (255, 255):
            raise Unusable(f"{path} has transparent pixels; expected an opaque picture")
        image = image.convert(image.mode[:-1])
    if image.mode in _GREY:
        return np.asarray(image).astype(_GREY[image.mode])
    if image.mode != "RGB":
        raise Unusable(f"{path} has colours as {image.mode}; expected grey values or red, green and blue")
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def write_png(file: IO[bytes], x: np.ndarray, window: tuple[float, float] | None) -> None:
    """Grey values of 8 or 16 bits, or (3, rows, columns) of 8 as they are; else the window to 0 and 255, clipped."""
    from PIL import Image

    if window is not None:
        low, high = window
        x = np.rint(np.clip((x - np.float64(low)) / (np.float64(high) - low), 0, 1) * 255).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(x.transpose(1, 2, 0)) if x.ndim == 3 else x).save(file, format="PNG")
