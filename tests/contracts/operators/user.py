"""Operators of two functions, real, complex and from real to complex; foreign operators and sparse matrices."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pylops
import scipy.sparse
import scipy.sparse.linalg

from ipbox import backend
from ipbox.backend import complex_dtype
from ipbox.operators import (
    Composition,
    FunctionOperator,
    Gradient,
    MatrixOperator,
    Operator,
    PyLopsOperator,
    as_operator,
    operator,
)
from tests.contracts.operators.case import OperatorCase


def matrix(rows: int, columns: int, dtype: np.dtype) -> np.ndarray:
    rng = np.random.default_rng(8)
    m = rng.standard_normal((rows, columns)) + 1j * rng.standard_normal((rows, columns))
    return (m if np.dtype(dtype).kind == "c" else m.real).astype(dtype)


def of_matrix(dtype_in: np.dtype, dtype_out: np.dtype, xp: ModuleType, batched: bool = False) -> FunctionOperator:
    """A matrix as two functions on arrays of shapes (5, 3) and (4, 2)."""
    M = xp.asarray(matrix(8, 15, dtype_out))

    def forward(u):
        return (u.reshape(-1, 15) @ M.T).reshape(u.shape[:-2] + (4, 2))

    def adjoint(v):
        w = (v.reshape(-1, 8) @ M.conj()).reshape(v.shape[:-2] + (5, 3))
        return w if np.dtype(dtype_in).kind == "c" else w.real

    return operator(forward, adjoint, (5, 3), (4, 2), dtype_in, dtype_out, batched=batched, xp=xp.__name__)


def fourier(dtype: np.dtype, xp: ModuleType) -> FunctionOperator:
    """The unitary FFT of a real image, with its norm given."""
    fft = backend.fft_module(xp.empty(0))
    return operator(
        lambda u: fft.fft2(u, norm="ortho"),
        lambda v: fft.ifft2(v, norm="ortho").real,
        (7, 5),
        (7, 5),
        dtype,
        complex_dtype(dtype),
        norm=1.0,
        xp=xp.__name__,
    )


def sparse(dtype: np.dtype, xp: ModuleType) -> Operator:
    m = matrix(11, 6, dtype)
    m[np.abs(m) < 0.6] = 0
    if xp is np:
        return as_operator(scipy.sparse.lil_array(m))
    from cupyx.scipy.sparse import csr_matrix

    return as_operator(csr_matrix(xp.asarray(m)))


def scipy_operator(dtype: np.dtype, xp: ModuleType) -> Operator:
    """SciPy's own operators know host arrays only; PyLops' are what stands for them on the device."""
    if xp is not np:
        return pylops_matrix(dtype, xp)
    return as_operator(scipy.sparse.linalg.aslinearoperator(matrix(4, 6, dtype)))


def pylops_matrix(dtype: np.dtype, xp: ModuleType) -> Operator:
    return as_operator(pylops.MatrixMult(xp.asarray(matrix(4, 6, dtype)), dtype=dtype))


CASES = [
    OperatorCase("two functions", FunctionOperator, lambda dtype, xp: of_matrix(dtype, dtype, xp), "estimate"),
    OperatorCase(
        "two functions of batches", FunctionOperator, lambda dtype, xp: of_matrix(dtype, dtype, xp, True), "estimate"
    ),
    OperatorCase(
        "two complex functions",
        FunctionOperator,
        lambda dtype, xp: of_matrix(complex_dtype(dtype), complex_dtype(dtype), xp),
        "estimate",
    ),
    OperatorCase(
        "two functions from real to complex",
        FunctionOperator,
        lambda dtype, xp: of_matrix(dtype, complex_dtype(dtype), xp),
        "estimate",
    ),
    OperatorCase("two functions with a norm", FunctionOperator, fourier, "bound"),
    OperatorCase("sparse matrix", MatrixOperator, sparse, "estimate"),
    OperatorCase(
        "complex sparse matrix", MatrixOperator, lambda dtype, xp: sparse(complex_dtype(dtype), xp), "estimate"
    ),
    OperatorCase("SciPy operator", PyLopsOperator, scipy_operator, "estimate"),
    OperatorCase(
        "complex PyLops matrix", PyLopsOperator, lambda dtype, xp: pylops_matrix(complex_dtype(dtype), xp), "estimate"
    ),
    OperatorCase(
        "matrix after a gradient",
        Composition,
        lambda dtype, xp: xp.asarray(matrix(5, 24, dtype)) @ Gradient((3, 4), dtype),
        "estimate",
    ),
]
