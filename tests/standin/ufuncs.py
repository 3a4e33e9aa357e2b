"""CuPy's universal functions on the stand-in's arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .calls import unsupported, unwrap, wrap

_REDUCE = {"add": ("sum", "cumsum"), "multiply": ("prod", "cumprod")}
_SCATTER = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}


class ufunc:
    """An elementwise function: device arrays and scalars in, device arrays (0-d included) out."""

    def __init__(self, function: Callable, name: str) -> None:
        self._function = function
        self.name = self.__name__ = name
        self.nin = getattr(function, "nin", None)
        self.nout = getattr(function, "nout", 1)

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.name}'>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from .array import ndarray

        wrong = set(kwargs) - {"out", "dtype", "casting"}
        if wrong:
            raise TypeError(f"Wrong arguments {sorted(wrong)} of {self!r}; CuPy's ufuncs take out, dtype, casting")
        for x in args:
            if not isinstance(x, (ndarray, np.generic, bool, int, float, complex)):
                raise unsupported(x, self.name)
        out = kwargs.pop("out", None)
        if isinstance(out, tuple) and len(out) == 1:
            out = out[0]
        if out is not None:
            if not all(isinstance(o, ndarray) for o in (out if isinstance(out, tuple) else (out,))):
                raise TypeError(f"return arrays must be of cupy.ndarray type, got {type(out)} in {self.name}")
            kwargs["out"] = unwrap(out, self.name)
        result = self._function(*unwrap(args, self.name), **kwargs)
        if out is not None:
            return out
        return wrap(result, args)

    def outer(self, a: Any, b: Any, **kwargs: Any) -> Any:
        return self(a.reshape(a.shape + (1,) * b.ndim), b, **kwargs)

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False):
        return getattr(array, self._method(0, "reduce"))(axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        return getattr(array, self._method(1, "accumulate"))(axis, dtype, out)

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        if self.name not in _SCATTER:
            raise NotImplementedError(f"cupy.{self.name}.at is not implemented in CuPy")
        self._function.at(unwrap(a, "at"), unwrap(indices, "at"), unwrap(b, "at"))

    def _method(self, which: int, name: str) -> str:
        if self.name not in _REDUCE:
            raise NotImplementedError(f"cupy.{self.name}.{name} is not implemented in CuPy")
        return _REDUCE[self.name][which]


_UFUNCS: dict[str, ufunc] = {}


def numpy_ufunc(name: str) -> ufunc:
    """The stand-in's ``cupy.<name>``, one object per name."""
    if name not in _UFUNCS:
        _UFUNCS[name] = ufunc(getattr(np, name), name)
    return _UFUNCS[name]
