"""Images that a user gives in place of the truths kept here."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array

REAL = ("float32", "float64")
GIVEN = {"source": "given by the user", "licence": "the user's"}


def own_image(image: Array, expected: str, dtypes: tuple[str, ...] = REAL) -> np.ndarray:
    """``image`` on the host, which has to be finite and to have two axes; ``expected`` says what else it may be."""
    u = backend.to_host(backend.check_array(image, "image", expected))
    if u.ndim != 2 or u.size == 0:
        raise ValueError(f"image has shape {u.shape}; expected (ny, nx)")
    if u.dtype.name not in dtypes:
        call = f": image.astype({dtypes[0]!r})" if u.dtype.kind in "biu" else ""
        raise TypeError(f"image has dtype {u.dtype}; expected {', '.join(dtypes[:-1])} or {dtypes[-1]}{call}")
    if not np.isfinite(u).all():
        raise ValueError("image has NaN or infinite entries; expected finite values")
    return u


def check_size(size: Any, u: np.ndarray) -> None:
    """Refuse a ``size`` that an image of the user's has not."""
    if size is not None and u.shape != (size, size):
        raise ValueError(f"size is {size}; expected none, or that of the image, which has shape {u.shape}")
