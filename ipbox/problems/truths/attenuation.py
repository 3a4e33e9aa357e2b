"""A CT image that a user gives, as attenuation on pixels of a known width."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_positive, is_number, shown
from ipbox.io.hounsfield import hu_to_attenuation
from ipbox.problems.truths.own import GIVEN, check_size, own_image
from ipbox.warning import warn

UNITS = ("attenuation", "HU")
SQUARE = 1e-3  # widths of a pixel that differ by less are one


def own_slice(
    image: Any, size: int | None, pixel_size: Any, units: str | None, expected: str
) -> tuple[np.ndarray, float, dict[str, Any]]:
    """The image in float64, the width of its pixels (1 where nothing tells it), and what to say about it.

    ``image`` is an array, or the pair (array, spacing) of `read_image`.  What looks like Hounsfield units is converted
    with a warning, unless ``units`` says what it is.
    """
    if units is not None:
        check_choice(units, "units", UNITS)
    if isinstance(image, tuple | list) and len(image) == 2 and backend.is_array(image[0]):
        image, spacing = image
        pixel_size = spacing if pixel_size is None else pixel_size
    width = None if pixel_size is None else square(pixel_size)
    hounsfield = units == "HU" or (units is None and looks_hounsfield(image))
    if hounsfield and backend.is_array(image) and image.dtype.kind in "iu":
        image = image.astype("float64")  # as scanners store them; `hu_to_attenuation` would do the same
    u = own_image(image, expected).astype(np.float64)
    check_size(size, u)
    if hounsfield:
        _tell(u, width, units)
        about = dict(units="x in 1/mm, lengths in mm", unit="1/mm", extra={"given": "HU"})
        u = hu_to_attenuation(u)
    elif width is None:
        about = dict(units="x in the image's units per pixel, lengths in pixels", extra={})
    else:
        about = dict(units="x in the image's units, lengths in mm", extra={})
    return u, width or 1.0, about | {"masked": False} | GIVEN


def _tell(u: np.ndarray, width: float | None, units: str | None) -> None:
    """What was not said of an image in Hounsfield units, and is supposed."""
    missing = ["pixel_size= in mm"] if width is None else []
    missing += ["units='HU', or 'attenuation' to take it as it is"] if units is None else []
    if missing:
        looks, pixels = "is in" if units else "looks like", ", on pixels of 1 mm" if width is None else ""
        warn(
            f"image {looks} Hounsfield units, from {u.min():g} to {u.max():g}, and is taken as attenuation in "
            f"1/mm{pixels}; expected {' and '.join(missing)}",
            RuntimeWarning,
        )


def square(pixel_size: Any) -> float:
    """The width of square pixels, given as one number or as one for each of two axes."""
    if is_number(pixel_size):
        return check_positive(pixel_size, "pixel_size", "a positive width in mm")
    widths = tuple(pixel_size) if isinstance(pixel_size, tuple | list | np.ndarray) else ()
    if len(widths) != 2:
        raise ValueError(f"pixel_size is {shown(pixel_size)}; expected a positive width in mm, or one for each axis")
    h, w = (check_positive(v, "pixel_size", "positive widths in mm") for v in widths)
    if abs(h - w) > SQUARE * max(h, w):
        raise ValueError(f"pixel_size is ({h:g}, {w:g}); expected square pixels: an image resampled to them")
    return 0.5 * (h + w)


def looks_hounsfield(image: Array) -> bool:
    """Whether the values reach from air (about -1000) to tissue or beyond, as no attenuation does."""
    if not backend.is_array(image) or image.dtype.kind not in "iuf" or image.size == 0:
        return False
    low, high = float(image.min()), float(image.max())
    return -2100 < low < -500 and high < 32768 and high - low > 500
