"""What a panel reads, as the functions of this room take it: (views, rows, columns), or (views, columns)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import counted


def check_readings(x: Any, name: str, views: int = 1) -> Array:
    """An array (views, rows, columns) or (views, columns) of real finite numbers; ``views`` is how many at least."""
    backend.check_array(x, name, "an array (views, rows, columns) or (views, columns)")
    if x.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers")
    if x.ndim not in (2, 3) or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; expected (views, rows, columns) or (views, columns)")
    if len(x) < views:
        raise ValueError(f"{name} has {counted(len(x), 'view')}; expected at least {views}")
    if not bool(backend.array_module(x).isfinite(x).all()):
        raise ValueError(f"{name} has NaN or infinite entries; expected finite numbers")
    return x


def check_integrals(b: Any, name: str = "b", views: int = 1) -> Array:
    """Line integrals (views, rows, columns) or (views, columns), float32 or float64."""
    check_readings(b, name, views)
    if b.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} has dtype {b.dtype}; expected line integrals in float32 or float64")
    return b


def check_frames(x: Any, name: str, panel: tuple[int, ...]) -> Array:
    r"""Frames (n, \*panel), or one of shape ``panel``, which gets an axis."""
    backend.check_array(x, name, "an array of frames (n, rows, columns) or (n, columns)")
    if x.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers")
    frames = x[None] if x.shape == panel else x
    if frames.ndim != len(panel) + 1 or frames.shape[1:] != panel or len(frames) == 0:
        expected = ", ".join(map(str, panel))
        raise ValueError(f"{name} has shape {x.shape}; the panel is {panel}, expected (frames, {expected})")
    if not bool(backend.array_module(x).isfinite(x).all()):
        raise ValueError(f"{name} has NaN or infinite entries; expected finite numbers")
    return frames


def by_rows(x: Array) -> Array:
    """(views, rows, columns), also of one row."""
    return x if x.ndim == 3 else x[:, None]


def running_median(x: Array, size: int, *axes: int) -> Array:
    """Medians of ``size`` neighbours along each of the axes, the ends reflected; of fewer where there are fewer.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.measured.readings import running_median
    >>> running_median(np.array([1.0, 9.0, 2.0, 3.0]), 3, 0)
    array([1., 2., 3., 3.])
    """
    shape = tuple(min(size, n) if axis in axes else 1 for axis, n in enumerate(x.shape))
    return backend.ndimage_module(x).median_filter(x, size=shape, mode="reflect")
