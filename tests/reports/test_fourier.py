"""Fourier transforms and MRI: what users of other packages reported in public, and what we give there."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pylops
import pytest
from pylops.signalprocessing import FFT, FFT2D

import ipbox as ip
from ipbox.operators.fourier.nonuniform import NonuniformFFT
from ipbox.operators.fourier.nonuniform_real import RealNonuniformFFT
from tests.contracts.support import dense, dot_test, host

SIZES = [(1,), (4,), (5,), (1, 7), (5, 6), (6, 5), (5, 7), (3, 4, 5)]


@pytest.mark.parametrize("dims", SIZES)
@pytest.mark.parametrize("real_image", [False, True])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_adjoint_of_the_fourier_transform(
    dims: tuple[int, ...], real_image: bool, dtype: str, xp: ModuleType, rng: np.random.Generator
) -> None:
    """odl #735: an adjoint that is none where an axis is odd.  Here it is unitary for every size."""
    F = ip.FourierTransform(dims, dtype, real_image)
    tiny = 1e-6 if dtype == "complex64" else 1e-14
    assert dot_test(F, rng, xp) < tiny
    u = xp.asarray(rng.standard_normal(dims).astype(F.dtype_in))
    assert np.abs(host(F.apply_adjoint(F.apply(u)) - u)).max() < 10 * tiny


def direct(dims: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    """The matrix exp(-i k·ξ), k over the centred indices."""
    k = np.stack(np.meshgrid(*[np.arange(n) - n // 2 for n in dims], indexing="ij"), -1).reshape(-1, len(dims))
    return np.exp(-1j * points.reshape(-1, len(dims)) @ k.T)


@pytest.mark.parametrize("dims", [(8, 8), (7, 8), (8, 7), (9, 11), (5, 5, 5)])
@pytest.mark.parametrize("real_image", [False, True])
def test_odd_grids(dims: tuple[int, ...], real_image: bool, rng: np.random.Generator) -> None:
    """andyschwarzl/gpuNUFFT #18: grids of odd sizes, against the sum itself."""
    k = rng.uniform(-0.5, 0.5, (40, len(dims)))
    A = ip.NonCartesianMRI(dims, k * np.array(dims), dtype="complex128", real_image=real_image)
    E = direct(dims, 2 * np.pi * k) / np.sqrt(np.prod(dims))
    u = rng.standard_normal(dims) + (0 if real_image else 1j * rng.standard_normal(dims))
    y = rng.standard_normal(40) + 1j * rng.standard_normal(40)
    assert np.allclose(A.apply(u).reshape(-1), E @ u.reshape(-1), atol=1e-7)
    adjoint = (E.conj().T @ y).reshape(dims)
    assert np.allclose(A.apply_adjoint(y.reshape(A.dimsd)), adjoint.real if real_image else adjoint, atol=1e-7)


@pytest.mark.parametrize("dims", [(8, 8), (7, 9), (6, 7)])
def test_symmetric_frequencies_of_a_real_image(dims: tuple[int, int], rng: np.random.Generator) -> None:
    """mikgroup/sigpy #39: the adjoint of what a real image gives at k and -k is real."""
    k = rng.uniform(-0.5, 0.5, (30, 2)) * np.array(dims)
    A = ip.NonCartesianMRI(dims, np.concatenate([k, -k]), dtype="complex128")
    u = A.apply_adjoint(A.apply(rng.standard_normal(dims).astype("complex128")))
    assert np.abs(u.imag).max() < 1e-9 * np.abs(u.real).max()


@pytest.mark.parametrize("dims", [(8, 10), (7, 9)])
@pytest.mark.parametrize("place", [[(0.0, 0.0)], [(-2.9, 0.4), (0.4, -2.9), (2.0, 2.5), (-1.0, -3.1), (0.7, -0.0)]])
def test_one_sign_on_every_path(dims: tuple[int, int], place: list, rng: np.random.Generator) -> None:
    """NFFT/nfft pull 295: a phase that had the other sign on one of several paths; in every quadrant."""
    xi, E = np.array(place), direct(dims, np.array(place))
    u, y = rng.standard_normal(dims), rng.standard_normal(len(xi)) + 1j * rng.standard_normal(len(xi))
    real, plain = (F(dims, list(xi.T), "float64") for F in (RealNonuniformFFT, NonuniformFFT))
    expected = E @ u.reshape(-1)
    assert np.allclose(real.forward(u), expected, atol=1e-6)
    assert np.allclose(plain.forward(u.astype(complex)), expected, atol=1e-6)
    back = (E.conj().T @ y).reshape(dims)
    assert np.allclose(plain.adjoint(y), back, atol=1e-6)
    assert np.allclose(real.adjoint(y.copy()), back.real, atol=1e-6)
    A = ip.NonCartesianMRI(dims, xi / (2 * np.pi) * np.array(dims), dtype="complex128")
    z = u + 1j * rng.standard_normal(dims)
    assert np.allclose(A.N.apply(z), (E.conj().T @ (E @ z.reshape(-1))).reshape(dims) / z.size, atol=1e-6)


@pytest.mark.parametrize("n", [8, 9])
@pytest.mark.parametrize("norm", ["ortho", "none"])
def test_half_spectrum_of_real_signals(n: int, norm: str, rng: np.random.Generator) -> None:
    """PyLops #268, #362: the real transform keeps half of the spectrum; adjoint, A*A and norm as of the map it is."""
    A = ip.as_operator(FFT(n, real=True, norm=norm))
    assert A.dtype_in == "float64" and A.dtype_out == "complex128" and dot_test(A, rng, np) < 1e-14
    with pytest.raises(TypeError, match="complex"):
        A.apply(np.ones(n, complex))  # whose imaginary part it does not see
    M = dense(A, np)
    largest = np.linalg.svd(M, compute_uv=False)[0]
    u = rng.standard_normal(n)
    assert A.norm() == pytest.approx(largest, rel=0.025)
    assert np.allclose(A.N.apply(u), (M.T @ M @ u).real)
    x, _ = ip.cgls(A, A.apply(u), niter=20)
    assert np.allclose(x, u, atol=1e-9)


def test_operators_that_are_linear_over_the_reals(rng: np.random.Generator) -> None:
    """The same of real parts, of products with a real transform, and of a transform in two dimensions."""
    for op, kinds in (
        (pylops.Real(6, dtype="complex128"), "cf"),
        (pylops.Imag(6, dtype="complex64"), "cf"),
        (pylops.Conj(6, dtype="complex128"), "cc"),
        (FFT2D((4, 5), real=True), "fc"),
        (FFT(6, real=True) @ pylops.Diagonal(np.arange(6.0)), "fc"),
        (FFT(6, dtype="complex128"), "cc"),
    ):
        A = ip.as_operator(op)
        assert A.dtype_in.kind + A.dtype_out.kind == kinds, op.name
        assert dot_test(A, rng, np) < 1e-6
