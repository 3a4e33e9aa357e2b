"""A photograph that goes on beyond the field of view, for problems in which what lies outside is blurred in."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_choice
from ipbox.problems.truths import datasets, photographs
from ipbox.problems.truths.own import GIVEN, own_image

# grey photographs of skimage.data beside those of `photographs`
_MORE = ("moon", "text")


def scene(
    image: str | Array, size: int | None, margin: tuple[int, int]
) -> tuple[np.ndarray, tuple[slice, slice], dict[str, Any]]:
    """The scene, which part of it is the field of view, and what `ProblemInfo` has to tell.

    Parameters
    ----------
    image : str or array
        A photograph's name, averaged over pixels so that its middle square is ``size`` pixels and the margin, or an
        image of your own, taken as it is.
    size : int, optional
        Pixels a side of the field of view; 256 by default; None for an image of your own.
    margin : (int, int)
        Pixels of the scene above and below, left and right of the field of view.

    Raises
    ------
    ValueError, TypeError
        for an unknown photograph, a size beyond it, or an image that is not real, finite and larger than the margin.

    Examples
    --------
    >>> from ipbox.problems.truths.scenes import scene
    >>> u, view, about = scene("camera", 100, (3, 5))
    >>> u.shape, u[view].shape
    ((106, 110), (100, 100))
    """
    my, mx = margin
    if not isinstance(image, str):
        u = _own(image, size, margin)
        about = GIVEN | dict(units="x in the image's units, lengths in pixels", extra={"image": "own"})
    else:
        full = _photograph(image)
        n = 256 if size is None else size
        widest = min(full.shape) - 2 * max(margin)
        if not isinstance(n, numbers.Integral) or not 0 < n <= widest:
            raise ValueError(
                f"size is {size!r}; expected an integer from 1 to {widest}: {image!r} less what is blurred in from "
                f"outside the field of view"
            )
        side = n + 2 * max(margin)
        u = datasets.area_average(full, (side, side))
        u = np.ascontiguousarray(
            u[max(margin) - my : side - max(margin) + my, max(margin) - mx : side - max(margin) + mx]
        )
        about = dict(units="x in [0, 1], lengths in pixels", source=photographs.SOURCE, licence=photographs.LICENCE)
        about |= dict(extra={"image": image})
    view = (slice(my, u.shape[0] - my), slice(mx, u.shape[1] - mx))
    return u, view, about


def _photograph(name: str) -> np.ndarray:
    """The middle square of a photograph, float64 in [0, 1]."""
    known = sorted([*photographs.PHOTOGRAPHS, *_MORE])
    check_choice(name, "image", known, ", or an image of your own")
    return photographs.middle(name)


def _own(image: Array, size: int | None, margin: tuple[int, int]) -> np.ndarray:
    u = own_image(image, "a photograph's name or an array")
    if any(n <= 2 * m for n, m in zip(u.shape, margin, strict=False)):
        raise ValueError(
            f"image has shape {u.shape}; expected two axes of more than {tuple(2 * m for m in margin)} pixels, which "
            f"are blurred into the field of view from outside"
        )
    if size is not None:
        raise ValueError(f"size is {size}; expected none with an image of your own, which is taken as it is")
    return u.astype(np.float64)
