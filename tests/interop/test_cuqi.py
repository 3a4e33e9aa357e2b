"""Our operators as CUQIpy's linear models, its models as our operators, and its arrays in our methods."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning",
        "ignore::UserWarning",
        "ignore::PendingDeprecationWarning",
        "ignore:.*ended by niter",
    ),
]
DIMS, NOISE = (6, 5), 0.1
X = np.random.default_rng(0).standard_normal(DIMS)


@pytest.fixture(scope="module")
def cuqi() -> ModuleType:
    import cuqi

    return cuqi


def ray(dtype: str = "float64") -> Any:
    return ip.RayTransform(DIMS, np.arange(7) * np.pi / 7, dtype=dtype)


def model(cuqi: ModuleType, A: Any) -> Any:
    """As docs/interoperability.md has it."""
    grid = cuqi.geometry.Image2D
    return cuqi.model.LinearModel(
        lambda u: A @ u.ravel(), lambda v: A.H @ v.ravel(), range_geometry=grid(A.dimsd), domain_geometry=grid(A.dims)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_our_operator_is_a_linear_model(cuqi: ModuleType, dtype: str) -> None:
    A = ray(dtype)
    M, tol = model(cuqi, A), 50 * np.finfo(dtype).eps
    u, v = X.ravel(), A.apply(X.astype(dtype)).ravel().astype("float64")
    assert np.allclose(M.forward(u), A.apply(X.astype(dtype)).ravel(), rtol=tol, atol=tol)
    assert abs(np.vdot(M.forward(u), v) - np.vdot(u, M.adjoint(v))) <= tol * np.vdot(v, v)
    assert np.allclose(M.forward(X, is_par=False), M.forward(u)) and M.domain_dim == 30
    assert np.allclose(M.get_matrix().toarray(), A.todense(), rtol=tol, atol=tol)


def posterior(cuqi: ModuleType, A: Any) -> tuple[Any, np.ndarray]:
    M = model(cuqi, A)
    x = cuqi.distribution.Gaussian(np.zeros(30), 1.0, geometry=M.domain_geometry, name="x")
    y = cuqi.distribution.Gaussian(M(x), NOISE**2, geometry=M.range_geometry, name="y")
    b = A.apply(X) + NOISE * np.random.default_rng(1).standard_normal(A.dimsd)
    return cuqi.problem.BayesianProblem(y, x).set_data(y=b.ravel()), b


def test_their_map_estimate_is_our_tikhonov_regularisation(cuqi: ModuleType) -> None:
    """b = A u + N(0, σ²), u ~ N(0, 1): argmin ½‖A u - b‖² + σ²/2 ‖u‖²."""
    A = ray()
    problem, b = posterior(cuqi, A)
    theirs = np.asarray(problem.MAP(disp=False)).reshape(DIMS)
    ours = ip.tikhonov(A, b, NOISE**2, tol=1e-14)[0]
    assert np.linalg.norm(theirs - ours) < 1e-8 * np.linalg.norm(ours)


def test_their_samples_with_our_operator_have_the_mean_and_covariance_of_the_posterior(cuqi: ModuleType) -> None:
    """Linear randomise-then-optimise draws independent samples of N(m, C), C = (AᵀA/σ² + I)⁻¹."""
    A, n = ray(), 150
    problem, b = posterior(cuqi, A)
    np.random.seed(0)  # noqa: NPY002  (CUQIpy draws from the global generator)
    sampler = cuqi.sampler.LinearRTO(problem.posterior, maxit=40, tol=1e-10)
    samples = sampler.sample(n).get_samples().samples[:, -n:]
    D = A.todense()
    C = np.linalg.inv(D.T @ D / NOISE**2 + np.eye(30))
    mean = C @ D.T @ b.ravel() / NOISE**2
    normalised = np.linalg.solve(np.linalg.cholesky(C), samples - mean[:, None])  # N(0, 1)
    assert np.abs(normalised.mean(1)).max() * np.sqrt(n) < 4.5  # 30 normal numbers: one in 5000 draws is beyond
    assert abs((normalised**2).mean() - 1) < 5 * np.sqrt(2 / (30 * n))


@pytest.mark.parametrize("dimension", [1, 2])
def test_their_model_is_an_operator_of_ours(cuqi: ModuleType, dimension: int) -> None:
    """Their flat parameters as images of ours; the pair is tested to be adjoint when it is made."""
    theirs = getattr(cuqi.testproblem, f"Deconvolution{dimension}D")(dim=20 if dimension == 1 else 8).model
    shape = (20,) if dimension == 1 else (8, 8)
    A = ip.as_operator((lambda u: theirs.forward(u.ravel()), lambda v: theirs.adjoint(v).reshape(shape)), shape=shape)
    M = theirs.get_matrix()
    M = M if isinstance(M, np.ndarray) else M.toarray()
    u = np.random.default_rng(2).standard_normal(shape)
    assert np.allclose(A.apply(u), M @ u.ravel(), rtol=0, atol=1e-12)
    b, lam = A.apply(u), 0.01
    exact = np.linalg.solve(M.T @ M + lam * np.eye(u.size), M.T @ b)
    found = ip.tikhonov(A, b, lam, tol=1e-13)[0]
    assert found.shape == shape and np.linalg.norm(found.ravel() - exact) < 1e-8 * np.linalg.norm(exact)


def test_their_arrays_are_arrays_and_ours_come_out(cuqi: ModuleType) -> None:
    """A CUQIarray is a NumPy array: what is reconstructed of it carries no geometry of the data."""
    A = ray()
    b = A.apply(X)
    labelled = cuqi.array.CUQIarray(b.ravel(), geometry=cuqi.geometry.Image2D(A.dimsd)).funvals
    for method in (ip.fbp, lambda A, b: ip.tv(A, b, 0.1, niter=50), lambda A, b: ip.cgls(A, b, niter=5)):
        x, expected = method(A, labelled)[0], method(A, b)[0]
        assert type(x) is np.ndarray and np.array_equal(x, expected)
    assert isinstance(labelled, cuqi.array.CUQIarray) and np.array_equal(np.asarray(labelled), b)
