"""Noise: its expected norm, its distribution, its seeds; on the host and on the device."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

from ipbox import backend
from ipbox.problems.measuring.noise import gaussian, poisson, poisson_counts, salt_and_pepper


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


def test_complex_gaussian_is_circular(xp: ModuleType) -> None:
    b = data(np.dtype("float32")) * np.complex64(1 + 1j)
    noisy, noise_level = gaussian(xp.asarray(b), 0.1)
    noisy = backend.to_host(noisy)
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


def test_rays_without_light_are_said() -> None:
    p = np.array([0.0, 5.0, 20.0, 30.0])
    with pytest.warns(RuntimeWarning, match="^photons is 10000 and line integrals reach 30: 2 of 4 rays expect less"):
        poisson_counts(p, photons=1e4)


def test_more_photons_less_noise() -> None:
    p = data(np.dtype("float64"))
    levels = [poisson_counts(p, photons)[1] for photons in (1e4, 1e6)]
    assert levels[0] / levels[1] == pytest.approx(10, rel=1e-12)


# ---------------------------------------------------------------- counts with a mean


def test_poisson_counts_with_a_mean(xp: ModuleType, dtype: np.dtype) -> None:
    mean = 50 * data(dtype)
    mean[:20] = 0  # nothing arrives where nothing is expected
    counts, noise_level = poisson(xp.asarray(mean), seed=2)
    assert backend.array_module(counts) is xp and counts.dtype == dtype and counts.shape == mean.shape
    counts = backend.to_host(counts).astype(float)
    assert np.array_equal(counts, np.round(counts)) and not counts[:20].any()
    assert noise_level == pytest.approx(math.sqrt(mean.sum(dtype=float)), rel=1e-6)
    n = (counts - mean)[20:]
    # ‖n‖² has variance Σ(2λ² + λ)
    spread = math.sqrt(float((2.0 * mean.astype(float) ** 2 + mean).sum()))
    assert abs((n**2).sum() - noise_level**2) < 5 * spread
    z = n / np.sqrt(mean[20:].astype(float))
    assert abs(z.mean()) < 5 / math.sqrt(z.size) and abs(z.var() - 1) < 0.05


def test_poisson_seed(xp: ModuleType) -> None:
    mean = xp.asarray(data(np.dtype("float32")))
    first, again, other = (backend.to_host(poisson(mean, seed=s)[0]) for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert poisson(mean[:0])[1] == 0.0


# ---------------------------------------------------------------- salt and pepper


def test_salt_and_pepper(xp: ModuleType, dtype: np.dtype) -> None:
    b = data(dtype)
    noisy, noise_level = salt_and_pepper(xp.asarray(b), 0.2, low=0.5, high=4.0, seed=4)
    assert backend.array_module(noisy) is xp and noisy.dtype == dtype
    noisy = backend.to_host(noisy)
    salt, pepper = noisy == 4.0, noisy == 0.5
    assert np.array_equal(noisy[~(salt | pepper)], b[~(salt | pepper)])
    error = 5 * math.sqrt(0.1 * 0.9 / b.size)
    assert abs(salt.mean() - 0.1) < error and abs(pepper.mean() - 0.1) < error
    assert np.linalg.norm(noisy.astype(float) - b) == pytest.approx(noise_level, rel=0.02)
    by_hand = 0.1 * ((b.astype(float) - 0.5) ** 2 + (b.astype(float) - 4.0) ** 2).sum()
    assert noise_level == pytest.approx(math.sqrt(by_hand), rel=1e-6)


def test_salt_and_pepper_takes_the_range_of_the_data() -> None:
    b = data(np.dtype("float64"))
    noisy, _ = salt_and_pepper(b, 0.5)
    assert set(np.unique(noisy[noisy != b])) <= {b.min(), b.max()} and (noisy != b).mean() > 0.45
    everything, _ = salt_and_pepper(b, 1.0, 0.0, 1.0)
    assert set(np.unique(everything)) == {0.0, 1.0}
    untouched, noise_level = salt_and_pepper(b, 0.0)
    assert np.array_equal(untouched, b) and noise_level == 0.0 and not np.shares_memory(untouched, b)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda b: gaussian(b, -0.1), ValueError, "level is -0.1; expected zero or a positive number"),
        (lambda b: gaussian(b, math.nan), ValueError, "level is nan"),
        (lambda b: gaussian(b, 0.1, seed=-1), ValueError, "seed is -1; expected an integer from 0"),
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
        (lambda b: poisson(-b), ValueError, "mean has values from -1 to -1; expected counts from 0 to 1e18"),
        (lambda b: poisson(1e19 * b), ValueError, "mean has values from 1e\\+19"),
        (lambda b: poisson(b * np.nan), ValueError, "mean has NaN or infinite entries"),
        (lambda b: poisson(b * 1j), TypeError, "mean has dtype complex128; expected float32 or float64"),
        (lambda b: poisson(b.astype(int)), TypeError, "dtype is int64"),
        (lambda b: poisson(b, seed=-2), ValueError, "seed is -2"),
        (lambda b: salt_and_pepper(b, 1.2), ValueError, r"fraction is 1.2; expected a number in \[0, 1\]"),
        (lambda b: salt_and_pepper(b, math.nan), ValueError, "fraction is nan"),
        (lambda b: salt_and_pepper(b, "many"), ValueError, "fraction is 'many'"),
        (lambda b: salt_and_pepper(b, 0.1, low=math.inf), ValueError, "low is inf; expected a finite number"),
        (lambda b: salt_and_pepper(b, 0.1, 2.0, 1.0), ValueError, "low is 2 and high is 1; expected low <= high"),
        (lambda b: salt_and_pepper(b * 1j, 0.1), TypeError, "b has dtype complex128"),
        (lambda b: salt_and_pepper(b, 0.1, seed=True + 0.5), ValueError, "seed is 1.5"),
    ],
)
def test_refusals(call, error: type[Exception], message: str) -> None:
    with np.errstate(divide="ignore"), pytest.raises(error, match=message):
        call(np.ones(4))
