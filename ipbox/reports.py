"""What a run was and what it found, as JSON holds it: numbers, strings, lists and dictionaries."""

from __future__ import annotations

import dataclasses
import math
import numbers
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ipbox import summary

MOST = 1000  # entries of an array that are told one by one
_PACKAGES = ("numpy", "scipy", "pylops", "pyproximal", "numba", "finufft")
_DEEPEST = 8


def versions() -> dict[str, str]:
    """Of ipbox, Python and the packages that compute.

    Examples
    --------
    >>> from ipbox.reports import versions
    >>> list(versions())[:3]
    ['ipbox', 'python', 'platform']
    """
    told = {
        "ipbox": vars(sys.modules["ipbox"])["__version__"],
        "python": sys.version.split()[0],
        "platform": sys.platform,
    }
    for name in (*_PACKAGES, *(name for name in ("cupy", "torch") if name in sys.modules)):
        try:
            told[name] = version(name)
        except PackageNotFoundError:  # CuPy's distribution is named after CUDA
            told[name] = str(vars(sys.modules[name])["__version__"]) if name in sys.modules else "not installed"
    return told


def ready(value: Any, deep: int = _DEEPEST) -> Any:
    """The value as JSON holds it.

    Numbers that JSON lacks are the strings ``"nan"``, ``"inf"`` and ``"-inf"``, complex ones pairs.  Arrays of up to
    1000 entries are lists, larger ones told by shape and dtype; dataclasses are dictionaries of what their ``repr``
    shows; anything else is its ``repr``, without addresses.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.reports import ready
    >>> ready({"lam": np.float32(0.5), "bound": np.inf, "u": np.zeros((99, 99))})
    {'lam': 0.5, 'bound': 'inf', 'u': {'shape': [99, 99], 'dtype': 'float64'}}
    """
    from ipbox import backend

    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, numbers.Complex):
        return [ready(value.real), ready(value.imag)]
    if backend.is_array(value):
        if value.ndim == 0:
            return ready(value.item(), deep)
        if value.size > MOST:
            return {"shape": list(value.shape), "dtype": str(value.dtype)}
        return ready(backend.to_host(value).tolist(), deep)
    if deep > 0:
        if isinstance(value, Mapping):
            return {str(key): ready(of, deep - 1) for key, of in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [ready(of, deep - 1) for of in value]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return fields(value, deep - 1)
    elif isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"{type(value).__name__} of {len(value)}"
    return bool(value) if type(value).__name__ == "bool" else summary.of_value(value)


def fields(obj: Any, deep: int = _DEEPEST) -> dict[str, Any]:
    """Those fields of a dataclass that its ``repr`` shows."""
    return {field.name: ready(vars(obj)[field.name], deep) for field in dataclasses.fields(obj) if field.repr}


def of_fields(obj: Any) -> dict[str, Any]:
    """What this tells, as a dictionary that ``json.dump`` writes: its fields, and the versions of the packages.

    Numbers that JSON lacks are the strings ``"nan"``, ``"inf"`` and ``"-inf"``; arrays of more than 1000 entries are
    told by shape and dtype.

    Returns
    -------
    dict

    Examples
    --------
    >>> import json, ipbox as ip
    >>> A, b, _, _ = ip.problem("ct", size=32, views=20)
    >>> x, run = ip.fbp(A, b, filter="hann")
    >>> report = run.report()
    >>> report["method"], report["filter"], json.loads(json.dumps(report)) == report
    ('fbp', 'hann', True)
    """
    return fields(obj) | {"versions": versions()}
