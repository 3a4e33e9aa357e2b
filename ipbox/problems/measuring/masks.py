"""Masks for inpainting: True where a pixel is known."""

from __future__ import annotations

import math

import numpy as np

from ipbox.checks import check_choice, is_number, shown

MASKS = ("random", "block", "text")
_TEXT = "Inverse problems: what you measure is seldom what you want to know. "


def inpainting_mask(
    kind: str, shape: tuple[int, int], missing: float | None = None, seed: int = 0, text: str = _TEXT
) -> np.ndarray:
    """A mask of missing pixels.

    Parameters
    ----------
    kind : str
        ``"random"``: pixels are missing at random; ``"block"``: a rectangle in the middle is; ``"text"``: an image that
        was written over.
    shape : (ny, nx)
    missing : float, optional
        Share of missing pixels in (0, 1): 0.5 at random, 0.05 for the block.  Not for text.
    seed : int
        Seed of the random pixels.
    text : str
        What is written, again and again, in lines.

    Returns
    -------
    numpy.ndarray
        (ny, nx) bool, True where the pixel is known; both values occur.

    Raises
    ------
    ValueError
        for an unknown kind, a share outside (0, 1) or given for text, or an image too small for it.

    Examples
    --------
    >>> from ipbox.problems.measuring.masks import inpainting_mask
    >>> inpainting_mask("block", (6, 6), missing=0.1).astype(int)
    array([[1, 1, 1, 1, 1, 1],
           [1, 1, 1, 1, 1, 1],
           [1, 1, 0, 0, 1, 1],
           [1, 1, 0, 0, 1, 1],
           [1, 1, 1, 1, 1, 1],
           [1, 1, 1, 1, 1, 1]])
    """
    check_choice(kind, "mask", MASKS, ", or a mask of your own")
    if kind == "text" and missing is not None:
        raise ValueError(f"missing is {missing}; expected none with mask='text', whose letters decide")
    share = {"random": 0.5, "block": 0.05, "text": 0.0}[kind] if missing is None else missing
    if not is_number(share) or not (0 < share < 1 or kind == "text"):
        raise ValueError(f"missing is {shown(missing)}; expected a share in (0, 1)")
    known = {"random": _random, "block": _block, "text": _written}[kind](shape, float(share), seed, text)
    if known.all() or not known.any():
        raise ValueError(f"mask {kind!r} of {shape} pixels leaves none known or none missing; expected a larger image")
    return known


def _random(shape: tuple[int, int], share: float, seed: int, text: str) -> np.ndarray:
    """Exactly the share, rounded, is missing."""
    known = np.ones(math.prod(shape), dtype=bool)
    known[np.random.default_rng(seed).permutation(known.size)[: round(share * known.size)]] = False
    return known.reshape(shape)


def _block(shape: tuple[int, int], share: float, seed: int, text: str) -> np.ndarray:
    known = np.ones(shape, dtype=bool)
    sides = [max(1, round(n * math.sqrt(share))) for n in shape]
    known[tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(shape, sides, strict=True))] = False
    return known


def _written(shape: tuple[int, int], share: float, seed: int, text: str) -> np.ndarray:
    """Lines of text with letters of about a twelfth of the height, each line set on where the last one ended."""
    from PIL import Image, ImageDraw, ImageFont

    ny, nx = shape
    height = max(9, ny // 12)
    page = Image.new("L", (nx, ny), 0)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=height)
    start = 0
    for top in range(height // 3, ny, round(1.6 * height)):
        line = (text * 2)[start:] + text * (1 + nx // max(1, len(text)))
        pen.text((2, top), line, fill=255, font=font)
        start = (start + max(1, len(text) // 3)) % len(text)
    return np.asarray(page) < 128
