"""Tiles of photographs: many real images to learn from, and others to test on."""

from __future__ import annotations

import numpy as np

from ipbox.checks import check_choice, check_count
from ipbox.problems.truths.photographs import grey

__all__ = ["TEST", "TRAIN", "photograph_crops"]

# whole photographs are in one of the two, so that no test image shares a tile with training
TRAIN = ("astronaut", "coffee", "rocket", "cat", "moon", "brick", "gravel", "grass")
TEST = ("camera", "coins")


def photograph_crops(n: int, size: int, split: str = "train") -> np.ndarray:
    """Tiles of ``size`` x ``size`` pixels, at the photographs' own resolution.

    Parameters
    ----------
    n : int
        How many; the tile nearest to the middle of every photograph, then the next, and so on.
    size : int
        Pixels a side.
    split : {"train", "test"}
        Photographs to learn from (`TRAIN`), or others (`TEST`).

    Returns
    -------
    numpy.ndarray
        (n, size, size) float64 in [0, 1]; colours as luminance.

    Raises
    ------
    ValueError
        for another split, or more tiles than there are.

    Examples
    --------
    >>> from ipbox.problems.truths.crops import photograph_crops
    >>> photograph_crops(20, 256).shape
    (20, 256, 256)
    """
    check_choice(split, "split", ("train", "test"))
    check_count(n, "n")
    check_count(size, "size")
    tiles = [_tiles(name, size) for name in (TRAIN if split == "train" else TEST)]
    rounds = max((len(t) for t in tiles), default=0)
    ordered = [t[k] for k in range(rounds) for t in tiles if k < len(t)]
    if n > len(ordered):
        raise ValueError(
            f"n is {n}; expected at most {len(ordered)}, the tiles of {size} x {size} pixels in {split} photographs"
        )
    return np.stack(ordered[:n])


def _tiles(name: str, size: int) -> list[np.ndarray]:
    """The tiles of a photograph that do not overlap, around its middle."""
    u = grey(name)
    counts = [m // size for m in u.shape]
    i0, j0 = ((m - c * size) // 2 for m, c in zip(u.shape, counts, strict=True))
    places = [(i, j) for i in range(counts[0]) for j in range(counts[1])]
    places.sort(key=lambda place: sum((2 * p + 1 - c) ** 2 for p, c in zip(place, counts, strict=True)))
    return [u[i0 + i * size : i0 + (i + 1) * size, j0 + j * size : j0 + (j + 1) * size] for i, j in places]
