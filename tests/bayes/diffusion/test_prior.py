"""Samples of a Gaussian prior: laws that recursions give exactly, and the order of the flow."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from ipbox.bayes.diffusion import ProbabilityFlow, ReverseDiffusion, Score, geometric_levels, prior_samples

C = 0.7  # variance of the prior


class White(Score):
    """Of N(1, C I)."""

    def _denoise(self, x: Any, sigma: float) -> Any:
        return (C * x + sigma**2) / (C + sigma**2)

    def _vjp(self, x: Any, sigma: float, v: Any) -> Any:
        return v * (C / (C + sigma**2))


def run(sampler: Any, samples: int = 4, dims: tuple[int, ...] = (3, 4), xp: ModuleType = np, **options: Any) -> Any:
    problem = ip.Problem(ip.functionals.Zero(), batch=samples, dims=dims, dtype="float64", xp=xp.__name__)
    return ip.solve(problem, sampler, **options).x


@pytest.mark.parametrize(("heun", "order"), [(False, 1), (True, 2)])
def test_the_flow_has_its_order(heun: bool, order: int, xp: ModuleType) -> None:
    """x(σ) = 1 + √((C + σ²)/(C + σ_0²)) (x(σ_0) - 1): down to σ_min, since the last step to 0 is Euler's."""
    errors = []
    for n in (40, 80, 160):
        sampler = ProbabilityFlow(White(), geometric_levels(10.0, 0.1, n), seed=3, heun=heun)
        start = run(sampler, stop=ip.stop.niter(0), xp=xp)
        x = run(sampler, stop=ip.stop.niter(n - 1), xp=xp)
        exact = 1 + np.sqrt((C + 0.1**2) / (C + 10.0**2)) * (start - 1)
        errors.append(float(abs(x - exact).max()))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(rates, order, atol=0.15)
    assert errors[-1] < 0.05


def variance(levels: tuple[float, ...]) -> float:
    """Of the ancestral sampler's law in the end: v ← (r + (1 - r) C/(C + σ²))² v + r (σ² - σ₊²)."""
    v = levels[0] ** 2
    for sigma, after in zip(levels, (*levels[1:], 0.0), strict=True):
        r = (after / sigma) ** 2
        v = (r + (1 - r) * C / (C + sigma**2)) ** 2 * v + r * (sigma**2 - after**2)
    return v


@pytest.mark.parametrize("n", [10, 100])
def test_the_law_of_the_ancestral_sampler(n: int) -> None:
    levels = geometric_levels(10.0, 0.05, n)
    x = run(ReverseDiffusion(White(), levels, seed=1), samples=20, dims=(1000,))
    assert x.var() == pytest.approx(variance(levels), rel=5 * np.sqrt(2 / x.size))
    assert abs(variance(levels) / C - 1) < (0.06 if n == 100 else 0.5)
    assert abs(variance(geometric_levels(10.0, 0.05, 10)) / C - 1) > 0.3  # the steps are seen


def test_correctors_bring_the_law_nearer() -> None:
    """Ten coarse steps miss the variance; Langevin's steps at each level mend most of that."""
    levels = geometric_levels(10.0, 0.05, 10)
    plain, corrected = (
        run(ReverseDiffusion(White(), levels, seed=1, correctors=c, snr=0.2), samples=20, dims=(500,)).var()
        for c in (0, 8)
    )
    assert abs(corrected / C - 1) < 0.5 * abs(plain / C - 1)


@pytest.mark.parametrize("snr", [0.1, 0.3])
def test_the_law_of_the_corrector(snr: float) -> None:
    """Many of its steps at σ leave Langevin's own bias, v = (C + σ²)(1 + snr²), and no other.

    That is v = a/(1 - ε/(2a)) with a = C + σ² and ε = 2 snr² a²/v.  Two pixels: with steps of a size that follows each
    sample the variance would be twice a.
    """
    sampler = ReverseDiffusion(White(), (1.5, 1.0), seed=2, correctors=int(1.5 / snr**2), snr=snr)
    x = run(sampler, samples=4000, dims=(2,), stop=ip.stop.niter(1))
    assert x.var() == pytest.approx((C + 1) * (1 + snr**2), rel=0.05)


def test_seeds_tell_samples_apart_and_nothing_else_does() -> None:
    options = dict(dims=(2, 3), samples=3, steps=5, sigma_max=5.0, sigma_min=0.1, dtype="float64")
    a, b, c = (prior_samples(White(), seed=seed, **options).samples for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c) and not np.allclose(a[0], a[1])


def test_one_sample_has_no_deviation(xp: ModuleType) -> None:
    prior = prior_samples(White((4,)), samples=1, steps=3, sigma_max=5.0, sigma_min=0.1, xp=xp.__name__, method="flow")
    assert prior.std is None and prior.samples.dtype == "float32" and isinstance(prior.mean, xp.ndarray)
    np.testing.assert_array_equal(to_host(prior.mean), to_host(prior.samples)[0])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (dict(sigma_min=0.1), ValueError, "sigma_max is None, and White does not tell its noise levels"),
        (dict(sigma_max=1.0, sigma_min=2.0), ValueError, "expected sigma_min < sigma_max"),
        (dict(levels=[1.0, 2.0]), ValueError, "levels rises from 1 to 2 at 1; expected noise levels that decrease"),
        (dict(levels=[2.0, 1.0], steps=2), ValueError, "levels and steps, sigma_max or sigma_min are given"),
        (dict(levels=[2.0, 1.0], samples=0), ValueError, "samples is 0; expected a positive integer"),
        (dict(levels=[2.0, 1.0], method="dps"), ValueError, "method is 'dps'; expected one of 'ancestral', 'flow'"),
        (dict(levels=[2.0, 1.0], heun=True), TypeError, "heun is given, and ancestral has none; expected of its param"),
        (dict(levels=[2.0, 1.0], dims=None), ValueError, "dims is None, and White takes images of any shape"),
    ],
)
def test_bad_input(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        prior_samples(**dict(score=White(), dims=(4,)) | given)
    with pytest.raises(TypeError, match="score is function; expected a Score"):
        prior_samples(lambda x, sigma: x, (4,), levels=[2.0, 1.0])
