"""Group sparsity, low rank, wavelets and Tikhonov's penalties against the operators and matrices they are made of."""

from __future__ import annotations

import math

import numpy as np
import pyproximal
import pytest

import ipbox as ip

DIMS = (3, 4)
GROUPS = [[0, 5], [1, 2, 3, 4], [7, 11, 10]]
WEIGHTS = [0.5, 2.0, 1.0]


# ---------------------------------------------------------------- groups, rank, wavelets


def test_groups_by_labels_and_by_indices_are_the_same(rng: np.random.Generator) -> None:
    labels = np.full(12, -1)
    for g, indices in enumerate(GROUPS):
        labels[indices] = g
    f, x = ip.GroupSparsity(DIMS, groups=labels.reshape(DIMS), weights=WEIGHTS), rng.standard_normal((2, *DIMS))
    g = ip.GroupSparsity(DIMS, groups=GROUPS, weights=WEIGHTS)
    np.testing.assert_array_equal(f.prox(x, np.array([0.2, 1.0])), g.prox(x, np.array([0.2, 1.0])))
    np.testing.assert_array_equal(f.prox(x, 50.0)[:, labels.reshape(DIMS) >= 0], 0.0)
    np.testing.assert_array_equal(f.prox(x, 50.0)[:, labels.reshape(DIMS) < 0], x[:, labels.reshape(DIMS) < 0])


def test_groups_along_the_channels_are_l21(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 5))
    f = ip.GroupSparsity((2, 4, 5), axis=0)
    assert f.value(x) == pytest.approx(ip.L21().value(x), rel=1e-14)
    np.testing.assert_allclose(f.prox(x, 0.4), ip.L21().prox(x, 0.4), atol=1e-15)
    np.testing.assert_allclose((2 * f).prox_conj(x, 0.4), (2 * ip.L21()).prox_conj(x, 0.4), atol=1e-15)


def test_nuclear_norm_separates_a_series(rng: np.random.Generator) -> None:
    """A series of one image with changing brightness has rank 1, which thresholding finds under noise."""
    image, brightness = rng.standard_normal((6, 7)), 1 + rng.random(5)
    clean = brightness[:, None, None] * image
    f = ip.NuclearNorm((5, 6, 7), axis=0)
    noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    p = f.prox(noisy, 1.2)
    assert np.linalg.matrix_rank(p.reshape(5, -1)) == 1
    assert f.value(clean) == pytest.approx(np.linalg.norm(clean))
    u = pyproximal.Nuclear((5, 42), 1.0).prox(noisy.ravel(), 1.2)
    np.testing.assert_allclose(p.ravel(), u, atol=1e-12)
    assert (
        math.isnan(f.value(np.full((5, 6, 7), math.nan))) and np.isnan(f.prox(np.full((5, 6, 7), math.nan), 1.0)).all()
    )


@pytest.mark.parametrize("kind", ["f", "F"])
@pytest.mark.parametrize("tau", [1e-6, 1e-3, 1.0, 20.0])
def test_long_matrices_in_single_precision(kind: str, tau: float, rng: np.random.Generator) -> None:
    """By the Gram matrix in double precision: as exact as by singular values, whatever their sizes."""
    U, V = np.linalg.qr(rng.standard_normal((60, 6)))[0], np.linalg.qr(rng.standard_normal((6, 6)))[0]
    M = (U * 10.0 ** -np.arange(-1, 5)) @ V
    x = (M * (1 + 1j if kind == "F" else 1)).astype(kind).reshape(10, 6, 6)
    for f, z in ((ip.NuclearNorm((10, 6, 6), axis=2), x), (ip.NuclearNorm((6, 10, 6)), np.moveaxis(x, 2, 0).copy())):
        exact = f.prox(z.astype("D" if kind == "F" else "d"), tau)
        assert f.prox(z, tau).dtype == z.dtype
        np.testing.assert_allclose(f.prox(z, tau), exact, atol=3e-6)  # three roundings of the largest singular value
        np.testing.assert_allclose((tau * f).prox_conj(z, 1.0), z - exact, atol=3e-6)
        assert f.value(z) == pytest.approx(f.value(z.astype("D" if kind == "F" else "d")), rel=1e-6)


