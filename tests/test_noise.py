"""Noise: its expected norm, its distribution, its seeds; on the host and on the device."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

from ipbox import backend
from ipbox.problems.noise import gaussian, poisson_counts


def data(dtype: np.dtype, size: int = 40_000) -> np.ndarray:
    return (2.0 + np.sin(np.arange(size))).astype(dtype).reshape(200, -1)


# ---------------------------------------------------------------- Gaussian


def test_gaussian_level(xp: ModuleType, dtype: np.dtype) -> None:
    host = data(dtype)
    b = xp.asarray(host)
    noisy, noise_level = gaussian(b, 0.05, seed=3)
    assert backend.array_module(noisy) is xp and noisy.dtype == dtype and noisy.shape == b.shape
    assert noise_level == pytest.approx(0.05 * np.linalg.norm(host.astype(float)), rel=1e-5)
    n = backend.to_host(noisy).astype(float) - host
    sigma = noise_level / math.sqrt(n.size)
    # five standard deviations of the norm, the mean and the neighbours' correlation of white noise
    assert abs(np.linalg.norm(n) - noise_level) < 5 * sigma / math.sqrt(2)
    assert abs(n.mean()) < 5 * sigma / math.sqrt(n.size)
    assert abs((n[:, 1:] * n[:, :-1]).mean()) < 5 * sigma**2 / math.sqrt(n.size)
    assert abs((np.abs(n) < sigma).mean() - math.erf(math.sqrt(0.5))) < 0.015
    assert np.array_equal(backend.to_host(b), host)


def test_gaussian_seed(xp: ModuleType) -> None:
    b = xp.asarray(data(np.dtype("float32")))
    first, again, other = (backend.to_host(gaussian(b, 0.1, seed=s)[0]) for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_no_noise() -> None:
    b = data(np.dtype("float64"))
    noisy, noise_level = gaussian(b, 0.0)
    assert noise_level == 0 and np.array_equal(noisy, b) and not np.shares_memory(noisy, b)


def test_complex_gaussian_is_circular() -> None:
    b = data(np.dtype("float32")) * np.complex64(1 + 1j)
    noisy, noise_level = gaussian(b, 0.1)
    n = noisy.astype(complex) - b
    assert noisy.dtype == np.complex64
    assert np.linalg.norm(n) == pytest.approx(noise_level, rel=0.02)
    assert np.linalg.norm(n.real) == pytest.approx(np.linalg.norm(n.imag), rel=0.03)
    assert abs((n**2).mean()) < 0.03 * (np.abs(n) ** 2).mean()


# ---------------------------------------------------------------- photons


def test_photon_noise(xp: ModuleType, dtype: np.dtype) -> None:
    host, photons = data(dtype), 1e4
    noisy, noise_level = poisson_counts(xp.asarray(host), photons, seed=5)
    assert backend.array_module(noisy) is xp and noisy.dtype == dtype
    n = backend.to_host(noisy).astype(float) - host
    assert np.linalg.norm(n) == pytest.approx(noise_level, rel=0.02)
    # each ray's own variance, exp(p)/I₀ by the delta method
    scaled = n / np.sqrt(np.exp(host.astype(float)) / photons)
    dark = host > 2.7
    assert scaled[dark].std() == pytest.approx(1, abs=0.03) and scaled[~dark].std() == pytest.approx(1, abs=0.02)


def test_counts_are_whole_and_never_zero() -> None:
    p = np.full(5000, 4.0)
    noisy, _ = poisson_counts(p, photons=100.0, seed=0)  # 1.8 photons are expected to arrive
    counts = 100.0 * np.exp(-noisy)
    assert np.allclose(counts, np.round(counts), rtol=0, atol=1e-9) and counts.min() > 0.5
    zeros_and_ones = math.exp(-100 * math.exp(-4)) * (1 + 100 * math.exp(-4))
    assert (counts < 1.5).mean() == pytest.approx(zeros_and_ones, abs=0.03)


def test_more_photons_less_noise() -> None:
    p = data(np.dtype("float64"))
    levels = [poisson_counts(p, photons)[1] for photons in (1e4, 1e6)]
    assert levels[0] / levels[1] == pytest.approx(10, rel=1e-12)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda b: gaussian(b, -0.1), ValueError, "level is -0.1; expected zero or a positive number"),
        (lambda b: gaussian(b, math.nan), ValueError, "level is nan"),
        (lambda b: gaussian(b, 0.1, seed=-1), ValueError, "seed is -1; expected a non-negative integer"),
        (lambda b: gaussian(b, 0.1, seed=0.5), ValueError, "seed is 0.5"),
        (lambda b: gaussian([1.0], 0.1), TypeError, "expected a NumPy or CuPy array, got list"),
        (lambda b: gaussian(b.astype(int), 0.1), TypeError, "dtype is int64"),
        (lambda b: gaussian(b * np.nan, 0.1), ValueError, "b has NaN or infinite entries"),
        (lambda b: poisson_counts(b, 0), ValueError, "photons is 0; expected a positive number"),
        (lambda b: poisson_counts(b, math.inf), ValueError, "photons is inf"),
        (lambda b: poisson_counts(b + 1j, 1e5), TypeError, "line_integrals has dtype complex128"),
        (lambda b: poisson_counts(b / 0, 1e5), ValueError, "line_integrals has NaN or infinite entries"),
        (lambda b: poisson_counts(-40 * b, 1e5), ValueError, "expected at most 1e18"),
        (lambda b: poisson_counts(800 * b, 1e5), ValueError, "line_integrals reach 800"),
    ],
)
def test_refusals(call, error: type[Exception], message: str) -> None:
    with np.errstate(divide="ignore"), pytest.raises(error, match=message):
        call(np.ones(4))
