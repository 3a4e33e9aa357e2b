"""Reading and writing parts of the device array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .calls import unwrap
from .transfers import record


class Indexing:
    """Slices are views that share memory; index arrays pick elements; a single element is a 0-d array."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        from .array import from_payload

        index, masked = _index(key)
        if masked:
            record("sync", "boolean index")  # the size of the result is known on the device only
        return from_payload(self._payload[index])

    def __setitem__(self, key: Any, value: Any) -> None:
        index, _ = _index(key)
        if isinstance(value, np.ndarray):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        if isinstance(value, (list, tuple)):
            raise TypeError(f"Unsupported type {type(value)} in setitem")
        self._payload[index] = unwrap(value, "setitem")

    def __iter__(self) -> Iterator[Any]:
        if self._payload.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self._payload)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def scatter_add(self, slices: Any, value: Any) -> None:
        np.add.at(self._payload, _index(slices)[0], unwrap(value, "scatter_add"))

    def scatter_max(self, slices: Any, value: Any) -> None:
        np.maximum.at(self._payload, _index(slices)[0], unwrap(value, "scatter_max"))

    def scatter_min(self, slices: Any, value: Any) -> None:
        np.minimum.at(self._payload, _index(slices)[0], unwrap(value, "scatter_min"))


def _index(key: Any) -> tuple[tuple, bool]:
    """The NumPy index of a CuPy index, and whether it holds a boolean mask."""
    from .array import ndarray

    parts, masked = [], False
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, (np.ndarray, list)):  # CuPy moves host indices to the device without a word
            part = np.asarray(part, dtype=None if len(part) else int)
            record("H2D", part.shape)
        elif isinstance(part, ndarray):
            part = part._payload
        if isinstance(part, np.ndarray):
            if part.dtype.kind not in "iub":
                raise IndexError("arrays used as indices must be of integer or boolean type")
            masked |= part.dtype.kind == "b"
        parts.append(part)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)  # so that NumPy returns a 0-d view, not a scalar
    return tuple(parts), masked
