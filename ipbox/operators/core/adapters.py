"""Foreign operators and matrices, of PyLops, SciPy, NumPy and CuPy, as operators of ours."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_dims, check_flag, shown
from ipbox.keywords import answering
from ipbox.operators.core.base import ALL_DTYPES, Operator
from ipbox.operators.core.foreign import pylops
from ipbox.operators.core.held import SparseMatrix, entries
from ipbox.operators.core.norms import library
from ipbox.operators.core.subsets import OrderedSubsets, check_subset
from ipbox.operators.core.user import operator

Shape = tuple[int, ...]


class PyLopsOperator(Operator):
    """A foreign `LinearOperator` of PyLops or SciPy with N-D `apply`; results are brought back to its declared dtype.

    SciPy's operators are flat: dims is (n,).  ``ends`` gives shapes and dtypes instead: see `between`.  Of those that
    PyLops says are linear over the reals only (real FFTs, `Real`, `Imag`), a side that comes out real is real.

    Examples
    --------
    >>> import numpy as np, pylops, ipbox as ip
    >>> A = ip.as_operator(pylops.FirstDerivative((4,), dtype="float64"))
    >>> type(A).__name__, A.apply(np.arange(4.0))
    ('PyLopsOperator', array([0., 1., 1., 0.]))
    """

    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES

    def __init__(self, op: Any, ends: Any = None, is_flat: bool = False) -> None:
        if not is_foreign(op):
            raise TypeError(f"op is {type(op).__name__}; expected a linear operator of PyLops or SciPy")
        self.op = op
        if op.dtype is None or np.dtype(op.dtype).char not in "fdFD":
            as_type = ", named in its parts as a type (numpy.float32), not as text" if "<U" in str(op.dtype) else ""
            as_type = ": A.astype('float64')" if op.dtype is not None and op.dtype.kind in "biu" else as_type
            raise TypeError(f"A has dtype {op.dtype}; expected float32, float64, complex64 or complex128{as_type}")
        (m, n), name = op.shape, type(op).__name__
        if isinstance(op, pylops.LinearOperator):
            m, n, name = op.dimsd, op.dims, op.name or name
        pairs = () if ends is None else ends
        if not isinstance(pairs, tuple) or not all(isinstance(end, tuple) and len(end) == 2 for end in pairs):
            raise TypeError(f"ends is {shown(ends)}; expected ((shape, dtype), (shape, dtype)) of images and of data")
        check_flag(is_flat, "is_flat")
        self.is_flat = np.size(n) == 1 if ends is None else is_flat
        (n, dtype_in), (m, dtype_out) = ends or zip((n, m), _dtypes(op), strict=True)
        super().__init__(n, m, dtype_in, dtype_out, name=name)

    def between(self, ends: Any, is_flat: bool = False) -> PyLopsOperator:
        """It between other arrays, ((shape, dtype), (shape, dtype)); ``is_flat`` says whether it stays so."""
        return PyLopsOperator(self.op, ends, is_flat)

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


def _dtypes(op: Any) -> tuple[Any, Any]:
    """Of images and data: the dtype that ``op`` declares, but for sides that are real where that is complex."""
    if not isinstance(op, pylops.LinearOperator) or op.clinear or np.dtype(op.dtype).kind != "c":
        return op.dtype, op.dtype
    zero = [backend.to_device(np.zeros(n, op.dtype), library(op)) for n in op.shape]
    return op.rmatvec(zero[0]).dtype, op.matvec(zero[1]).dtype


class MatrixOperator(OrderedSubsets, PyLopsOperator):
    """A matrix, dense or sparse (CSR or CSC), on flat images, dims (n,) and dimsd (m,), or on such of given shapes.

    `as_operator` makes it.  `subset` takes rows: all of an entry of the data's first axis.

    Parameters
    ----------
    matrix : array or sparse matrix, (m, n)
    ends : tuple, optional
        (shape, dtype) of images, and of data.
    is_flat : bool
        Whether these shapes are those of vectors that may as well be images.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    >>> A.subset([0, 2]).apply(np.array([1.0, 3.0]))
    array([1., 6.])
    """

    def __init__(self, matrix: Any, ends: Any = None, is_flat: bool = False) -> None:
        if not (backend.is_array(matrix) or isinstance(matrix, SparseMatrix)):
            raise TypeError(f"matrix is {type(matrix).__name__}; expected an array or a sparse matrix")
        self.matrix = matrix
        super().__init__(pylops.MatrixMult(matrix, dtype=matrix.dtype), ends, is_flat)

    def between(self, ends: Any, is_flat: bool = False) -> MatrixOperator:
        return MatrixOperator(self.matrix, ends, is_flat)

    @property
    def nonnegative(self) -> bool:  # type: ignore[override]  # read only: the matrix tells
        """Whether no entry is negative (or complex)."""
        stored = entries(self.matrix)
        return self.dtype_in.kind == "f" and bool((stored >= 0).all())

    def subset(self, indices: Any) -> MatrixOperator:
        """The rows of ``indices`` on the data's first axis: for data ``b``, its data are ``b[indices]``.

        Parameters
        ----------
        indices : slice or array of int

        Raises
        ------
        ValueError, TypeError
            for no rows, an index out of range, or indices that are not integers.
        """
        chosen = check_subset(indices, self.dimsd[0])
        (images, dtype), (data, dtype_out) = self.ends
        ends = (images, dtype), ((len(chosen), *data[1:]), dtype_out)
        if backend.is_array(self.matrix) and isinstance(indices, slice) and len(data) == 1:
            return MatrixOperator(self.matrix[indices], ends, self.is_flat)  # a view
        rows = np.arange(self.shape[0]).reshape(data)[chosen].reshape(-1)
        if backend.is_array(self.matrix):
            return MatrixOperator(self.matrix[backend.array_module(self.matrix).asarray(rows)], ends, self.is_flat)
        return MatrixOperator(self.matrix.tocsr()[rows], ends, self.is_flat)

    def entry_sums(self, power: int, rows: bool) -> Array:
        """Σ |a_ij|^power over each row, in the shape of the data, or over each column, in that of the image."""
        sums = abs(self.matrix)
        sums = sums.power(power) if isinstance(self.matrix, SparseMatrix) else sums**power
        sums = sums.sum(axis=1 if rows else 0)
        sums = sums if backend.is_device(sums) else np.asarray(sums)
        return sums.reshape(tuple(self.dimsd if rows else self.dims))


@answering
def as_operator(op: Any, shape: Shape | None = None, data_shape: Shape | None = None, dtype: Any = None) -> Operator:
    """``op`` as an `Operator`: one of ours as it is; a PyLops or SciPy operator, a 2-D matrix or two functions wrapped.

    Matrices may be dense or sparse (SciPy's arrays and matrices, or CuPy's); they, SciPy's operators and many of
    PyLops' are flat: they take n numbers, and do not tell of which image.  ``shape`` says it.  Without, dims is (n,),
    ``is_flat`` is true, and what needs an image (TV, wavelets, gradients, networks) refuses; ``shape=(n,)`` says that
    it is a signal.

    Parameters
    ----------
    op : Operator, pylops.LinearOperator, scipy.sparse.linalg.LinearOperator, array, sparse matrix or (forward, adjoint)
        Two functions are as `operator` takes and tests them; their ``shape`` is needed, and what ``forward`` gives for
        zeros tells that of the data.
    shape, data_shape : tuple of int, optional
        Of the image and of the data, (m,) by default, in the order of rows and columns that op has.
    dtype : dtype, optional
        Of the images of two functions; float64 by default.

    Raises
    ------
    TypeError
        for anything else, and for integers or other dtypes than float32, float64, complex64 and complex128.
    ValueError
        for a shape of another number of pixels, or of an operator that has another one.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.as_operator(np.eye(3)[:2]).apply(np.array([1.0, 2.0, 3.0]))
    array([1., 2.])
    >>> A = ip.as_operator(np.eye(6), shape=(2, 3))
    >>> tuple(A.dims), ip.tv(A, np.ones(6), 0.1)[0].shape
    ((2, 3), (2, 3))
    """
    if isinstance(op, tuple) and len(op) == 2 and all(map(callable, op)) and not any(map(is_foreign, op)):
        return _of_functions(*op, shape, data_shape, "float64" if dtype is None else dtype)
    if dtype is not None:
        raise TypeError(f"dtype is given and A is {type(op).__name__}; expected it with a pair of functions only")
    A = _wrapped(op)
    if shape is None and data_shape is None:
        return A
    (dims, dtype_in), (dimsd, dtype_out) = A.ends
    ends = (_told("shape", shape, dims, A), dtype_in), (_told("data_shape", data_shape, dimsd, A), dtype_out)
    return A.between(ends, A.is_flat and shape is None) if isinstance(A, PyLopsOperator) else A


def check_operator(op: Any, name: str, what: str = "an ipbox, PyLops or SciPy operator, or a 2-D matrix") -> Operator:
    """`as_operator` of an argument that has another name than A; ``what`` says what else it may be.

    Examples
    --------
    >>> from ipbox.operators.core.adapters import check_operator
    >>> check_operator("ramp", "observe")
    Traceback (most recent call last):
        ...
    TypeError: observe is str; expected an ipbox, PyLops or SciPy operator, or a 2-D matrix
    """
    matrix = backend.is_array(op) and op.ndim == 2 and op.dtype.kind in "fc"
    if not (isinstance(op, Operator) or is_foreign(op) or matrix):
        raise TypeError(f"{name} is {type(op).__name__}; expected {what}")
    return as_operator(op)


def operator_or_none(op: Any, shape: Shape | None = None) -> Operator | None:
    """`as_operator`, where ``op`` may be None for data that are the image itself."""
    if op is None and shape is not None:
        raise ValueError(f"shape is {shape} and A is None; expected it with an operator, since b has the image's shape")
    return None if op is None else as_operator(op, shape)


def image_operator(op: Any, shape: Shape | None = None) -> Operator:
    """``op`` as an `Operator` for what needs an image; refused where nobody has told its shape.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.core.adapters import image_operator
    >>> image_operator(np.eye(6))
    Traceback (most recent call last):
        ...
    ValueError: A is flat, of 6 numbers, and its image's shape is not known; expected shape=(rows, columns), or ...
    """
    A = as_operator(op, shape)
    if A.is_flat:
        n = A.shape[1]
        raise ValueError(
            f"A is flat, of {n} numbers, and its image's shape is not known; expected shape=(rows, columns), or "
            f"shape=({n},) for a signal, with A or in ipbox.as_operator"
        )
    return A


def _wrapped(op: Any) -> Operator:
    if isinstance(op, Operator):
        return op
    sparse = isinstance(op, SparseMatrix)
    if (backend.is_array(op) or sparse) and op.ndim == 2:
        if sparse and op.format not in ("csr", "csc"):  # products are slow, and PyLops misreads some
            op = op.tocsr()
        return MatrixOperator(op)
    if is_foreign(op) and not sparse:
        return PyLopsOperator(op)
    raise TypeError(
        f"A is {type(op).__name__}; expected an ipbox, PyLops or SciPy operator, a 2-D matrix, or (forward, adjoint)"
        + backend.instead(op, "A")
    )


def _told(name: str, shape: Shape | None, own: Shape, A: Operator) -> Shape:
    """The ``shape`` given for that of A, which is kept where it is one already, and where none is given."""
    shape = own if shape is None else check_dims(shape, name)
    flat = isinstance(A, PyLopsOperator) and len(own) == 1
    if shape != own and not (flat and math.prod(shape) == own[0]):
        expected = f"a shape of {own[0]} entries" if flat else f"that of {A.name}, {own}"
        raise ValueError(f"{name} is {shape}; expected {expected}")
    return shape


def _of_functions(forward: Any, adjoint: Any, shape: Any, data_shape: Any, dtype: Any) -> Operator:
    if shape is None:
        raise ValueError("shape is None and A is a pair of functions; expected the image's shape")
    zero = forward(np.zeros(check_dims(shape, "shape"), dtype))
    if not backend.is_array(zero):
        raise TypeError(f"A's forward function gave {type(zero).__name__}; expected an array")
    return operator(forward, adjoint, shape, zero.shape if data_shape is None else data_shape, dtype, zero.dtype)


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
    same = op.dtype_in.kind == op.dtype_out.kind == dtype.kind
    return _with_ends(op, (op.ends[0][:1] + (dtype,), op.ends[1][:1] + (dtype,))) if same else op


def _with_ends(op: Operator, ends: Any) -> Operator:
    """A foreign operator between other shapes, where it is flat, and dtypes, where nothing complex becomes real."""
    if not isinstance(op, PyLopsOperator) or op.ends == ends:
        return op
    flat = all(len(own) == 1 or own == shape for (own, _), (shape, _) in zip(op.ends, ends, strict=True))
    lost = op.dtype_out.kind == "c" and ends[1][1].kind != "c"
    return op.between(ends, op.is_flat and len(ends[0][0]) == 1) if flat and not lost else op


def is_foreign(op: Any) -> bool:
    """Whether ``op`` is a PyLops or SciPy operator, or a sparse matrix: not a dense one, which may as well be data."""
    from scipy.sparse.linalg import LinearOperator

    return isinstance(op, pylops.LinearOperator | LinearOperator | SparseMatrix)
