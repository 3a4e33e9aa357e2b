"""Gap, coverage and ranks of samples whose faults are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from ipbox.bayes import Gaussian, GaussianMixture, interval_coverage, mmse_gap, rank_uniformity, ranks, region_coverage
from tests.bayes.known.test_laws import mixture


def test_gap_is_the_excess_of_the_mean_squared_error() -> None:
    law, N = mixture(), 400_000
    x = law.mean + 0.4
    u = law.sample(N, seed=1)
    ratio = ((x - u) ** 2).sum() / ((law.mean - u) ** 2).sum()
    assert mmse_gap(x, law) == pytest.approx(10 * math.log10(ratio), abs=0.01)
    assert mmse_gap(law.mean, law) == 0


def test_region_of_exact_samples_has_its_level_from_few_samples_on() -> None:
    """The mean over 200 sets of 12 samples of 6 pixels; with the χ² quantile it would be far below."""
    law = mixture()
    law = Gaussian(law.mean, law.covariance)
    found = [region_coverage(law.sample(12, seed=k), law, draws=500, seed=k) for k in range(200)]
    assert abs(np.mean(found) - 0.9) < 4 * np.std(found) / math.sqrt(200)


def test_coverage_of_samples_that_are_too_sure() -> None:
    """Half the deviation: |u| < 1.645/2 deviations in one pixel, in both measures."""
    law = Gaussian(np.zeros(1), np.eye(1))
    x = 0.5 * law.sample(20_000, seed=2)
    expected = 2 * norm.cdf(norm.ppf(0.95) / 2) - 1
    assert interval_coverage(x, law) == pytest.approx(expected, abs=0.01)
    assert region_coverage(x, law, draws=20_000) == pytest.approx(expected, abs=0.015)


def test_intervals_of_a_mixture() -> None:
    """The mean over sets of 19 samples, whose 5 % and 95 % quantiles are the smallest and the largest."""
    law = mixture()
    found = [interval_coverage(law.sample(19, seed=k), law) for k in range(300)]
    assert abs(np.mean(found) - 18 / 20) < 4 * np.std(found) / math.sqrt(300)
    missed = GaussianMixture([1.0], law.means[:1], law.covariances[:1]).sample(4000)
    assert interval_coverage(missed, law) < 0.85


def test_ranks_are_uniform_for_the_posterior_and_for_nothing_else() -> None:
    """A linear Gaussian problem, 400 times: the exact posterior, one too sure, and one with the wrong mean."""
    rng, N = np.random.default_rng(3), 19
    prior = Gaussian(np.array([1.0, -1.0]), np.array([[2.0, 0.5], [0.5, 1.0]]))
    A = np.array([[1.0, 2.0]])
    truths, exact = prior.sample(400, seed=4), []
    for k, u in enumerate(truths):
        b = A @ u + 0.7 * rng.standard_normal(1)
        posterior = prior.posterior(A, b, 0.7)
        exact.append(posterior.sample(N, seed=k) - posterior.mean)
        exact[-1] = np.stack([exact[-1] + posterior.mean, 0.5 * exact[-1] + posterior.mean, exact[-1]])
    good, sure, wrong = np.stack(exact, axis=1)
    for pixel in range(2):
        p = [rank_uniformity(ranks(truths[:, pixel], x[..., pixel]), N) for x in (good, sure, wrong)]
        assert p[0] > 0.01 and p[1] < 1e-6 and p[2] < 1e-6, p


def test_bad_input() -> None:
    law = Gaussian(np.zeros(3), np.eye(3))
    with pytest.raises(ValueError, match="x has 4 samples of 3 pixels; expected more samples than pixels"):
        region_coverage(np.zeros((4, 3)), law)
    with pytest.raises(TypeError, match="posterior is GaussianMixture; expected a Gaussian: of others, see"):
        region_coverage(np.zeros((9, 2, 3)), mixture())
    with pytest.raises(ValueError, match="x has 18 samples; expected at least 19 at level 0.9"):
        interval_coverage(np.zeros((18, 3)), law)
    with pytest.raises(ValueError, match="level is 1; expected a number in"):
        interval_coverage(np.zeros((18, 3)), law, 1)
    with pytest.raises(ValueError, match=r"x has shape \(2,\); expected \(3,\)"):
        mmse_gap(np.zeros(2), law)
    with pytest.raises(ValueError, match="bins is 7; expected a divisor of N \\+ 1 = 20"):
        rank_uniformity(np.arange(100) % 20, 19, bins=7)
    with pytest.raises(ValueError, match="found has 20 ranks, from 0 to 19; expected at least 50 integers"):
        rank_uniformity(np.arange(20), 19)
    with pytest.raises(ValueError, match=r"truths has shape \(3,\) and samples \(4, 5\)"):
        ranks(np.zeros(3), np.zeros((4, 5)))
    with pytest.raises(TypeError, match="found has dtype float64; expected integers"):
        rank_uniformity(np.linspace(0, 19, 100), 19)
    with pytest.raises(ValueError, match="x has samples in a subspace of the 3 pixels; expected"):
        region_coverage(np.ones((9, 3)), Gaussian(np.zeros(3), np.eye(3)))
    with pytest.raises(TypeError, match="x has dtype complex128; expected real numbers"):
        interval_coverage(np.zeros((20, 3)) + 0j, law)
    with pytest.raises(ValueError, match="x has NaN or infinite entries; expected finite numbers"):
        mmse_gap(np.full(3, np.nan), law)
    with pytest.raises(ValueError, match="truths has NaN or infinite entries; expected finite numbers"):
        ranks(np.array([np.nan]), np.zeros((1, 5)))
