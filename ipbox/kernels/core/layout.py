"""What arrays the kernels take: the checks, one sentence per error, and the views with one batch axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import Array, array_module, is_array
from ipbox.checks import counted

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_COMPLEX = (np.dtype(np.complex64), np.dtype(np.complex128))


def check_arrays(written: tuple[str, ...], allow_complex: bool = False, **arrays: Any) -> None:
    """Arrays of one library and one floating dtype, C-contiguous, those in ``written`` not read-only."""
    allowed = _FLOATS + _COMPLEX if allow_complex else _FLOATS
    expected = "float32, float64, complex64 or complex128" if allow_complex else "float32 or float64"
    first = None
    for name, x in arrays.items():
        if not is_array(x):
            raise TypeError(f"{name} is a {type(x).__name__}; expected a NumPy or CuPy array")
        if x.dtype not in allowed:
            raise TypeError(f"{name} has dtype {x.dtype}; expected {expected}")
        if first is None:
            first, dtype = name, x.dtype
        elif x.dtype != dtype:
            raise TypeError(f"{name} has dtype {x.dtype}; expected {dtype}, the dtype of {first}")
        if not x.flags.c_contiguous:
            raise ValueError(f"{name} has strides {x.strides}; expected a C-contiguous array (nothing is copied)")
        if name in written and isinstance(x, np.ndarray) and not x.flags.writeable:
            raise ValueError(f"{name} is read-only; expected an array that may be written to")
    array_module(*arrays.values())


def check_ndim(ndim: int, name: str, x: Array) -> None:
    """``ndim`` is 2 or 3, and the images ``x`` have at least so many axes."""
    if ndim not in (2, 3):
        raise ValueError(f"ndim is {ndim!r}; expected 2 or 3")
    if x.ndim < ndim:
        raise ValueError(f"{name} has shape {x.shape}; expected at least ndim = {counted(ndim, 'axis')}")


def check_field(ndim: int, name: str, y: Array, of: str, x: Array) -> None:
    """``y`` is a vector field over the images ``x``."""
    shape = x.shape[: x.ndim - ndim] + (ndim,) + x.shape[x.ndim - ndim :]
    if y.shape != shape:
        raise ValueError(f"{name} has shape {y.shape}; expected {shape}, a vector field over {of} of shape {x.shape}")


def check_field_over(image: str, field: str, ndim: int, written: tuple[str, ...], **arrays: Any) -> None:
    """`check_arrays`, of which that named ``field`` is a vector field over the images named ``image``."""
    check_arrays(written, **arrays)
    check_ndim(ndim, image, arrays[image])
    check_field(ndim, field, arrays[field], image, arrays[image])


def check_same_shape(of: str, x: Array, **arrays: Array) -> None:
    """All ``arrays`` have the shape of ``x``."""
    for name, a in arrays.items():
        if a.shape != x.shape:
            raise ValueError(f"{name} has shape {a.shape}; expected {x.shape}, the shape of {of}")


def check_distinct(x: Array, x_bar: Array) -> None:
    """``x`` and ``x_bar`` are different memory: both are written in one pass."""
    if x is x_bar or (isinstance(x, np.ndarray) and np.may_share_memory(x, x_bar)):
        raise ValueError("x_bar shares memory with x; expected two separate arrays")


def unit_of(radius: float, real: Any) -> Any:
    """The power of two next to 1/radius, in the dtype ``real``: times it, what is about the radius has squares.

    Examples
    --------
    >>> import numpy as np
    >>> float(unit_of(3e20, np.float32)) == 2.0**-69, float(unit_of(0.0, np.float64))
    (True, 1.0)
    """
    exponent, most = math.frexp(radius)[1] if 0 < radius < math.inf else 0, np.finfo(real).maxexp - 2
    return real(math.ldexp(1.0, min(max(-exponent, -most), most)))


def images(x: Array, ndim: int) -> Array:
    """The view (batch, n0, n1, n) of images; n0 = 1 in two dimensions, n1 too in one."""
    batch, dims = x.shape[: x.ndim - ndim], x.shape[x.ndim - ndim :]
    return x.reshape((math.prod(batch),) + (1,) * (3 - ndim) + dims)


def fields(y: Array, ndim: int) -> Array:
    """The view (batch, components, n0, n1, n) of vector or tensor fields."""
    *batch, components = y.shape[: y.ndim - ndim]
    return y.reshape((math.prod(batch), components) + (1,) * (3 - ndim) + y.shape[y.ndim - ndim :])


def check_accuracy(accuracy: Any, n: int) -> np.ndarray:
    """One non-negative float64 for each of ``n`` samples."""
    accuracy = np.asarray(accuracy)
    if accuracy.shape != (n,) or accuracy.dtype != np.float64 or not (accuracy >= 0).all():
        raise ValueError(
            f"accuracy has shape {accuracy.shape} and dtype {accuracy.dtype}; expected {(n,)} non-negative float64"
        )
    return np.ascontiguousarray(accuracy)
