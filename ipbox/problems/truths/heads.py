"""The truth of the MRI problems: a head, with or without a smooth phase, or an image of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_flag
from ipbox.problems.truths import brains, datasets
from ipbox.problems.truths.own import GIVEN, REAL, check_size, own_image


def head_image(
    image: str | Array, size: int | None, index: int, patient: str, phase: bool, real_image: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    """The truth on the host, float64 or complex128, and what `ProblemInfo` has to tell of it.

    Parameters
    ----------
    image : str or array
        ``"head"`` (`ipbox.problems.truths.brains.brain_slice`), or a floating (ny, nx) image, taken as it is.
    size : int, optional
        Pixels a side.
    index, patient : int, str
        Which slice of whose head.
    phase : bool
        Give the head `smooth_phase`.
    real_image : bool
        The truth is to be real.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.truths.heads import head_image
    >>> u, about = head_image("head", 64, 11, "test", phase=True, real_image=False)
    >>> u.shape, u.dtype
    ((64, 64), dtype('complex128'))
    """
    check_flag(phase, "phase")
    check_flag(real_image, "real_image")
    dtype = np.float64 if real_image else np.complex128
    if isinstance(image, str):
        if image != "head":
            raise ValueError(f"image is {image!r}; expected 'head' or an image of your own")
        if phase and real_image:
            raise ValueError("phase and real_image are both True; expected a real image without a phase")
        u = brains.brain_slice(index, size, patient)
        about = datasets.credit("mr_brain") | {"extra": {"image": "head", "slice": int(index), "patient": patient}}
        return (u * np.exp(1j * smooth_phase(u.shape)) if phase else u).astype(dtype), about
    u = own_image(image, "'head' or an array (ny, nx)", (*REAL, "complex64", "complex128"))
    if u.dtype.kind == "c" and real_image:
        raise TypeError(f"image has dtype {u.dtype}; expected a real one with real_image=True")
    check_size(size, u)
    return u.astype(dtype), GIVEN | {"extra": {"image": "own"}}


def smooth_phase(shape: tuple[int, int]) -> np.ndarray:
    """A smooth phase in radians, as an off-resonance field leaves it: a quadratic polynomial, up to about π/2."""
    ny, nx = shape
    x = (np.arange(nx) - (nx - 1) / 2) / (nx / 2)
    y = ((ny - 1) / 2 - np.arange(ny)[:, None]) / (ny / 2)
    return 0.3 + 0.5 * x - 0.3 * y + 0.4 * x * y + 0.3 * (x**2 - y**2)
