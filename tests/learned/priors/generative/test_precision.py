"""A Gaussian by its sparse Cholesky factor, against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.priors.generative import CovariancePrior, PrecisionL2, SoftRange
from tests.learned.priors.generative.linear import DIMS, Linear, dense


@pytest.mark.parametrize("features", [0, 4, 12])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_at_a_latent_vector(features: int, scale: float, rng: np.random.Generator) -> None:
    """Value, gradient, prox, conjugate, diagonal and the bound on the curvature."""
    model = Linear(features=features)
    W, c, L = dense(model)
    P = L @ L.T / scale**2
    z, u, y = rng.standard_normal(3), scale * rng.standard_normal(DIMS), rng.standard_normal(DIMS) / scale
    m = scale * (W @ z + c)
    f = 0.7 * CovariancePrior(model, scale=scale).at(z)
    dev = u.ravel() - m
    assert f.value(u) == pytest.approx(0.35 * dev @ P @ dev, rel=1e-10)
    np.testing.assert_allclose(f.grad(u).ravel(), 0.7 * P @ dev, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(f.diagonal().ravel(), np.diag(P), rtol=1e-10)
    assert (1 - 1e-12) * np.linalg.norm(P, 2) <= f.L / 0.7 <= 4 * np.linalg.norm(P, 2)
    tau = 0.3 * scale**2
    exact = np.linalg.solve(np.eye(20) + 0.7 * tau * P, u.ravel() + 0.7 * tau * P @ m)
    np.testing.assert_allclose(f.prox(u, tau).ravel(), exact, rtol=1e-8, atol=1e-9 * scale)
    conjugate = 0.5 * y.ravel() @ np.linalg.solve(P, y.ravel()) / 0.7 + m @ y.ravel()
    assert f.conj(y) == pytest.approx(conjugate, rel=1e-10)


def test_a_batch_is_its_samples(rng: np.random.Generator) -> None:
    R, z, u = CovariancePrior(Linear(curved=0.3)), rng.standard_normal((3, 3)), rng.standard_normal((3, *DIMS))
    f, alone = R.at(z), [R.at(zi) for zi in z]
    np.testing.assert_allclose(f.value(u, batch=True), [g.value(ui) for g, ui in zip(alone, u, strict=True)])
    np.testing.assert_allclose(f.grad(u), [g.grad(ui) for g, ui in zip(alone, u, strict=True)])
    np.testing.assert_allclose(f.take(np.array([2])).prox(u[2:], 0.5)[0], alone[2].prox(u[2], 0.5), rtol=1e-9)
    with pytest.raises(ValueError, match="expected a batch of 3 images"):
        f.value(u[0])


def test_solvers_take_it(rng: np.random.Generator) -> None:
    """A held z: proximal and gradient methods find the image that the normal equations give."""
    model = Linear()
    W, c, L = dense(model)
    z, M = rng.standard_normal(3), rng.standard_normal((12, 20))
    A, b, P = ip.as_operator(M, shape=DIMS), rng.standard_normal(12), L @ L.T
    exact = np.linalg.solve(M.T @ M + 2 * P, M.T @ b + 2 * P @ (W @ z + c))
    problem = ip.Problem(ip.L2(A, b) + 2.0 * CovariancePrior(model).at(z))
    for solver in (ip.LBFGS(), ip.GradientDescent()):
        x = ip.solve(problem, solver, stop=ip.stop.residual(1e-9) | ip.stop.niter(5000)).x
        np.testing.assert_allclose(x.ravel(), exact, atol=1e-6)


def test_soft_range_at_a_latent_vector(rng: np.random.Generator) -> None:
    W, c, _ = dense(Linear())
    z, u = rng.standard_normal(3), rng.standard_normal(DIMS)
    f = SoftRange(Linear(), scale=2.0).at(z)
    assert f.value(u) == pytest.approx(0.5 * np.sum((u.ravel() / 2 - W @ z - c) ** 2))


def test_it_refuses_what_does_not_go_together() -> None:
    m, w = np.zeros(DIMS), np.zeros((4, *DIMS))
    for args, error, text in (
        ((m, m[:3], w), ValueError, "shapes"),
        ((m, m, w[:3]), ValueError, "off_diagonal has 3 maps"),
        ((m, m + np.inf, w), ValueError, "log_diagonal has NaN or infinite"),
        ((m, m, w.astype("float32")), TypeError, "expected one"),
    ):
        with pytest.raises(error, match=text):
            PrecisionL2(*args)


def test_singular_covariance_is_refused() -> None:
    model = Linear()
    with torch.no_grad():
        model.d[0, 0, 1, 1] = -torch.inf
    with pytest.raises(ValueError, match="^the covariance of sample 0 is singular: .* from -inf to"):
        CovariancePrior(model).at(np.zeros(3))
