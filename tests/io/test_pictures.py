"""PNG, JPEG and TIFF files as other programs write them."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

import ipbox as ip
from ipbox.io.arrays import read_array

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
COLOURS = np.stack([GREY, GREY[::-1], 255 - GREY])  # channels first


def refused(path: Path, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ip.read_image(path)


# ---------------------------------------------------------------- PNG, JPEG


def test_png_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.PNG"
    opaque = Image.fromarray(np.dstack([*COLOURS, np.full_like(GREY, 255)]))
    wide = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2729
    for image, expected in (
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(wide), wide),
        (Image.fromarray(GREY > 100), GREY > 100),
        (Image.fromarray(COLOURS.transpose(1, 2, 0)), COLOURS),
        (opaque, COLOURS),
        (Image.fromarray(GREY).convert("LA"), GREY),
    ):
        image.save(path)
        u, spacing = ip.read_image(path)
        assert u.dtype == expected.dtype and np.array_equal(u, expected) and spacing is None and u.flags.c_contiguous
    four = Image.fromarray(COLOURS.transpose(1, 2, 0)).quantize(4)
    four.save(path)
    assert np.array_equal(ip.read_image(path)[0], np.asarray(four.convert("RGB")).transpose(2, 0, 1))


def test_jpeg_is_turned_as_the_camera_says(tmp_path: Path) -> None:
    """Exif orientation 6: the camera was held upright, and the file has the picture on its side."""
    photo = skimage.data.astronaut()[:64, :96]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(tmp_path / "a.jpg", quality=95, exif=exif)
    Image.fromarray(photo).save(tmp_path / "b.jpeg", quality=95)
    (turned, _), (plain, _) = ip.read_image(tmp_path / "a.jpg"), ip.read_image(tmp_path / "b.jpeg")
    assert plain.shape == (3, 64, 96) and np.array_equal(turned, np.rot90(plain, -1, axes=(1, 2)))
    assert ip.psnr(plain, photo.transpose(2, 0, 1)) > 30
    Image.fromarray(GREY).save(tmp_path / "c.jpg", quality=100)
    grey, _ = ip.read_image(tmp_path / "c.jpg", dtype="float32")
    assert grey.shape == GREY.shape and abs(grey - GREY).max() <= 2


def test_real_photograph_by_another_reader() -> None:
    path = Path(skimage.data.__file__).parent / "rocket.jpg"
    if not path.is_file():
        path = Path(skimage.data.__file__).parent / "astronaut.png"
    u, _ = ip.read_image(path)
    assert np.array_equal(u, skimage.io.imread(path).transpose(2, 0, 1))


def test_pictures_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.dstack([*COLOURS, GREY])).save(path)
    refused(path, "has transparent pixels; expected an opaque picture")
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY[::-1])])
    refused(path, "is an animation")
    path.write_bytes(png16(COLOURS.astype(np.uint16) * 257))
    refused(path, "has colours or opacity in 16 bits")
    Image.fromarray(GREY).save(path)
    content = path.read_bytes()
    for broken in (content[:-20], content[:20], content[:45] + b"\0\0" + content[47:], b"GIF89a" + content[6:], b""):
        path.write_bytes(broken)
        refused(path, "path is .*a.png, which is not a complete PNG or JPEG picture")
    path.write_bytes(png16(np.zeros((3, 1, 1), np.uint16), size=(13000, 13000)))
    refused(path, r"claims \d+ bytes of data; expected a complete file")
    Image.fromarray(COLOURS.transpose(1, 2, 0)).convert("CMYK").save(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "has colours as CMYK")
    with pytest.raises(ValueError, match="holds one array without a name"):
        ip.read_image(tmp_path / "a.jpg", dataset="x")


def png16(x: np.ndarray, size: tuple[int, int] | None = None) -> bytes:
    """A PNG with red, green and blue of 16 bits, which Pillow does not write."""
    rows, columns = size or x.shape[1:]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in x.transpose(1, 2, 0))
    parts = [(b"IHDR", columns.to_bytes(4) + rows.to_bytes(4) + bytes([16, 2, 0, 0, 0]))]
    parts += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    made = (len(of).to_bytes(4) + kind + of + zlib.crc32(kind + of).to_bytes(4) for kind, of in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


# ---------------------------------------------------------------- TIFF


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64", "complex64"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": False}, {"byteorder": ">"}, {"tile": (16, 16)}]
)
def test_tiff(tmp_path: Path, dtype: str, options: dict) -> None:
    volume = (np.arange(5 * 4 * 6).reshape(5, 4, 6) % 251).astype(dtype)
    for x in (volume[0], volume):
        tifffile.imwrite(tmp_path / "a.tif", x, photometric="minisblack", **options)
        u, spacing = ip.read_image(tmp_path / "a.tif")
        assert u.dtype == dtype and u.dtype.isnative and np.array_equal(u, x) and spacing is None
        assert np.array_equal(read_array(tmp_path / "a.tif"), x)


def test_tiff_of_many_pages_by_pillow(tmp_path: Path) -> None:
    """As detectors' software writes a stack: a page a projection."""
    pages = [Image.fromarray(np.roll(GREY, k).astype(np.uint16) * 100) for k in range(4)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    u, spacing = ip.read_image(tmp_path / "a.tif")
    assert u.shape == (4, 4, 6) and u.dtype == np.uint16 and spacing is None
    assert all(np.array_equal(page, np.asarray(image)) for page, image in zip(u, pages, strict=True))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_colours_come_first(tmp_path: Path, planar: str) -> None:
    for x in (COLOURS, COLOURS.astype(np.uint16) * 257):
        stored = x if planar == "separate" else x.transpose(1, 2, 0)
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
        u, _ = ip.read_image(tmp_path / "a.tif")
        assert u.dtype == x.dtype and np.array_equal(u, x)
    opaque = np.dstack([*COLOURS, np.full_like(GREY, 255)])
    tifffile.imwrite(tmp_path / "a.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(ip.read_image(tmp_path / "a.tif")[0], COLOURS)
    opaque[0, 0, 3] = 254
    tifffile.imwrite(tmp_path / "a.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    refused(tmp_path / "a.tif", "has transparent pixels")


def test_tiff_of_imagej_has_its_spacing(tmp_path: Path) -> None:
    volume = np.stack([GREY, GREY]).astype(np.float32)
    told = {"spacing": 5.0, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, resolution=(4.0, 2.0), metadata=told)
    u, spacing = ip.read_image(tmp_path / "a.tif")
    assert np.array_equal(u, volume) and spacing == pytest.approx((5e-3, 0.5e-3, 0.25e-3))


def test_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", 255 - GREY, photometric="miniswhite")
    assert np.array_equal(ip.read_image(tmp_path / "a.tif")[0], GREY)


def test_tiff_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(GREY, photometric="minisblack")
        file.write(GREY[:2], photometric="minisblack")
    refused(path, r"holds 2 images \(\(4, 6\), \(2, 6\)\); expected one, or pages of one size")
    tifffile.imwrite(path, GREY, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    refused(path, "has a palette")
    tifffile.imwrite(path, np.stack([GREY] * 3), photometric="minisblack")
    content = path.read_bytes()
    for broken in (content[:-30], content[:100], b"II*\0", b"", b"x" * 500):
        path.write_bytes(broken)
        refused(path, "path is .*a.tif, which is not a complete TIFF file of numbers")
    with pytest.raises(ValueError, match="holds one array without a name"):
        ip.read_image(path, dataset="x")


def test_a_compression_that_is_not_installed(tmp_path: Path) -> None:
    photo = Image.fromarray(skimage.data.camera())
    photo.save(tmp_path / "a.tif", compression="tiff_lzw")
    try:
        u, _ = ip.read_image(tmp_path / "a.tif")
    except ValueError as err:
        assert "is compressed (LZW), which needs imagecodecs" in str(err)  # noqa: PT017
    else:
        assert np.array_equal(u, skimage.data.camera())
