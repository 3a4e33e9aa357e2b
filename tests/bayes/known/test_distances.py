"""Wasserstein distances against cases that are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ipbox.bayes import Gaussian, gaussian_wasserstein, sliced_wasserstein, wasserstein


def test_of_gaussians_that_commute() -> None:
    """With common eigenvectors, W2² = ‖m1 - m2‖² + Σ(√a - √b)²."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    a, b, m = rng.uniform(0.1, 2, 5), rng.uniform(0.1, 2, 5), rng.standard_normal((2, 5))
    expected = math.sqrt(((m[0] - m[1]) ** 2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum())
    found = gaussian_wasserstein(m[0], Q * a @ Q.T, m[1], Q * b @ Q.T)
    assert found == pytest.approx(expected, rel=1e-10)


def test_of_gaussians_is_the_cost_of_the_optimal_map() -> None:
    """x -> T x with T = C1^{-1/2}(C1^{1/2}C2C1^{1/2})^{1/2}C1^{-1/2} carries N(0, C1) to N(0, C2)."""
    rng = np.random.default_rng(1)
    C1, C2 = (r @ r.T + 0.1 * np.eye(4) for r in rng.standard_normal((2, 4, 4)))

    def root(C: np.ndarray) -> np.ndarray:
        values, V = np.linalg.eigh(C)
        return V * np.sqrt(values) @ V.T

    half = root(C1)
    T = np.linalg.solve(half, root(half @ C2 @ half)) @ np.linalg.inv(half)
    assert np.allclose(T @ C1 @ T.T, C2)
    cost = np.trace((T - np.eye(4)) @ C1 @ (T - np.eye(4)).T)
    assert gaussian_wasserstein(np.zeros(4), C1, np.zeros(4), C2) ** 2 == pytest.approx(cost, rel=1e-9)


def test_pairing_is_the_best_of_all() -> None:
    x, y = np.random.default_rng(2).standard_normal((2, 6, 2, 2))
    for order in (1, 2):
        distances = (np.linalg.norm((x - y[list(p)]).reshape(6, 4), axis=1) for p in itertools.permutations(range(6)))
        least = min((d**order).mean() for d in distances)
        assert wasserstein(x, y, order=order) == pytest.approx(least ** (1 / order), rel=1e-12)
    with pytest.raises(ValueError, match="^order is 3; expected"):
        wasserstein(x, y, order=3)


def test_of_a_shift_is_its_length() -> None:
    x, c = np.random.default_rng(3).standard_normal((200, 3)), np.array([3.0, 0.0, 4.0])
    assert wasserstein(x, x + c) == pytest.approx(5.0, rel=1e-12)
    assert sliced_wasserstein(x, x + c, directions=20_000) == pytest.approx(5.0 / math.sqrt(3), rel=0.02)


def test_of_samples_tends_to_that_of_the_laws() -> None:
    law, other = Gaussian(np.zeros(2), np.eye(2)), Gaussian(np.array([2.0, 0.0]), np.diag([4.0, 0.25]))
    exact = gaussian_wasserstein(law.mean, law.covariance, other.mean, other.covariance)
    assert exact == pytest.approx(math.sqrt(4 + 1 + 0.25))
    assert wasserstein(law.sample(600, seed=0), other.sample(600, seed=1)) == pytest.approx(exact, rel=0.04)


def test_in_one_dimension_slices_are_exact() -> None:
    x, y = np.random.default_rng(4).standard_normal((2, 50, 1))
    assert sliced_wasserstein(x, y, directions=3) == pytest.approx(wasserstein(x, y), rel=1e-12)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"x has shape \(3, 2\) and y \(4, 2\); expected samples"):
        wasserstein(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="directions is 0; expected a positive integer"):
        sliced_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), directions=0)
    with pytest.raises(ValueError, match=r"other_covariance \(3, 3\); expected two means of n pixels"):
        gaussian_wasserstein(np.zeros(2), np.eye(2), np.zeros(2), np.eye(3))
    with pytest.raises(ValueError, match="x has NaN or infinite entries; expected finite numbers"):
        sliced_wasserstein(np.full((3, 2), np.nan), np.zeros((3, 2)))
    with pytest.raises(TypeError, match="y has dtype complex128; expected real numbers"):
        wasserstein(np.zeros((3, 2)), np.zeros((3, 2)) + 0j)
    with pytest.raises(ValueError, match="other_covariance differs .* an eigenvalue -1; expected a symmetric matrix"):
        gaussian_wasserstein(np.zeros(2), np.eye(2), np.zeros(2), -np.eye(2))
