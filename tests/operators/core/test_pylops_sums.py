"""Flat operators of PyLops and SciPy in sums and stacks with ours, in either order; PyLops 2.8's solvers on both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pylops
import pytest
import scipy.sparse.linalg

import ipbox as ip

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
FOREIGN = pytest.mark.parametrize("foreign", ["float64", "same"])


def ours(dtype: str) -> Any:
    """(8, 8) -> (14, 12)."""
    if dtype[0] == "c":
        return ip.operator(lambda u: 1j * u.repeat(2, 0), lambda v: -1j * (v[::2] + v[1::2]), (8, 8), (16, 8), dtype)
    return ip.RayTransform((8, 8), np.linspace(0, np.pi, 14, endpoint=False), dtype=dtype)


def image(dtype: str, n: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=n) + (1j * rng.normal(size=n) if dtype[0] == "c" else 0)).astype(dtype)


def check(S: Any, x: np.ndarray, expected: np.ndarray) -> None:
    """Values, dtype, and the adjoint."""
    tol = 1e-5 if x.dtype.itemsize // (2 if x.dtype.kind == "c" else 1) == 4 else 1e-12
    y = S @ x
    assert y.dtype == x.dtype and np.allclose(y.ravel(), expected.ravel(), rtol=tol, atol=tol * np.abs(expected).max())
    v = image(x.dtype.name, S.shape[0])[::-1].copy()
    left, right = np.vdot(v, S @ x), np.vdot(S.H @ v, x)
    assert abs(left - right) <= 10 * tol * np.linalg.norm(v) * np.linalg.norm(S @ x)


@DTYPES
@FOREIGN
def test_sums_with_the_identity(dtype: str, foreign: str) -> None:
    A, x = ours(dtype), image(dtype)
    Id = pylops.Identity(64, dtype=dtype if foreign == "same" else foreign)
    N = A.H @ (A @ x)
    for S, expected in [
        (A.H @ A + 0.3 * Id, N + 0.3 * x),
        (A.N + 0.3 * Id, N + 0.3 * x),
        (A.H @ A - 0.3 * Id, N - 0.3 * x),
        (A.H @ A + scipy.sparse.linalg.aslinearoperator(np.eye(64, dtype=dtype)), N + x),
        (A.H @ A + np.eye(64, dtype=dtype), N + x),
        (A.H @ A + scipy.sparse.identity(64, dtype=dtype, format="csr"), N + x),
        (2.0 * (A.H @ A + 0.3 * Id) + Id, 2 * N + 1.6 * x),
    ]:
        check(S, x, expected)
        assert tuple(S.dims) == (8, 8) and S.apply(x.reshape(8, 8)).shape == (8, 8)
    if foreign == "same":
        check(0.3 * Id + A.H @ A, x, N + 0.3 * x)
        check(0.3 * Id - A.H @ A, x, 0.3 * x - N)


@DTYPES
@FOREIGN
def test_sums_with_zero_and_matrices(dtype: str, foreign: str) -> None:
    A, x = ours(dtype), image(dtype)
    m = A.shape[0]
    kind = dtype if foreign == "same" else foreign
    check(A + pylops.Zero(m, 64, dtype=kind), x, A @ x)
    M = np.random.default_rng(1).normal(size=(m, 64))
    check(A + pylops.MatrixMult(M.astype(kind), dtype=kind), x, A @ x + M @ x)
    check(A - M.astype(kind), x, A @ x - M @ x)


@DTYPES
@FOREIGN
def test_stacks(dtype: str, foreign: str) -> None:
    A, x = ours(dtype), image(dtype)
    Id = pylops.Identity(64, dtype=dtype if foreign == "same" else foreign)
    check(ip.VStack([A, Id]), x, np.concatenate([(A @ x).ravel(), x]))
    check(ip.VStack([Id, A]), x, np.concatenate([x, (A @ x).ravel()]))
    if foreign == "same":
        check(pylops.VStack([A, Id]), x, np.concatenate([(A @ x).ravel(), x]))


def test_what_a_sum_still_refuses() -> None:
    """Other sizes, and complex operators added to real ones."""
    A = ours("float32")
    for other in (pylops.Identity(63), pylops.Identity(64, dtype="complex64"), ip.Identity((64,))):
        with pytest.raises(ValueError, match="needs equal shapes and dtypes"):
            A.H @ A + other


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_pylops_inversions_with_flat_data(dtype: str) -> None:
    from pylops.optimization import basic, leastsquares

    A, x = ours(dtype), image(dtype)
    Id, b = pylops.Identity(64, dtype=dtype), (A @ x).ravel()
    for found in (
        basic.cgls(A, b, x0=np.zeros(64, dtype), niter=200)[0],
        basic.lsqr(A, b, x0=np.zeros(64, dtype), niter=200)[0],
        basic.cg(A.H @ A + 0.3 * Id, A.H @ b + 0.3 * x, x0=np.zeros(64, dtype), niter=200)[0],
        A.div(b, niter=200),
        A / b,
        leastsquares.regularized_inversion(A, b, [Id], epsRs=[1e-6])[0],
        leastsquares.normal_equations_inversion(A, b, [Id], epsRs=[1e-6])[0],
    ):
        assert found.shape == (64,) and np.linalg.norm((A @ found).ravel() - b) <= 3e-3 * np.linalg.norm(b)


def test_compositions_come_in_our_precision() -> None:
    A, x = ours("float32"), image("float32")
    S = A @ pylops.Identity(64)
    assert S.dtype_in == np.float32 and np.allclose((S @ x).ravel(), (A @ x).ravel())
