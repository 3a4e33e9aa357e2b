"""Calling a NumPy or SciPy function on payloads, under CuPy's rules for names, arguments and operands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .transfers import record

# Arguments that describe a shape or an order: CuPy reads host integers there.
_SHAPE_LIKE = frozenset(
    "axes axis destination indices_or_sections n newshape pad_width reps s shape shift size source".split()
)
# Arguments that CuPy reads from the device only: no lists, no tuples.
_DATA = frozenset("a a1 a2 arr ary b in1 in2 input m v x x1 x2 y z".split())
_TAKES_LISTS = frozenset("ndim shape size array_equal array_equiv asfarray".split())
_WAITS = frozenset("argwhere extract flatnonzero nonzero setdiff1d unique unique_values".split())
_KEYWORDS = {"cupy.einsum": {"dtype", "optimize"}}  # behind CuPy's **kwargs


def unsupported(x: Any, where: str) -> TypeError:
    return TypeError(f"Unsupported type {type(x)} in {where}; expected a cupy.ndarray or a scalar")


def unwrap(x: Any, where: str) -> Any:
    """The payload of a device array; containers element by element; host and foreign arrays are refused."""
    from .array import ndarray

    if isinstance(x, ndarray):
        return x._payload
    if isinstance(x, (np.generic, type)) or x is None:
        return x
    if isinstance(x, (list, tuple)):
        items = [unwrap(i, where) for i in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    if isinstance(x, dict):
        return {k: unwrap(v, where) for k, v in x.items()}
    if hasattr(x, "__array__") or type(x).__module__.split(".")[0] in ("scipy", "torch"):
        raise unsupported(x, where)
    return x


def wrap(result: Any, known: tuple = ()) -> Any:
    """Device arrays for host arrays (0-d for NumPy scalars); payloads of ``known`` keep their wrapper."""
    from .array import from_payload, ndarray

    if isinstance(result, np.ndarray):
        for w in known:
            if isinstance(w, ndarray) and w._payload is result:
                return w
        return from_payload(result)
    if isinstance(result, np.generic):
        return from_payload(np.asarray(result))
    if isinstance(result, (list, tuple)):
        items = [wrap(i, known) for i in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    return result


def forward(function: Callable, name: str, signature: inspect.Signature) -> Callable:
    """``function`` on payloads, called as ``name`` with CuPy's ``signature``."""
    short = name.rsplit(".", 1)[-1]
    names = list(signature.parameters)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    host = _parameters(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as err:
            raise TypeError(f"{name}() {err}; CuPy's signature is {short}{signature}") from None
        extra = set(kwargs) - _KEYWORDS[name] if name in _KEYWORDS else ()
        if extra:
            raise TypeError(f"{name}() got an unexpected keyword argument {sorted(extra)[0]!r}")
        labelled = [(None if variadic else names[i], x) for i, x in enumerate(args)]
        positional = [_operand(x, n, name, short) for n, x in labelled]
        keywords = {n: _operand(x, n, name, short) for n, x in kwargs.items()}
        if host is not None and not variadic:
            positional, keywords = _translate(positional, keywords, names, host, name)
        if short in _WAITS or (short == "where" and len(args) + len(kwargs) == 1):
            record("sync", short)
        result = function(*positional, **keywords)
        if short in ("allclose", "array_equal", "array_equiv"):
            result = np.bool_(result)  # a 0-d device array in CuPy, a bool in NumPy
        return wrap(result, (*args, *kwargs.values()))

    call.__name__ = call.__qualname__ = short
    call.__module__ = name.rsplit(".", 1)[0]
    return call


def _operand(x: Any, parameter: str | None, name: str, short: str) -> Any:
    if isinstance(x, np.ndarray) and x.dtype.kind in "iub":
        if parameter in _SHAPE_LIKE:
            return x
        if parameter == "indices":
            record("H2D", x.shape)
            return x
    if parameter in _DATA and isinstance(x, (list, tuple)) and short not in _TAKES_LISTS:
        raise unsupported(x, name)
    return unwrap(x, name)


def _parameters(function: Callable) -> dict[str, inspect.Parameter] | None:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None


def _translate(positional: list, keywords: dict, names: list[str], host: dict, name: str) -> tuple[list, dict]:
    """CuPy's argument order to the host function's: by keyword wherever the positions differ."""
    by_position = [
        n for n, p in host.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in host.values())
    args: list = []
    kwargs = dict(keywords)
    for i, x in enumerate(positional):
        same = i < len(by_position) and by_position[i] == names[i]
        if len(args) == i and (same or names[i] not in host) and i < max(len(by_position), 1):
            args.append(x)
        else:
            kwargs[names[i]] = x
    for n, p in list(host.items())[len(args) :]:  # C functions take some arguments by position only
        if p.kind is not p.POSITIONAL_ONLY or n not in kwargs:
            break
        args.append(kwargs.pop(n))
    for n in [n for n in kwargs if n not in host and not takes_any]:
        if kwargs.pop(n) is not None:
            raise NotImplementedError(f"the stand-in does not provide {n}= of {name}")
    return args, kwargs
