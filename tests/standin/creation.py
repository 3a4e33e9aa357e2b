"""Making device arrays: from the host (recorded), from other device arrays, by DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import from_payload, ndarray
from .calls import unsupported, unwrap
from .transfers import record


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool | None = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """``cupy.array``: host data is transferred, which is recorded; lists hold host or device data."""
    if isinstance(obj, ndarray):
        payload = np.array(obj._payload, dtype, copy=copy, order=order, ndmin=ndmin)
        return obj if payload is obj._payload else from_payload(payload)
    if isinstance(obj, (list, tuple)) and _holds_device(obj):
        return from_payload(np.array(unwrap(list(obj), "array"), dtype, order=order, ndmin=ndmin))
    if not isinstance(obj, (np.ndarray, np.generic, bool, int, float, complex, list, tuple, range)):
        raise unsupported(obj, "array")
    payload = np.array(obj, dtype, copy=True, order=order, ndmin=ndmin)
    if payload.dtype.kind in "OUSVMm":
        raise ValueError(f"Unsupported dtype {payload.dtype}")
    record("H2D", payload.shape)
    return from_payload(payload.astype(payload.dtype.newbyteorder("="), copy=False))


def _holds_device(items: Any) -> bool:
    return any(isinstance(i, ndarray) or (isinstance(i, (list, tuple)) and _holds_device(i)) for i in items)


def asarray(a: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None, blocking: bool = False):
    return array(a, dtype, copy, order or "K", blocking=blocking)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, None, "C", ndmin=1)


def asfortranarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, None, "F", ndmin=1)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    if isinstance(a, ndarray):
        return a.get(stream, order, out, blocking)
    return np.asarray(a, order=order)


def get_array_module(*args: Any) -> Any:
    import sys

    from .sparse import spmatrix

    device = any(isinstance(a, (ndarray, spmatrix)) for a in args)
    return sys.modules["cupy"] if device else np


def from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> ndarray:
    """Shares memory with another stand-in array or a torch CPU tensor (which plays a CUDA tensor here)."""
    if isinstance(array, np.ndarray):
        raise BufferError("Unsupported device: a numpy.ndarray is in host memory; use cupy.asarray")
    if device is not None:
        raise NotImplementedError("the stand-in does not provide device= of cupy.from_dlpack")
    return from_payload(np.from_dlpack(_Capsule(array), copy=copy))


class _Capsule:
    """Imports on behalf of the stand-in: ``ndarray.__dlpack__`` asks who its importer is."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._array.__dlpack__(max_version=kwargs.get("max_version"))  # without it NumPy reads only

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def result_type(*args: Any) -> np.dtype:
    return np.result_type(*[a.dtype if isinstance(a, ndarray) and a.ndim else unwrap(a, "result_type") for a in args])
