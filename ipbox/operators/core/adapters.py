"""Foreign operators and matrices, of PyLops, SciPy, NumPy and CuPy, as operators of ours."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pylops

from ipbox import backend
from ipbox.backend import Array
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.held import SparseMatrix
from ipbox.operators.core.subsets import OrderedSubsets, check_subset


class PyLopsOperator(Operator):
    """A foreign `LinearOperator` of PyLops or SciPy with N-D `apply`; results are brought back to its declared dtype.

    SciPy's operators are flat: dims is (n,).
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, op: Any) -> None:
        self.op = op
        if op.dtype is None or np.dtype(op.dtype).char not in "fdFD":
            raise TypeError(f"A has dtype {op.dtype}; expected float32, float64, complex64 or complex128")
        (m, n), name = op.shape, type(op).__name__
        if isinstance(op, pylops.LinearOperator):
            m, n, name = op.dimsd, op.dims, op.name or name
        super().__init__(n, m, op.dtype, name=name)

    def _apply(self, x: Array, out: Array) -> None:
        for xi, oi in zip(x, out, strict=True):
            value = self.op.matvec(xi.reshape(-1)).reshape(oi.shape)
            if value.dtype.kind == "c" and oi.dtype.kind != "c":
                raise TypeError(f"{self.name} has dtype {self.dtype_out} and gave {value.dtype}; expected what it says")
            oi[...] = value

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        for yi, oi in zip(y, out, strict=True):
            value = self.op.rmatvec(yi.reshape(-1)).reshape(oi.shape)
            oi[...] = value if oi.dtype.kind == "c" else value.real


class MatrixOperator(OrderedSubsets, PyLopsOperator):
    """A matrix, dense or sparse (CSR or CSC), on flat images: dims (n,), dimsd (m,).

    `as_operator` makes it.  `subset` takes rows.

    Parameters
    ----------
    matrix : array or sparse matrix, (m, n)

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    >>> A.subset([0, 2]).apply(np.array([1.0, 3.0]))
    array([1., 6.])
    """

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        super().__init__(pylops.MatrixMult(matrix, dtype=matrix.dtype))

    @property
    def nonnegative(self) -> bool:
        """Whether no entry is negative (or complex)."""
        stored = self.matrix.data if isinstance(self.matrix, SparseMatrix) else self.matrix
        return self.dtype_in.kind == "f" and bool((stored >= 0).all())

    def subset(self, indices: Any) -> MatrixOperator:
        """The rows ``indices``: for data ``b``, its data are ``b[indices]``.

        Parameters
        ----------
        indices : slice or array of int

        Raises
        ------
        ValueError, TypeError
            for no rows, an index out of range, or indices that are not integers.
        """
        chosen = check_subset(indices, self.dimsd[0])
        if backend.is_array(self.matrix):
            xp = backend.array_module(self.matrix)
            return MatrixOperator(self.matrix[indices if isinstance(indices, slice) else xp.asarray(chosen)])
        return MatrixOperator(self.matrix.tocsr()[chosen])

    def entry_sums(self, power: int, rows: bool) -> Array:
        """Σ |a_ij|^power over each row, or each column."""
        sums = abs(self.matrix)
        sums = sums.power(power) if isinstance(self.matrix, SparseMatrix) else sums**power
        sums = sums.sum(axis=1 if rows else 0)
        return np.asarray(sums).reshape(-1) if not backend.is_device(sums) else sums.reshape(-1)


def as_operator(op: Any) -> Operator:
    """``op`` as an `Operator`: one of ours as it is; a PyLops or SciPy operator, or a 2-D matrix, wrapped.

    Matrices may be dense or sparse (SciPy's arrays and matrices, or CuPy's); they and SciPy's operators are flat,
    with dims (n,) and dimsd (m,).

    Raises
    ------
    TypeError
        for anything else, and for integers or other dtypes than float32, float64, complex64 and complex128.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.as_operator(np.eye(3)[:2]).apply(np.array([1.0, 2.0, 3.0]))
    array([1., 2.])
    """
    if isinstance(op, Operator):
        return op
    sparse = isinstance(op, SparseMatrix)
    if (backend.is_array(op) or sparse) and op.ndim == 2:
        if sparse and op.format not in ("csr", "csc"):  # products are slow, and PyLops misreads some
            op = op.tocsr()
        return MatrixOperator(op)
    if is_foreign(op) and not sparse:
        return PyLopsOperator(op)
    raise TypeError(f"A is {type(op).__name__}; expected an ipbox, PyLops or SciPy operator, or a 2-D matrix")


def is_foreign(op: Any) -> bool:
    """Whether ``op`` is a PyLops or SciPy operator, or a sparse matrix: not a dense one, which may as well be data."""
    from scipy.sparse.linalg import LinearOperator

    return isinstance(op, pylops.LinearOperator | LinearOperator | SparseMatrix)
