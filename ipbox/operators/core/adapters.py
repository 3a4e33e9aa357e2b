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

    SciPy's operators are flat: dims is (n,).  ``ends`` gives shapes and dtypes instead: see `matched`.
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, op: Any, ends: Any = None) -> None:
        self.op = op
        if op.dtype is None or np.dtype(op.dtype).char not in "fdFD":
            raise TypeError(f"A has dtype {op.dtype}; expected float32, float64, complex64 or complex128")
        (m, n), name = op.shape, type(op).__name__
        if isinstance(op, pylops.LinearOperator):
            m, n, name = op.dimsd, op.dims, op.name or name
        (n, dtype_in), (m, dtype_out) = ends or ((n, op.dtype), (m, op.dtype))
        super().__init__(n, m, dtype_in, dtype_out, name=name)

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


def matched(op: Any, A: Operator) -> Operator:
    """``op`` as an `Operator` to be added to ``A``: a foreign one that is flat takes the shapes and dtypes of A.

    Examples
    --------
    >>> import pylops, ipbox as ip
    >>> from ipbox.operators.core.adapters import matched
    >>> tuple(matched(pylops.Identity(6), ip.Identity((2, 3))).dims)
    (2, 3)
    """
    op = as_operator(op)
    return _with_ends(op, A.ends) if op.shape == A.shape else op


def matched_image(op: Operator, A: Operator) -> Operator:
    """``op`` for images as ``A`` takes them, and data of its own shape: see `matched`."""
    own = tuple(op.dimsd), A.dtype_out
    return _with_ends(op, (A.ends[0], own)) if op.shape[1] == A.shape[1] else op


def of_precision(op: Any, dtype: np.dtype) -> Operator:
    """``op`` as an `Operator`, a foreign one in the precision of ``dtype``."""
    op = as_operator(op)
    same = op.dtype_out.kind == dtype.kind
    return _with_ends(op, (op.ends[0][:1] + (dtype,), op.ends[1][:1] + (dtype,))) if same else op


def _with_ends(op: Operator, ends: Any) -> Operator:
    """A foreign operator between other shapes, where it is flat, and dtypes, where nothing complex becomes real."""
    if not isinstance(op, PyLopsOperator) or op.ends == ends:
        return op
    flat = all(len(own) == 1 or own == shape for (own, _), (shape, _) in zip(op.ends, ends, strict=True))
    lost = op.dtype_out.kind == "c" and ends[1][1].kind != "c"
    return PyLopsOperator(op.op, ends) if flat and not lost else op


def is_foreign(op: Any) -> bool:
    """Whether ``op`` is a PyLops or SciPy operator, or a sparse matrix: not a dense one, which may as well be data."""
    from scipy.sparse.linalg import LinearOperator

    return isinstance(op, pylops.LinearOperator | LinearOperator | SparseMatrix)
