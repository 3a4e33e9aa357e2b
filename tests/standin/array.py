"""The device array: a NumPy array that nobody outside the stand-in can reach.

It wraps instead of subclassing, so that no NumPy function accepts it by accident.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import api, cuda
from .arithmetic import Arithmetic
from .calls import forward, unwrap
from .indexing import Indexing
from .transfers import record

_DTYPES = "?bBhHiIlLqQefdFD"
_NO_CONVERSION = (
    "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
)


class Flags:
    """CuPy's flags: no ``writeable``, because CuPy has none."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous = bool(flags.c_contiguous), bool(flags.f_contiguous)
        self.owndata = bool(flags.owndata)
        self.forc = self.c_contiguous or self.f_contiguous
        self.fnc = self.f_contiguous and not self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        if name not in ("C_CONTIGUOUS", "F_CONTIGUOUS", "OWNDATA"):
            raise KeyError(f"{name} is not defined for cupy.ndarray.flags")
        return getattr(self, name.lower())


class ndarray(Indexing, Arithmetic):
    """Stand-in for ``cupy.ndarray``."""

    __slots__ = ("__weakref__", "_payload")
    __module__ = "cupy"
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"):
        if memptr is not None or strides is not None:
            raise NotImplementedError("the stand-in does not provide memptr= and strides= of cupy.ndarray")
        self._payload = _checked(np.empty(shape, dtype, order))

    # ---- attributes
    ndim = property(lambda self: self._payload.ndim)
    size = property(lambda self: self._payload.size)
    dtype = property(lambda self: self._payload.dtype)
    itemsize = property(lambda self: self._payload.itemsize)
    nbytes = property(lambda self: self._payload.nbytes)
    strides = property(lambda self: self._payload.strides)
    flags = property(lambda self: Flags(self._payload.flags))
    device = property(lambda self: cuda.Device(0))
    data = property(lambda self: cuda.MemoryPointer(self._payload))
    T = property(lambda self: from_payload(self._payload.T))
    mT = property(lambda self: from_payload(self._payload.mT))

    @property
    def base(self) -> ndarray | None:
        base = self._payload.base
        return from_payload(base) if isinstance(base, np.ndarray) else None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._payload.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        self._payload = self._payload.reshape(shape, copy=False)

    @property
    def real(self) -> ndarray:
        return self if self.dtype.kind != "c" else from_payload(self._payload.real)

    @real.setter
    def real(self, value: Any) -> None:
        self._payload.real = unwrap(value, "real")

    @property
    def imag(self) -> ndarray:
        return from_payload(self._payload.imag)  # a read-only zero array for real dtypes, as in NumPy

    @imag.setter
    def imag(self, value: Any) -> None:
        self._payload.imag = unwrap(value, "imag")

    def __len__(self) -> int:
        return len(self._payload)

    def __repr__(self) -> str:
        record("D2H", self.shape)
        return repr(self._payload)

    # ---- leaving the device, recorded
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError(_NO_CONVERSION)

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True):
        record("D2H", self.shape)
        if out is None:
            return self._payload.copy(order)
        if type(out) is not np.ndarray or (out.shape, out.dtype) != (self.shape, self.dtype):
            raise TypeError(f"out of get() must be a numpy.ndarray of shape {self.shape} and dtype {self.dtype}")
        np.copyto(out, self._payload)
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        record("H2D", arr.shape)
        np.copyto(self._payload, arr)

    def tolist(self) -> Any:
        record("D2H", self.shape)
        return self._payload.tolist()

    def tobytes(self, order: str = "C") -> bytes:
        record("D2H", self.shape)
        return self._payload.tobytes(order)

    def item(self) -> Any:
        return self._wait("item").item()

    def __float__(self) -> float:
        return float(self._wait("float"))

    def __int__(self) -> int:
        return int(self._wait("int"))

    def __complex__(self) -> complex:
        return complex(self._wait("complex"))

    def __bool__(self) -> bool:
        return bool(self._wait("bool"))

    def _wait(self, name: str) -> np.ndarray:
        record("sync", name)
        return self._payload

    # ---- copies and views
    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if casting is not None or subok is not None:
            raise TypeError("casting and subok of astype are not supported by CuPy")
        result = self._payload.astype(dtype, order=order, copy=copy)
        return self if result is self._payload else from_payload(result)

    def copy(self, order: str = "C") -> ndarray:
        return from_payload(self._payload.copy(order))

    def flatten(self, order: str = "C") -> ndarray:
        return from_payload(self._payload.flatten(order))

    def ravel(self, order: str = "C") -> ndarray:
        return from_payload(self._payload.ravel(order))

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> ndarray:
        return from_payload(self._payload.reshape(*shape, order=order, copy=copy))

    def transpose(self, *axes: Any) -> ndarray:
        return from_payload(self._payload.transpose(*axes))

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return from_payload(self._payload.view() if dtype is None else self._payload.view(dtype))

    def fill(self, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._payload.fill(unwrap(value, "fill"))

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        self._payload.sort(axis)

    def partition(self, kth: int, axis: int = -1) -> None:
        self._payload.partition(kth, axis)

    def put(self, indices: Any, values: Any, mode: str = "wrap") -> None:
        self._payload.put(unwrap(indices, "put"), unwrap(values, "put"), mode)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: dict) -> ndarray:
        return self.copy()

    def __reduce__(self) -> tuple:
        from .creation import array

        return array, (self.get(),)

    # ---- exchange without a copy
    @property
    def __cuda_array_interface__(self) -> dict:
        """For the simulator: the pointer is a host address."""
        contiguous = self.flags.c_contiguous
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "version": 3,
            "strides": None if contiguous else self.strides,
            "data": (self.data.ptr, False),
            "stream": 1,
        }

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None):
        # NumPy cannot read device memory.  Torch's CPU tensors play its CUDA tensors, so torch may.
        importer = sys._getframe(1).f_globals.get("__name__", "").split(".")[0]
        if importer not in ("torch", __name__.split(".")[0]):
            raise BufferError(f"Unsupported device: {importer} cannot import device memory by DLPack")
        return self._payload.__dlpack__(max_version=max_version, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._payload.__dlpack_device__()


def simulated_view(x: ndarray) -> Any:
    """What a kernel in Numba's CUDA simulator takes: it reads and writes the payload itself."""
    from numba import config

    if not config.ENABLE_CUDASIM:
        raise RuntimeError("kernels run on the stand-in only with NUMBA_ENABLE_CUDASIM=1 set before numba")
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(x._payload)


def _checked(payload: np.ndarray) -> np.ndarray:
    if payload.dtype.char not in _DTYPES:
        raise ValueError(f"Unsupported dtype {payload.dtype}")
    return payload


def from_payload(payload: np.ndarray) -> ndarray:
    """A device array on ``payload``, sharing its memory."""
    x = object.__new__(ndarray)
    x._payload = _checked(payload)
    return x


def _add_methods() -> None:
    """The methods that equal a NumPy function (sum, max, argmin, clip, ...), with CuPy's arguments."""
    for name in api.names("cupy.ndarray", "functions"):
        if name not in vars(ndarray) and not hasattr(Indexing, name) and hasattr(np, name):
            method = forward(getattr(np, name), f"cupy.ndarray.{name}", api.signature("cupy.ndarray", name, "a"))
            setattr(ndarray, name, method)


_add_methods()
