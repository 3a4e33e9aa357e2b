"""Gaussian mixtures: density, score, Jacobian and posterior, against quadrature, differences and Bayes' rule."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import ipbox as ip
from ipbox.backend import to_host
from ipbox.bayes import Gaussian, GaussianMixture, MixtureScore
from tests.contracts.solvers.registry import operator

DIMS = (2, 3)


def mixture(xp: ModuleType = np, dims: tuple[int, ...] = DIMS, seed: int = 0) -> GaussianMixture:
    """Three components, each with a covariance of its own."""
    rng, n = np.random.default_rng(seed), math.prod(dims)
    roots = rng.standard_normal((3, n, n)) / math.sqrt(n)
    covariances = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(n)
    return GaussianMixture([0.5, 0.2, 0.3], xp.asarray(rng.standard_normal((3, *dims))), xp.asarray(covariances))


def density(law: GaussianMixture, x: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """By SciPy, from weights, means and covariances alone."""
    flat, n = x.reshape(len(x), -1), x[0].size
    parts = zip(law.weights, law.means.reshape(-1, n), law.covariances, strict=True)
    return sum(w * multivariate_normal(m, C + sigma**2 * np.eye(n)).pdf(flat) for w, m, C in parts)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_density(sigma: float) -> None:
    law, x = mixture(), np.random.default_rng(1).standard_normal((5, *DIMS))
    assert np.allclose(law.log_density(x, sigma), np.log(density(law, x, sigma)), rtol=1e-12)


def test_moments_are_those_of_the_samples() -> None:
    law, N = mixture(), 200_000
    x = law.sample(N, seed=3).reshape(N, -1)
    spread = np.sqrt(np.diag(law.covariance))
    assert (np.abs(x.mean(axis=0) - law.mean.ravel()) < 5 * spread / math.sqrt(N)).all()
    assert np.abs(np.cov(x.T) - law.covariance).max() < 5 * math.sqrt(3 / N) * (spread**2).max()


def test_samples_come_from_the_components_by_their_weights() -> None:
    law = GaussianMixture([0.2, 0.5, 0.3], np.array([[-10.0], [0.0], [10.0]]), np.eye(1))
    x = law.sample(20_000, seed=5)
    assert np.allclose(np.histogram(x, [-20, -5, 5, 20])[0] / 20_000, law.weights, atol=0.015)


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_score_is_the_gradient_of_the_log_density(sigma: float) -> None:
    law = mixture()
    x, v = np.random.default_rng(2).standard_normal((2, 4, *DIMS))
    h = 1e-5
    difference = (law.log_density(x + h * v, sigma) - law.log_density(x - h * v, sigma)) / (2 * h)
    slope = (MixtureScore(law).score(x, sigma) * v).sum(axis=(1, 2))
    assert np.allclose(difference, slope, rtol=1e-6, atol=1e-8 / sigma**2)


def test_denoiser_is_the_conditional_mean() -> None:
    """E[x_0 | x] by quadrature in one dimension."""
    law, sigma, x = mixture(dims=(1,)), 0.4, np.array([[-1.0], [0.3], [2.0]])
    u = np.linspace(-12, 12, 100_001)[:, None]
    weight = density(law, u)[:, None] * np.exp(-((x.T - u) ** 2) / (2 * sigma**2))
    mean = (u * weight).sum(axis=0) / weight.sum(axis=0)
    assert np.allclose(MixtureScore(law).denoise(x, sigma)[:, 0], mean, rtol=1e-9)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_vjp_is_that_of_the_denoiser(sigma: float) -> None:
    """<J w, v> by differences, against <w, J*v>; the two ways round, as J is symmetric by its formula only."""
    score, h = MixtureScore(mixture()), 1e-5
    x, v, w = np.random.default_rng(4).standard_normal((3, 4, *DIMS))
    Jw = (score.denoise(x + h * w, sigma) - score.denoise(x - h * w, sigma)) / (2 * h)
    assert np.allclose((Jw * v).sum(axis=(1, 2)), (w * score.vjp(x, sigma, v)).sum(axis=(1, 2)), rtol=1e-6, atol=1e-8)


def test_score_keeps_dtype_and_library(xp: ModuleType) -> None:
    score, x = MixtureScore(mixture(xp)), np.random.default_rng(5).standard_normal((4, *DIMS))
    for dtype, tol in (("float32", 1e-5), ("float64", 1e-12)):
        given = xp.asarray(x.astype(dtype))
        for found, expected in (
            (score.denoise(given, 0.5), MixtureScore(mixture()).denoise(x, 0.5)),
            (score.vjp(given, 0.5, given), MixtureScore(mixture()).vjp(x, 0.5, x)),
        ):
            assert type(found) is type(given) and found.dtype == dtype
            assert np.allclose(to_host(found), expected, atol=tol)


def test_far_away_nothing_overflows() -> None:
    """Where all densities underflow, the probabilities of the components are still known."""
    law = GaussianMixture([0.5, 0.5], np.array([[-1.0], [1.0]]), 0.01 * np.eye(1))
    d = MixtureScore(law).denoise(np.array([[1e4], [-1e4]]), 0.1)
    assert np.allclose(d, [[5000.5], [-5000.5]])


# ---------------------------------------------------------------- posteriors


def test_posterior_is_that_of_bayes(xp: ModuleType) -> None:
    """log prior + log likelihood - log posterior is one constant, the evidence."""
    law, rng = mixture(xp), np.random.default_rng(6)
    M, s = rng.standard_normal((4, 6)), 0.6
    A, b = operator(M, xp, np.float64, DIMS), rng.standard_normal(4)
    posterior = law.posterior(A, xp.asarray(b), s * math.sqrt(4))
    x = rng.standard_normal((7, *DIMS))
    likelihood = -((x.reshape(7, 6) @ M.T - b) ** 2).sum(axis=1) / (2 * s**2)
    there = xp.asarray(x)
    evidence = to_host(law.log_density(there)) + likelihood - to_host(posterior.log_density(there))
    assert np.ptp(evidence) < 1e-9
    assert type(posterior) is GaussianMixture and posterior.dims == DIMS
    assert np.allclose(
        to_host(posterior.covariances), to_host(posterior.covariances).swapaxes(1, 2), rtol=0, atol=1e-15
    )


def test_posterior_of_a_gaussian_is_that_of_the_normal_equations() -> None:
    rng = np.random.default_rng(7)
    root, M, m, s = rng.standard_normal((6, 6)), rng.standard_normal((9, 6)), rng.standard_normal(DIMS), 0.3
    C, b = root @ root.T + 0.2 * np.eye(6), rng.standard_normal(9)
    posterior = Gaussian(m, C).posterior(operator(M, np, np.float64, DIMS), b, s * 3)
    H = M.T @ M / s**2 + np.linalg.inv(C)
    assert type(posterior) is Gaussian
    assert np.allclose(posterior.covariance, np.linalg.inv(H), atol=1e-10)
    assert np.allclose(
        posterior.mean.ravel(), np.linalg.solve(H, M.T @ b / s**2 + np.linalg.solve(C, m.ravel())), atol=1e-9
    )


def test_posterior_takes_operators_of_the_package() -> None:
    """Little noise on all pixels: the posterior is at the data."""
    law = mixture(dims=(4, 4))
    u = law.sample(1, seed=1)[0]
    A = ip.Identity((4, 4), "float64")
    assert np.allclose(law.posterior(A, u, 1e-5).mean, u, atol=1e-4)


# ---------------------------------------------------------------- bad input

GOOD = {"weights": [0.5, 0.5], "means": np.zeros((2, 3)), "covariances": np.eye(3)}


@pytest.mark.parametrize(
    ("changed", "error", "sentence"),
    [
        ({"weights": [0.5, 0.6]}, ValueError, "weights has the sum 1.1"),
        ({"weights": [1.5, -0.5]}, ValueError, "and the smallest -0.5; expected numbers > 0 of sum 1"),
        ({"weights": [1.0]}, ValueError, r"weights has shape \(1,\); expected a number for each of 2 means"),
        ({"means": np.zeros((2, 3), "float32")}, TypeError, "means has dtype float32; expected float64"),
        ({"means": np.zeros(3)}, ValueError, r"means has shape \(3,\); expected \(components,\) and the shape of"),
        ({"means": np.full((2, 3), np.nan)}, ValueError, "means is not finite"),
        ({"means": np.zeros((2, 5000))}, ValueError, "images of 5000 pixels; expected at most 4096"),
        ({"covariances": np.eye(4)}, ValueError, r"covariances has shape \(4, 4\); expected \(2, 3, 3\) or \(3, 3\)"),
        ({"covariances": np.eye(3) + np.eye(3, k=1)}, ValueError, "differ from their transpose by up to 1; expected"),
        (
            {"covariances": np.diag([1.0, 1.0, -1.0])},
            ValueError,
            "have an eigenvalue -1, the largest being 1; expected",
        ),
        ({"covariances": [[1.0]]}, TypeError, "covariances is list; expected a NumPy or CuPy array"),
    ],
)
def test_bad_laws(changed: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        GaussianMixture(**GOOD | changed)


def test_bad_data() -> None:
    law, A = Gaussian(np.zeros(DIMS), np.eye(6)), ip.Identity(DIMS, "float64")
    with pytest.raises(ValueError, match=r"b has shape \(3, 2\); expected \(2, 3\)"):
        law.posterior(A, np.zeros((3, 2)), 1.0)
    with pytest.raises(ValueError, match="noise_level is 0; expected a positive number"):
        law.posterior(A, np.zeros(DIMS), 0)
    with pytest.raises(ValueError, match=r"A takes \(2, 3\) float32; expected \(2, 3\) float64"):
        law.posterior(ip.Identity(DIMS, "float32"), np.zeros(DIMS), 1.0)
    with pytest.raises(ValueError, match=r"x has shape \(2, 3\); expected \(samples,\) \+ \(2, 3\)"):
        law.log_density(np.zeros(DIMS))
    with pytest.raises(TypeError, match="law is ndarray; expected a Gaussian"):
        MixtureScore(np.eye(3))
