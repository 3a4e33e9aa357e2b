"""Photographs (from scikit-image) as grey test images."""

from __future__ import annotations

import numpy as np

from ipbox.checks import check_choice, check_integer
from ipbox.problems.truths import datasets

__all__ = ["LICENCE", "PHOTOGRAPHS", "SOURCE", "photograph"]

# name -> the photographer or publisher
PHOTOGRAPHS = {
    "astronaut": "NASA, Eileen Collins",
    "brick": "CC0Textures, Bricks25",
    "camera": "Lav Varshney",
    "cat": "Stefan van der Walt, Chelsea",
    "coffee": "Rachel Michetti",
    "coins": "coins from Pompeii, Brooklyn Museum",
    "grass": "Linolafett",
    "gravel": "CC0Textures, Gravel04",
    "rocket": "SpaceX",
}
SOURCE = "scikit-image (skimage.data)"
LICENCE = "CC0, public domain, or no known copyright restrictions: see the docstrings of skimage.data"
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721])  # of ITU-R BT.709, as skimage.color.rgb2gray


def photograph(name: str = "camera", size: int | None = None) -> np.ndarray:
    """The middle square of a photograph, in grey.

    Parameters
    ----------
    name : str
        One of `PHOTOGRAPHS`: ``"astronaut"``, ``"brick"``, ``"camera"``, ``"cat"``, ``"coffee"``, ``"coins"``,
        ``"grass"``, ``"gravel"`` or ``"rocket"``.
    size : int, optional
        Pixels a side, at most those of the photograph (512; coins 303, cat 300, coffee 400, rocket 427), which is the
        default; smaller ones are exact area averages.

    Returns
    -------
    numpy.ndarray
        (size, size) float64 in [0, 1]; colours as luminance.

    Raises
    ------
    ValueError
        for an unknown name, or a size that is not positive or beyond the photograph's.

    Examples
    --------
    >>> from ipbox.problems.truths.photographs import photograph
    >>> u = photograph("camera", size=128)
    >>> u.shape, bool(0 <= u.min() and u.max() <= 1)
    ((128, 128), True)
    """
    check_choice(name, "name", PHOTOGRAPHS)
    u = middle(name)
    n = len(u)
    size = n if size is None else check_integer(size, "size", 1, n, f", the pixels of {name!r}")
    return datasets.area_average(u, (size, size))


def grey(name: str) -> np.ndarray:
    """A photograph of scikit-image in grey, with values in [0, 1]."""
    from skimage import data

    u = getattr(data, name)().astype(np.float64) / 255.0
    return u @ _LUMINANCE if u.ndim == 3 else u


def middle(name: str) -> np.ndarray:
    """The largest square in the middle of a grey photograph."""
    u = grey(name)
    n = min(u.shape)
    i, j = ((m - n) // 2 for m in u.shape)
    return u[i : i + n, j : j + n]
