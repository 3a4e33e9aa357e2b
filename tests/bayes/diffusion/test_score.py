"""What every score owes: Tweedie's formula, the adjoint of its derivative, and clear errors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox.backend import to_host
from ipbox.bayes.diffusion import Score


class Pair(Score):
    """Of pixels that are -1 or 1 with equal odds, independently: D_σ(x) = tanh(x/σ²)."""

    def _denoise(self, x: Any, sigma: float) -> Any:
        return np.tanh(x / sigma**2)

    def _vjp(self, x: Any, sigma: float, v: Any) -> Any:
        return v * (1 - np.tanh(x / sigma**2) ** 2) / sigma**2


def log_density(x: np.ndarray, sigma: float) -> np.ndarray:
    """log p_σ of `Pair`, up to a constant."""
    return np.logaddexp(-((x - 1) ** 2) / (2 * sigma**2), -((x + 1) ** 2) / (2 * sigma**2)).sum(axis=(1, 2))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
def test_tweedies_formula_is_the_gradient_of_the_logarithm(rng: np.random.Generator, sigma: float) -> None:
    x, d = rng.standard_normal((2, 3, 2, 4))
    h = 1e-6
    slope = (log_density(x + h * d, sigma) - log_density(x - h * d, sigma)) / (2 * h)
    np.testing.assert_allclose((Pair().score(x, sigma) * d).sum(axis=(1, 2)), slope, rtol=1e-7, atol=1e-8)


def test_linearise_has_both(rng: np.random.Generator) -> None:
    x, v = rng.standard_normal((2, 3, 2, 4))
    d, vjp = Pair().linearise(x, 0.7)
    np.testing.assert_array_equal(d, Pair().denoise(x, 0.7))
    np.testing.assert_array_equal(vjp(v), Pair().vjp(x, 0.7, v))


def test_is_a_denoiser_of_one_image(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4))
    np.testing.assert_array_equal(Pair()(x, 0.7), Pair().denoise(x[None], 0.7)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeps_dtype_and_device_and_its_input(xp: ModuleType, dtype: str) -> None:
    x = xp.linspace(-1, 1, 6, dtype=dtype).reshape(1, 2, 3)
    kept = x.copy()
    for y in (Pair().score(x, 0.5), Pair().vjp(x, 0.5, x)):
        assert type(y) is type(x) and y.dtype == dtype and y.shape == x.shape
    np.testing.assert_array_equal(to_host(x), to_host(kept))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (dict(x=np.zeros((1, 2, 3), complex)), TypeError, "x has dtype complex128; Pair expects float64"),
        (dict(x=np.zeros((1, 2, 3), "float32")), TypeError, "x has dtype float32; Pair expects float64"),
        (dict(x=np.zeros((2, 3))), ValueError, r"x has shape \(2, 3\); Pair expects \(samples,\) \+ \(2, 3\)"),
        (dict(x=[[1.0]]), TypeError, "x is list; expected a NumPy or CuPy array"),
        (dict(sigma=0.0), ValueError, "sigma is 0.0; expected a positive number"),
        (dict(sigma=np.ones(2)), ValueError, "expected a positive number"),
    ],
)
def test_bad_input(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Pair((2, 3), "float64").denoise(**dict(x=np.zeros((1, 2, 3)), sigma=1.0) | given)


def test_bad_directions_and_dtypes() -> None:
    with pytest.raises(ValueError, match=r"v has shape \(2, 2\) and dtype float64; expected those of x"):
        Pair().vjp(np.zeros((1, 2)), 1.0, np.zeros((2, 2)))
    with pytest.raises(TypeError, match="dtype is complex128; expected float32 or float64"):
        Pair(dtype="complex128")
    with pytest.raises(ValueError, match=r"dims is \(0,\); expected positive integers"):
        Pair((0,))


class Cut(Pair):
    """Gives less than it gets."""

    def _denoise(self, x: Any, sigma: float) -> Any:
        return x[..., :1]


def test_what_a_score_gives_is_checked() -> None:
    with pytest.raises(ValueError, match=r"what Cut gives has shape \(3, 1\) and dtype float64; expected those of x"):
        Cut().score(np.zeros((3, 2)), 1.0)
    with pytest.raises(ValueError, match=r"what Cut gives has shape \(3, 1\)"):
        Cut().linearise(np.zeros((3, 2)), 1.0)
    with pytest.raises(ValueError, match="sigma_range is 2.0; expected two numbers, the least noise level and"):
        Pair(sigma_range=2.0)
    with pytest.raises(ValueError, match=r"sigma_range is \(2.0, 1.0\); expected the least noise level, then"):
        Pair(sigma_range=(2.0, 1.0))
