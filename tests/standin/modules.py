"""The module objects: every recorded name of CuPy's is answered by NumPy or SciPy on payloads."""

from __future__ import annotations

import importlib.machinery
import types
from typing import Any

import numpy as np

from . import api
from .calls import forward, unwrap, wrap
from .ufuncs import numpy_ufunc, ufunc


class StandinModule(types.ModuleType):
    """Names come from ``contents``, then from ``source`` where CuPy has them; others do not exist."""

    def __init__(self, name: str, source: Any = None, contents: dict[str, Any] | None = None) -> None:
        super().__init__(name, f"Stand-in for {name} of CuPy {api.VERSION}.")
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, origin="stand-in", is_package=True)
        self.__path__ = []
        self.__dict__["_source"] = source
        self.__dict__.update(contents or {})

    def __dir__(self) -> list[str]:
        return sorted(set(api.names(self.__name__)) | set(self.__dict__))

    def __getattr__(self, name: str) -> Any:
        kind = api.kind(self.__name__, name)
        if kind is None or name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} of CuPy {api.VERSION} has no attribute {name!r}")
        value = self.__dict__[name] = self._answer(name, kind)
        return value

    def _answer(self, name: str, kind: str) -> Any:
        full = f"{self.__name__}.{name}"
        host = getattr(self._source, name, None)
        if kind == "classes" and isinstance(host, type) and (name in _CLASSES or issubclass(host, _HOST_CLASSES)):
            return host
        if kind == "values" and (name == "newaxis" or host is not None):
            return host
        if kind == "ufuncs" and host is not None:
            return numpy_ufunc(name) if self.__name__ == "cupy" else ufunc(host, name)
        if kind == "functions" and host is not None:
            return forward(host, full, api.signature(self.__name__, name))
        return _missing(full)


# Classes that describe types, limits and errors: the same objects in CuPy.
_CLASSES = frozenset("dtype finfo iinfo ndindex bool".split())
_HOST_CLASSES = (np.generic, Exception)


def _missing(full: str) -> type:
    """A name that imports, and says so when it is used."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"the stand-in does not provide {full}")

    return type(full.rsplit(".", 1)[-1], (), {"__init__": refuse, "__module__": full.rsplit(".", 1)[0]})


class Grid:
    """``mgrid``, ``ogrid``, ``r_`` and ``c_``, which make device arrays."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getitem__(self, key: Any) -> Any:
        return wrap(self._source[unwrap(key, "index")])


GRIDS = {name: Grid(getattr(np, name)) for name in ("mgrid", "ogrid", "r_", "c_")}
