"""Operators and NumPy's dispatch protocols of the device array."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from . import api
from .ufuncs import numpy_ufunc

_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift", "matmul": "matmul", "divmod": "divmod",
}  # fmt: skip
_COMPARE = {
    "lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal",
    "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "abs": "absolute", "invert": "invert"}


class Arithmetic:
    """``+ - * / @``, comparisons, their in-place forms, ``__array_ufunc__`` and ``__array_function__``."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or api.kind("cupy", ufunc.__name__) != "ufuncs":
            return NotImplemented
        return numpy_ufunc(ufunc.__name__)(*inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        from .array import ndarray

        try:
            path = (*func.__module__.split(".")[1:], func.__name__)
            own = functools.reduce(getattr, path, sys.modules["cupy"])
        except AttributeError:
            return NotImplemented
        if not all(t in (ndarray, np.ndarray) for t in types):
            return NotImplemented
        return own(*args, **kwargs)

    def __pos__(self) -> Any:
        return numpy_ufunc("positive")(self)


def _defers(x: Any) -> bool:
    """CuPy leaves the operation to an operand that opts out of ufuncs, or that claims a higher priority."""
    if isinstance(x, (Arithmetic, np.ndarray, np.generic, bool, int, float, complex)):
        return False
    if hasattr(x, "__array_ufunc__"):
        return x.__array_ufunc__ is None
    return getattr(x, "__array_priority__", 0) > 100


def _operator(name: str, reflected: bool) -> Any:
    def operator(self: Any, other: Any) -> Any:
        if _defers(other):
            return NotImplemented
        function = numpy_ufunc(name)
        return function(other, self) if reflected else function(self, other)

    return operator


def _power(self: Any, other: Any, modulo: None = None) -> Any:
    return _operator("power", False)(self, other)


def _in_place(name: str) -> Any:
    def operator(self: Any, other: Any) -> Any:
        return numpy_ufunc(name)(self, other, out=self)  # writes into the memory that views share

    return operator


def _unary(name: str) -> Any:
    return lambda self: numpy_ufunc(name)(self)


for _short, _name in _BINARY.items():
    setattr(Arithmetic, f"__{_short}__", _operator(_name, False))
    setattr(Arithmetic, f"__r{_short}__", _operator(_name, True))
    if _short not in ("matmul", "divmod"):  # CuPy has no in-place matmul: x @= y makes a new array
        setattr(Arithmetic, f"__i{_short}__", _in_place(_name))
for _short, _name in _COMPARE.items():
    setattr(Arithmetic, f"__{_short}__", _operator(_name, False))
for _short, _name in _UNARY.items():
    setattr(Arithmetic, f"__{_short}__", _unary(_name))
Arithmetic.__pow__ = _power
Arithmetic.__hash__ = None
