"""The truth of the MRI problems: a head, with or without a smooth phase, or an image of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.problems.truths import brains, datasets


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
    for name, value in (("phase", phase), ("real_image", real_image)):
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} is {value!r}; expected True or False")
    dtype = np.float64 if real_image else np.complex128
    if isinstance(image, str):
        if image != "head":
            raise ValueError(f"image is {image!r}; expected 'head' or an image of your own")
        if phase and real_image:
            raise ValueError("phase and real_image are both True; expected a real image without a phase")
        u = brains.brain_slice(index, size, patient)
        data = datasets.DATASETS["mr_brain"]
        extra = {"image": "head", "slice": int(index), "patient": patient}
        about = dict(source=data.source, licence=data.licence, extra=extra)
        return (u * np.exp(1j * smooth_phase(u.shape)) if phase else u).astype(dtype), about
    if not backend.is_array(image):
        raise TypeError(f"image is {type(image).__name__}; expected 'head' or an array (ny, nx)")
    u = backend.to_host(image)
    if u.ndim != 2 or u.size == 0:
        raise ValueError(f"image has shape {u.shape}; expected (ny, nx)")
    if u.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
        raise TypeError(f"image has dtype {u.dtype}; expected float32, float64, complex64 or complex128")
    if u.dtype.kind == "c" and real_image:
        raise TypeError(f"image has dtype {u.dtype}; expected a real one with real_image=True")
    if not np.isfinite(u).all():
        raise ValueError("image has NaN or infinite entries; expected finite values")
    if size is not None and u.shape != (size, size):
        raise ValueError(f"size is {size}; expected none, or that of the image, which has shape {u.shape}")
    return u.astype(dtype), dict(source="given by the user", licence="the user's", extra={"image": "own"})


def smooth_phase(shape: tuple[int, int]) -> np.ndarray:
    """A smooth phase in radians, as an off-resonance field leaves it: a quadratic polynomial, up to about π/2."""
    ny, nx = shape
    x = (np.arange(nx) - (nx - 1) / 2) / (nx / 2)
    y = ((ny - 1) / 2 - np.arange(ny)[:, None]) / (ny / 2)
    return 0.3 + 0.5 * x - 0.3 * y + 0.4 * x * y + 0.3 * (x**2 - y**2)
