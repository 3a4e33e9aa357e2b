"""Arrays that operators are made with, on the host and, from their first use there, on the device."""

from __future__ import annotations

import threading
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ipbox import backend
from ipbox.backend import Array


@runtime_checkable
class SparseMatrix(Protocol):
    """A sparse matrix, of SciPy or CuPy."""

    nnz: int


def entries(x: Any) -> Any:
    """The numbers that a sparse matrix stores; anything else as it is."""
    stored: Any = x
    return stored.data if isinstance(x, SparseMatrix) else stored


def host_array(
    x: Any, name: str, array: str, kinds: str = "fiu", numbers: str = "real numbers", dtype: Any = np.float64
) -> np.ndarray:
    """A read-only copy of an argument on the host, in ``dtype`` (None: its own), after checks.

    Raises
    ------
    TypeError
        for what is no NumPy or CuPy ``array``, or has another kind of dtype than those of the ``numbers`` expected.
    ValueError
        for NaN or infinite entries.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.core.held import host_array
    >>> host_array(np.arange(2), "weights", "an array of two weights")
    array([0., 1.])
    """
    backend.check_array(x, name, array)
    if x.dtype.kind not in kinds:
        raise TypeError(f"{name} has dtype {x.dtype}; expected {numbers}")
    copy = np.array(backend.to_host(x), dtype=dtype, order="C")
    if not np.isfinite(copy).all():
        raise ValueError(f"{name} has NaN or infinite entries; expected finite values")
    copy.flags.writeable = False
    return copy


class HeldArray:
    """A host array with its copy on the device; both are read only by convention.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.core.held import HeldArray
    >>> HeldArray(np.arange(3)).like(np.zeros(1))
    array([0, 1, 2])
    """

    def __init__(self, host: np.ndarray) -> None:
        self.host = host
        self._device: Array | None = None

    def like(self, x: Array) -> Array:
        """It in the library of ``x``; moved at the first call."""
        if not backend.is_device(x):
            return self.host
        if self._device is None:
            self._device = backend.to_device(self.host, backend.array_module(x))
        return self._device

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without what is on the device."""
        return HeldArray, (self.host,)


class Local(threading.local):
    """What each thread keeps for itself; a copy, or what is pickled, starts empty."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Local, ()
