"""The pseudo-inverse against NumPy's, by both methods: real, complex, from real to complex, deficient in rank."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.reconstruct.direct.pseudo_inverse import matrix_of
from tests.contracts.support import host

RNG = np.random.default_rng(3)


def matrix(rows: int, columns: int, rank: int | None = None, complex: bool = False) -> np.ndarray:
    def draw(shape: tuple[int, int]) -> np.ndarray:
        return RNG.standard_normal(shape) + (1j * RNG.standard_normal(shape) if complex else 0)

    return draw((rows, columns)) if rank is None else draw((rows, rank)) @ draw((rank, columns))


MATRICES = {
    "tall": matrix(12, 7),
    "wide": matrix(7, 12),
    "square": matrix(8, 8),
    "tall, deficient": matrix(12, 7, rank=4),
    "wide, deficient": matrix(7, 12, rank=3),
    "complex": matrix(12, 7, complex=True),
    "complex, wide, deficient": matrix(7, 12, rank=3, complex=True),
    "a row": matrix(1, 5),
}


@pytest.mark.parametrize("method", ["svd", "cgls"])
@pytest.mark.parametrize("name", MATRICES)
def test_agrees_with_numpy(name: str, method: str, xp: ModuleType) -> None:
    M = MATRICES[name]
    b = RNG.standard_normal(len(M)).astype(M.dtype)
    expected = np.linalg.pinv(M) @ b
    x, info = ip.pseudo_inverse(xp.asarray(M), xp.asarray(b), method)
    assert isinstance(x, xp.ndarray) and x.dtype == M.dtype and info.method == "pseudo_inverse"
    np.testing.assert_allclose(host(x), expected, atol=1e-9 * np.linalg.norm(expected))
    if method == "svd":
        sigma = np.linalg.svd(M, compute_uv=False)
        rank = info.parameters["rank"]
        assert rank == np.linalg.matrix_rank(M) and info.stop == "direct"
        assert info.parameters["condition"] == pytest.approx(sigma[0] / sigma[rank - 1])
    else:
        assert info.stop == "residual" and 0 < info.niter < 100


@pytest.mark.parametrize("method", ["svd", "cgls"])
def test_a_real_image_with_complex_data(method: str, xp: ModuleType) -> None:
    """Some frequencies of a real image: the pseudo-inverse of the real-linear map, and of its adjoint."""
    keep = np.random.default_rng(1).random((6, 5)) < 0.4
    pick = xp.asarray(np.flatnonzero(keep))
    F = np.fft.fft2(np.eye(30).reshape(30, 6, 5), axes=(1, 2)).reshape(30, 30).T[keep.ravel()]
    device = xp.asarray(F)
    A = ip.operator(
        lambda u: device @ u.ravel(), lambda v: (device.conj().T @ v).real.reshape(6, 5), (6, 5), (pick.size,),
        "float64", "complex128", xp=xp.__name__,
    )  # fmt: skip
    stacked = np.concatenate([F.real, F.imag])
    np.testing.assert_allclose(host(matrix_of(A, xp)), stacked, atol=1e-12)
    np.testing.assert_allclose(host(matrix_of(A.H, xp)), stacked.T, atol=1e-12)
    b = RNG.standard_normal(pick.size) + 1j * RNG.standard_normal(pick.size)
    x, _ = ip.pseudo_inverse(A, xp.asarray(b), method)
    assert x.dtype == np.float64
    expected = (np.linalg.pinv(stacked) @ np.concatenate([b.real, b.imag])).reshape(6, 5)
    np.testing.assert_allclose(host(x), expected, atol=1e-10)
    u = RNG.standard_normal((6, 5))
    y, _ = ip.pseudo_inverse(A.H, xp.asarray(u), method)
    z = np.linalg.pinv(stacked.T) @ u.ravel()
    assert y.dtype == np.complex128
    np.testing.assert_allclose(host(y), z[: pick.size] + 1j * z[pick.size :], atol=1e-10)


@pytest.mark.parametrize("method", ["svd", "cgls"])
def test_a_batch_and_single_precision(method: str, xp: ModuleType) -> None:
    A = ip.Downsampling((4, 6), 2, dtype="float32")
    b = xp.asarray(RNG.standard_normal((3, 2, 3)).astype("f4"))
    x, info = ip.pseudo_inverse(A, b, method)
    assert x.shape == (3, 4, 6) and x.dtype == np.float32
    np.testing.assert_allclose(host(x), np.kron(host(b), np.ones((2, 2))), atol=1e-5)  # A† = 4 A* repeats


def test_moore_penrose_equations() -> None:
    M = MATRICES["complex, wide, deficient"]
    P = np.stack([ip.pseudo_inverse(M, e.astype(complex))[0] for e in np.eye(7)], axis=1)
    for left, right in ((M @ P @ M, M), (P @ M @ P, P), ((M @ P).conj().T, M @ P), ((P @ M).conj().T, P @ M)):
        np.testing.assert_allclose(left, right, atol=1e-11)


def test_the_cut_off_regularises() -> None:
    M = np.diag([1.0, 1e-3, 1e-9])
    b = np.array([1.0, 1.0, 1.0])
    np.testing.assert_allclose(ip.pseudo_inverse(M, b)[0], [1, 1e3, 1e9])
    x, info = ip.pseudo_inverse(M, b, tol=1e-6)
    np.testing.assert_allclose(x, [1, 1e3, 0])
    assert (info.parameters["rank"], round(info.parameters["condition"])) == (2, 1000)


def test_zero_data_and_the_zero_matrix() -> None:
    for method in ("svd", "cgls"):
        assert not ip.pseudo_inverse(np.zeros((3, 4)), np.ones(3), method)[0].any()
        assert not ip.pseudo_inverse(np.ones((3, 4)), np.zeros(3), method)[0].any()


def test_large_problems_take_cgls_and_say_when_they_stop_early() -> None:
    A = ip.Mask(np.random.default_rng(0).random((40, 40)) < 0.5, dtype="float64")
    b = A.apply(np.ones((40, 40)))
    x, info = ip.pseudo_inverse(A, b)
    assert info.parameters["method"] == "cgls" and np.array_equal(x, b) and info.stop == "residual"
    _, info = ip.pseudo_inverse(MATRICES["square"], np.ones(8), "cgls", niter=2)
    assert (info.stop, info.niter) == ("niter", 2)


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "method": (lambda: ip.pseudo_inverse(np.eye(2), np.ones(2), "qr"), ValueError, "^method is 'qr'; expected one of"),
    "tol": (lambda: ip.pseudo_inverse(np.eye(2), np.ones(2), tol=0.0), ValueError, "^tol is 0.0"),
    "text": (lambda: ip.pseudo_inverse(np.eye(2), np.ones(2), tol="1"), ValueError, "^tol is '1'"),
    "unused niter": (lambda: ip.pseudo_inverse(np.eye(2), np.ones(2), niter=1.5), ValueError, "niter is 1.5"),
    "niter": (lambda: ip.pseudo_inverse(np.eye(2), np.ones(2), "cgls", niter=1.5), ValueError, "niter is 1.5"),
    "shape": (lambda: ip.pseudo_inverse(np.eye(2), np.ones(3)), ValueError, r"^b has shape \(3,\)"),
    "dtype": (lambda: ip.pseudo_inverse(np.eye(2), np.ones(2, "f4")), TypeError, "^b has dtype float32"),
    "NaN": (lambda: ip.pseudo_inverse(np.eye(2), np.full(2, np.nan)), ValueError, "^b has NaN"),
    "NaN in A": (lambda: ip.pseudo_inverse(np.eye(2) * np.nan, np.ones(2)), ValueError, r"^A \(M\) has NaN"),
    "no array": (lambda: ip.pseudo_inverse(np.eye(2), [1.0, 2.0]), TypeError, "^b is list"),
    "no operator": (lambda: ip.pseudo_inverse("A", np.ones(2)), TypeError, "^A is str"),
    "overflow": (
        lambda: ip.pseudo_inverse(np.eye(2) * 1e-300, np.full(2, 1e10)), FloatingPointError, "the image is not finite"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call()