def test_wavelet_shrinkage_by_the_operator(rng: np.random.Generator) -> None:
    x, tau = rng.standard_normal((16, 24)), 0.4
    W = ip.Wavelet((16, 24), "sym4", levels=2, dtype="float64")
    c = W.apply(x)
    shrunk = np.sign(c) * np.maximum(abs(c) - tau, 0)
    np.testing.assert_allclose(
        ip.WaveletL1((16, 24), "sym4", 2, coarse=True).prox(x, tau), W.apply_adjoint(shrunk), atol=1e-13
    )
    W.coefficients(shrunk)[0][...] = W.coefficients(c)[0]
    f = ip.WaveletL1((16, 24), "sym4", 2)
    np.testing.assert_allclose(f.prox(x, tau), W.apply_adjoint(shrunk), atol=1e-13)
    assert f.prox(x, 100.0).mean() == pytest.approx(x.mean()) and f.value(np.ones((16, 24))) < 1e-9
    assert f.levels == 2 and f.conj(np.ones((16, 24))) == math.inf and f.conj(f.prox_conj(x, 1.0)) == 0.0


def test_wavelets_reconstruct_a_compressed_sensing_image() -> None:
    """FISTA and PDHG minimise ½‖Au - b‖² + λ‖Wu‖₁ to the same objective."""
    rng = np.random.default_rng(9)
    A, b = ip.as_operator(rng.standard_normal((40, 64)) / 8), rng.standard_normal(40)
    W = ip.WaveletL1((64,), "db2", 2)
    values = []
    for solver in (ip.FISTA(), ip.PDHG()):
        problem = ip.Problem(ip.L2(A, b) + 0.1 * W)
        values.append(problem.objective(ip.solve(problem, solver, stop=ip.stop.niter(1000)).x))
    assert values[0] == pytest.approx(values[1], rel=1e-8)


# ---------------------------------------------------------------- Tikhonov


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
@pytest.mark.parametrize("dims", [(5,), (4, 3), (3, 2, 4)])
def test_tikhonov_is_its_matrix(order: int, boundary: str, dims: tuple, rng: np.random.Generator) -> None:
    """Value, gradient, prox, conjugate and L against the dense D*D, real and complex."""
    spacing, n = (0.5, 2.0, 1.0)[: len(dims)], math.prod(dims)
    G = ip.Gradient(dims, "float64", spacing, boundary=boundary).apply(np.eye(n).reshape(n, *dims)).reshape(n, -1).T
    M = np.linalg.matrix_power(G.T @ G, order)
    f = 3 * ip.Tikhonov(dims, order, spacing, boundary)
    assert f.L == pytest.approx(3 * np.linalg.norm(M, 2)) and f.mu == (3.0 if order == 0 else 0.0)
    for x in (rng.standard_normal(n), rng.standard_normal(n) + 1j * rng.standard_normal(n)):
        assert f.value(x) == pytest.approx(1.5 * np.vdot(x, M @ x).real)
        np.testing.assert_allclose(f.grad(x), 3 * M @ x, atol=1e-11)
        np.testing.assert_allclose(f.prox(x, 0.3), np.linalg.solve(np.eye(n) + 0.9 * M, x), atol=1e-11)
        y = M @ x
        assert f.conj(y) == pytest.approx(np.vdot(y, np.linalg.pinv(M, hermitian=True) @ y).real / 6)
        assert f.conj(y + 1) == math.inf or order == 0


def test_tikhonov_regularises_as_the_normal_equations_do() -> None:
    """min ½‖Au - b‖² + ½‖∇u‖² by forward-backward, its penalty as the prox."""
    rng = np.random.default_rng(10)
    M, b = rng.standard_normal((20, 12)), rng.standard_normal(20)
    f = ip.Tikhonov((12,))
    G = ip.Gradient((12,), "float64").apply(np.eye(12)).reshape(12, -1).T
    problem = ip.Problem(ip.L2(ip.as_operator(M), b) + f, roles={1: "prox"})
    sol = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(2000))
    np.testing.assert_allclose(sol.x, np.linalg.solve(M.T @ M + G.T @ G, M.T @ b), atol=1e-8)
