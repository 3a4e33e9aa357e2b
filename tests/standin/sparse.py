"""``cupyx.scipy.sparse``: building a matrix, its products and transpose, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from .array import from_payload, ndarray
from .calls import unsupported, unwrap, wrap
from .transfers import record


class spmatrix:
    """A device matrix in one of SciPy's formats; its products are with device arrays only."""

    __array_ufunc__ = None
    _format = ""

    def __init__(self, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False) -> None:
        if isinstance(arg1, spmatrix):
            arg1 = arg1._matrix
        elif scipy.sparse.issparse(arg1):
            record("H2D", arg1.shape)
        else:
            arg1 = unwrap(arg1, f"{self._format}_matrix")
        self._matrix = getattr(scipy.sparse, f"{self._format}_matrix")(arg1, shape=shape, dtype=dtype, copy=copy)

    shape = property(lambda self: self._matrix.shape)
    dtype = property(lambda self: self._matrix.dtype)
    nnz = property(lambda self: self._matrix.nnz)
    format = property(lambda self: self._format)
    ndim = 2
    data = property(lambda self: from_payload(self._matrix.data))
    indices = property(lambda self: from_payload(self._matrix.indices))
    indptr = property(lambda self: from_payload(self._matrix.indptr))
    T = property(lambda self: self.transpose())
    H = property(lambda self: self.conj().transpose())

    def get(self, stream: Any = None) -> Any:
        record("D2H", self.shape)
        return self._matrix.copy()

    def toarray(self, order: Any = None, out: Any = None) -> ndarray:
        return from_payload(self._matrix.toarray(order))

    def transpose(self) -> spmatrix:
        return _from_host(self._matrix.T)

    def conj(self) -> spmatrix:
        return _from_host(self._matrix.conj())

    def astype(self, dtype: Any) -> spmatrix:
        return _from_host(self._matrix.astype(dtype))

    def dot(self, other: Any) -> Any:
        if isinstance(other, spmatrix):
            return _from_host(self._matrix @ other._matrix)
        if isinstance(other, (ndarray, np.generic, int, float, complex)):
            return wrap(self._matrix.dot(unwrap(other, "sparse product")))
        raise unsupported(other, "sparse product")

    __matmul__ = dot

    def __rmatmul__(self, other: Any) -> Any:
        return self.transpose().dot(other.T).T

    def __mul__(self, other: Any) -> Any:
        result = self.dot(other)
        return result if isinstance(result, (ndarray, spmatrix)) else _from_host(result)

    __rmul__ = __mul__

    def __getattr__(self, name: str) -> Any:
        if name in ("tocsr", "tocsc", "tocoo", "todia"):
            return lambda copy=False: _from_host(getattr(self._matrix, name)(copy))
        raise AttributeError(f"the stand-in does not provide {name!r} of {type(self).__name__}")


def _class(name: str) -> type:
    return type(f"{name}_matrix", (spmatrix,), {"_format": name})


_CLASSES = {name: _class(name) for name in ("csr", "csc", "coo", "dia")}


def _from_host(matrix: Any) -> spmatrix:
    cls = _CLASSES[matrix.format]
    result = object.__new__(cls)
    result._matrix = matrix
    return result


def _eye(m: int, n: int | None = None, k: int = 0, dtype: Any = "d", format: str | None = None) -> spmatrix:
    return _from_host(scipy.sparse.eye(m, n, k, dtype=dtype, format=format or "dia"))


def contents() -> dict[str, Any]:
    """The names of the module ``cupyx.scipy.sparse``."""
    classes = {f"{name}_matrix": cls for name, cls in _CLASSES.items()}
    return classes | {
        "eye": _eye,
        "identity": lambda n, dtype="d", format=None: _eye(n, dtype=dtype, format=format),
        "issparse": lambda x: isinstance(x, spmatrix),
        "isspmatrix": lambda x: isinstance(x, spmatrix),
        "spmatrix": spmatrix,
    }
