"""``cupy.random``: CuPy's Generator and RandomState methods, with their arguments and no others.

The streams differ from NumPy's for the same seed, as they do on a GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import api
from .array import from_payload, ndarray
from .calls import unwrap, wrap

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _floating(dtype: Any) -> np.dtype:
    dtype = np.dtype(dtype)
    if dtype not in _FLOATS:
        raise TypeError(f"Unsupported dtype {dtype} for random; CuPy draws float32 and float64")
    return dtype


def _method(owner: str, name: str) -> Any:
    signature = api.signature(f"cupy.random.{owner}", name, "self")

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            given = dict(signature.bind(self, *args, **kwargs).arguments)
        except TypeError as err:
            raise TypeError(f"{owner}.{name}() {err}; CuPy's signature is {signature}") from None
        del given["self"]
        return self._draw(name, given)

    method.__name__ = name
    return method


def _with_methods(cls: type) -> type:
    for name in api.names(f"cupy.random.{cls.__name__}", "functions"):
        if name not in vars(cls):
            setattr(cls, name, _method(cls.__name__, name))
    return cls


@_with_methods
class Generator:
    """``cupy.random.Generator``: takes device arrays and Python numbers, returns device arrays."""

    def __init__(self, bit_generator: Any) -> None:
        self.bit_generator = bit_generator
        self._host = np.random.Generator(bit_generator.host)

    def _draw(self, name: str, given: dict[str, Any]) -> Any:
        out = given.pop("out", None)
        given.pop("method", None)
        dtype = given.pop("dtype", None)
        for n, x in given.items():
            if n not in ("size", "endpoint") and not isinstance(x, (ndarray, int, float)):
                raise ValueError(f"{n} is required to be a cupy.ndarray or a scalar")
        if out is not None and not isinstance(out, ndarray):
            raise TypeError(f"Unsupported output array type {type(out)}")
        arguments = {n: unwrap(x, name) for n, x in given.items()}
        if name == "integers":
            arguments["dtype"] = np.int64 if dtype is None else dtype
        elif dtype is not None:
            dtype = _floating(dtype)
        if out is not None:
            if dtype is not None and dtype != out.dtype or arguments.get("size", out.shape) not in (None, out.shape):
                raise ValueError("size and dtype must match those of the output array")
            arguments["size"], dtype = out.shape, out.dtype
        if name in ("random", "standard_normal", "standard_exponential") and dtype is not None:
            arguments["dtype"] = dtype
        values = np.asarray(getattr(self._host, name)(**arguments))
        if out is not None:
            out._payload[...] = values
            return out
        keep = name == "integers" or dtype is None
        return from_payload(values if keep else values.astype(dtype, copy=False))


class BitGenerator:
    """CuPy's bit generators, over one of NumPy's that ``numpy.random.default_rng`` does not use."""

    def __init__(self, seed: Any = None, *, size: int = -1) -> None:
        self.host = np.random.SFC64(seed)


class XORWOW(BitGenerator):
    """CuPy's default bit generator."""


class MRG32k3a(BitGenerator):
    """Another one."""


class Philox4x3210(BitGenerator):
    """Another one."""


def default_rng(seed: Any = None) -> Generator:
    if isinstance(seed, Generator):
        return seed
    if isinstance(seed, BitGenerator):
        return Generator(seed)
    if isinstance(seed, (np.random.Generator, np.random.BitGenerator)):
        raise TypeError(f"Unsupported seed type {type(seed)}; expected an int, a cupy BitGenerator or Generator")
    return Generator(XORWOW(seed))


@_with_methods
class RandomState:
    """``cupy.random.RandomState``: the older interface, float64 unless ``dtype`` is given."""

    def __init__(self, seed: Any = None, method: int = 100) -> None:
        self._host = np.random.RandomState(seed)

    def seed(self, seed: Any = None) -> None:
        self._host.seed(seed)

    def rand(self, *size: int, **kwargs: Any) -> ndarray:
        return self.random_sample(size=size, **kwargs)

    def randn(self, *size: int, **kwargs: Any) -> ndarray:
        return self.standard_normal(size=size, **kwargs)

    def _draw(self, name: str, given: dict[str, Any]) -> Any:
        dtype = given.pop("dtype", None)
        values = getattr(self._host, name)(**unwrap(given, name))
        if name in ("permutation", "shuffle") or values is None or dtype is None:
            return wrap(values)
        return from_payload(np.asarray(values).astype(dtype))


def contents() -> dict[str, Any]:
    """The names of the module ``cupy.random``."""
    shared = RandomState()
    functions = {
        name: getattr(shared, name)
        for name in api.names("cupy.random", "functions")
        if hasattr(RandomState, name) and name != "tomaxint"
    }
    functions.update(
        {name: shared.random_sample for name in ("random", "ranf", "sample")},
        BitGenerator=BitGenerator,
        Generator=Generator,
        MRG32k3a=MRG32k3a,
        Philox4x3210=Philox4x3210,
        RandomState=RandomState,
        XORWOW=XORWOW,
        default_rng=default_rng,
        get_random_state=lambda: shared,
    )
    return functions
