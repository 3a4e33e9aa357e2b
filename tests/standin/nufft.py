"""``cufinufft`` on the CPU: the Plan of cufinufft 2.5, with its options and checks, over FINUFFT."""

from __future__ import annotations

import ctypes
import warnings
from typing import Any

import finufft
import numpy as np

from .array import from_payload, ndarray


class _Options(ctypes.Structure):
    """cufinufft's options and their C types; any other (FINUFFT's ``nthreads``, ``fftw``, ...) is refused."""

    _fields_ = [
        ("upsampfac", ctypes.c_double),
        *((f"gpu_{name}", ctypes.c_int) for name in ("method", "sort", "binsizex", "binsizey", "binsizez")),
        *((f"gpu_{name}", ctypes.c_int) for name in ("obinsizex", "obinsizey", "obinsizez", "maxsubprobsize")),
        *((f"gpu_{name}", ctypes.c_int) for name in ("kerevalmeth", "spreadinterponly", "maxbatchsize", "device_id")),
        ("gpu_stream", ctypes.c_void_p),
        ("modeord", ctypes.c_int),
        ("gpu_np", ctypes.c_int),
        ("debug", ctypes.c_int),
    ]


class Plan:
    """Type 1 sums c_j exp(i s k.x_j) over the points, type 2 f_k exp(i s k.x_j) over the modes; s = isign."""

    def __init__(
        self,
        nufft_type: int,
        n_modes: Any,
        n_trans: int = 1,
        eps: float = 1e-6,
        isign: int | None = None,
        dtype: Any = "complex64",
        **kwargs: Any,
    ) -> None:
        self._dtype = np.dtype(dtype)
        if self._dtype not in (np.complex64, np.complex128):
            raise TypeError("Expected complex64 or complex128.")
        if nufft_type not in (1, 2):
            raise NotImplementedError(f"the stand-in provides cufinufft plans of type 1 and 2, not {nufft_type}")
        self._type = nufft_type
        self._n_modes = (int(n_modes),) if np.ndim(n_modes) == 0 else tuple(int(n) for n in n_modes)
        self._n_trans = n_trans
        if len(self._n_modes) not in (1, 2, 3):
            raise ValueError("Only dimensions 1, 2, and 3 supported")
        options = _Options(upsampfac=2.0)
        for name, value in kwargs.items():
            if name not in (field for field, _ in _Options._fields_):
                raise TypeError(f"Invalid option '{name}'")
            setattr(options, name, value)
        self._real = np.dtype(np.float32 if self._dtype == np.complex64 else np.float64)
        self._points: int | None = None
        self._plan = finufft.Plan(
            nufft_type,
            self._n_modes,
            n_trans,
            eps,
            isign if isign is not None else (1 if nufft_type == 1 else -1),
            dtype=self._dtype.name,
            nthreads=1,
            fftw=64,
            upsampfac=options.upsampfac,
            modeord=options.modeord,
        )

    type = property(lambda self: self._type)
    dtype = property(lambda self: self._dtype)
    dim = property(lambda self: len(self._n_modes))
    n_modes = property(lambda self: self._n_modes)
    n_trans = property(lambda self: self._n_trans)

    def setpts(self, x: Any, y: Any = None, z: Any = None, s: Any = None, t: Any = None, u: Any = None) -> None:
        """The M points: ``dim`` real device vectors of one length, in radians."""
        given = [_array(p, n, self._real) for p, n in ((x, "x"), (y, "y"), (z, "z")) if p is not None]
        if given[0].ndim != 1:
            raise TypeError("Argument `x` must be a vector")
        if len(given) != self.dim:
            raise TypeError(f"Plan dimension is {self.dim}, but {len(given)} coordinates were given")
        if any(p.shape != given[0].shape for p in given):
            raise TypeError(f"Argument `y` and `z` must be of shape {given[0].shape}")
        self._points = given[0].size
        self._plan.setpts(*(p._payload for p in given))

    def execute(self, data: Any, out: Any = None) -> ndarray:
        """The transform of ``data``; ``out`` is C-contiguous and of the exact shape."""
        if self._points is None:
            raise RuntimeError("Error executing plan.")
        data = _array(data, "data", self._dtype)
        core, result = ((self._points,), self._n_modes) if self._type == 1 else (self._n_modes, (self._points,))
        needed = (self._n_trans, *core)
        if data.size != int(np.prod(needed)):
            raise TypeError(f"Argument `data` must be of shape {needed}")
        shape = data.shape[: data.ndim - len(core)] + result
        if out is None:
            out = from_payload(np.empty(shape, self._dtype))
        out = _array(out, "out", self._dtype, output=True)
        if out.shape != shape:
            raise TypeError(f"Argument `out` must be of shape {shape}")
        batch = (self._n_trans,) if self._n_trans > 1 else ()
        values = data._payload.reshape(batch + core)
        self._plan.execute(values, out=out._payload.reshape(batch + result))
        return out


def _array(x: Any, name: str, dtype: np.dtype, output: bool = False) -> ndarray:
    if not isinstance(x, ndarray):
        raise TypeError(
            f"Invalid GPU array implementation: `{name}` is {type(x)}, which has no __cuda_array_interface__"
        )
    if x.dtype != dtype:
        raise TypeError(f"Argument `{name}` does not have the correct dtype: {x.dtype} was given, {dtype} was expected")
    if x.flags.c_contiguous:
        return x
    if output:
        raise TypeError(f"Argument `{name}` does not satisfy the following requirement: C")
    warnings.warn(f"Argument `{name}` is not C-contiguous. Copying array (this may reduce performance)", stacklevel=3)
    return x.copy()
