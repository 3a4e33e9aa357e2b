"""Projections as a detector counts them: order of axes, flat and dark fields, the logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_finite, shown
from ipbox.keywords import answering


@answering
def line_integrals(
    counts: Array, flat: Array | float, dark: Array | float = 0.0, *, floor: float = 1e-4, dtype: Any = None
) -> tuple[Array, int]:
    r"""Line integrals of what a detector counted.

    .. math:: b = -\log\max\Bigl(\frac{I - D}{F - D}, \text{floor}\Bigr)

    Parameters
    ----------
    counts : array
        I, (..., angles, detector): integers, or floats.
    flat, dark : array or float
        F without the object, D without the beam (zero): a number; (detector,), or (..., detector) for all angles; or
        frames, (..., frames, detector) with as many axes as ``counts``, whose mean is taken.
    floor : float
        The least transmission that is believed, in (0, 1): what is below, zero counts and fewer than the dark field's
        included, has its value.
    dtype : float32 or float64, optional
        Of b; without it that of ``counts``, float32 for integers.

    Returns
    -------
    b : array
        Of the shape of ``counts``, on its device.
    clamped : int
        How many entries were below the floor.

    Raises
    ------
    TypeError, ValueError
        for arrays that are not real or finite, fields that do not fit, a flat field that is not above the dark one.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> counts = np.array([[1000, 110, 90]], dtype="uint16")
    >>> b, clamped = ip.line_integrals(counts, flat=1100, dark=100)
    >>> b.round(3).tolist(), clamped
    ([[0.10499999672174454, 4.605000019073486, 9.210000038146973]], 1)
    """
    _check(counts, "counts", 1)
    check_between(floor, "floor", 0.0, 1.0)
    try:
        to = np.dtype(("float32" if counts.dtype.kind in "iub" else counts.dtype) if dtype is None else dtype)
    except TypeError as err:
        raise TypeError(f"dtype is {shown(dtype)}; expected float32 or float64") from err
    if to not in (np.float32, np.float64):
        raise TypeError(f"dtype is {to}; expected float32 or float64")
    xp = backend.array_module(counts)
    light, none = (_field(value, name, counts, xp) for value, name in ((flat, "flat"), (dark, "dark")))
    whole = light - none
    if not bool((whole > 0).all()):
        raise ValueError(
            f"flat is not above dark in {int((whole <= 0).sum())} of {whole.size} detector pixels; expected more with "
            "the beam than without it"
        )
    transmission = (counts - none) / whole  # float64: counts may be unsigned
    clamped = int((transmission < floor).sum())
    return (-xp.log(xp.maximum(transmission, floor))).astype(to), clamped


def _field(value: Any, name: str, counts: Array, xp: Any) -> Any:
    """The field in float64, with an axis for the angles; frames are averaged."""
    if not backend.is_array(value):
        return xp.full((1,) * counts.ndim, check_finite(value, name), dtype=np.float64)
    _check(value, name, 1)
    shape = value.shape
    value = xp.asarray(value, dtype=np.float64)
    if value.ndim == counts.ndim and counts.ndim > 1:
        value = value.mean(axis=-2, keepdims=True)
    elif value.ndim < counts.ndim:
        value = xp.expand_dims(value, -2) if value.ndim > 1 else value
    fits = zip(value.shape[::-1], counts.shape[::-1], strict=False)
    if value.ndim > counts.ndim or any(n not in (1, of) for n, of in fits) or value.shape[-1] != counts.shape[-1]:
        raise ValueError(
            f"{name} has shape {shape}; counts have {counts.shape}, expected (..., frames, detector) or less"
        )
    return value


def _check(x: Any, name: str, least: int) -> None:
    if not backend.is_array(x):
        raise TypeError(f"{name} is {type(x).__name__}; expected an array")
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers")
    if x.ndim < least or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; expected (..., angles, detector)")
    if not bool(backend.array_module(x).isfinite(x).all()):
        raise ValueError(f"{name} has NaN or infinite entries; expected finite numbers")


def looks_like_counts(b: Array) -> bool:
    """Whether data (..., angles, detector) are brightest at the detector's ends, where no object is, and darker inside.

    Line integrals are about zero there.  Of an object that reaches beyond the detector this says nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.io.raw.projections import looks_like_counts
    >>> b = np.sin(np.linspace(0, np.pi, 50)) * np.ones((30, 1))
    >>> looks_like_counts(b), looks_like_counts(1000 * np.exp(-b))
    (False, True)
    """
    profile = np.asarray(b, dtype=np.float64).reshape(-1, b.shape[-1]).mean(axis=0)
    n = max(1, profile.size // 20)
    ends, inner = min(profile[:n].mean(), profile[-n:].mean()), profile[n:-n]
    if profile.size < 8 or float(b.min()) < 0 or ends <= 0:
        return False
    return bool(inner.min() < 0.9 * ends and profile.max() < 1.25 * ends)


def in_order(array: np.ndarray, order: Sequence[str], what: str) -> np.ndarray:
    """The array with its axes, which ``order`` names, as (slices, angles, detector), or without those it lacks.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.io.raw.projections import in_order
    >>> in_order(np.zeros((180, 5, 64)), ("angles", "slices", "detector"), "scan").shape
    (5, 180, 64)
    """
    if array.ndim != len(order):
        raise ValueError(f"{what} has shape {array.shape}; expected ({', '.join(order)})")
    wanted = [name for name in ("slices", "angles", "detector") if name in order]
    return array.transpose([list(order).index(name) for name in wanted])
