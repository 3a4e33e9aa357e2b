"""Rings: what removing the stripes of gain errors is worth in the image, and that it leaves alone what is none."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import ipbox as ip
from ipbox import backend


def gained(image: str, views: int, gain: float, photons: float, seed: int = 0) -> tuple[float, float, float]:
    """PSNR of FBP against that of exact data: with gain errors, with these removed, and without them from the start."""
    A, b, _, _ = ip.problem("ct", image=image, size=128, views=views, noise=0.0)
    rng, scale = np.random.default_rng(seed), 3 / b.max()
    counts = rng.poisson(photons * np.exp(-scale * b.astype(np.float64)))
    ideal = (-np.log(np.maximum(counts, 1) / photons) / scale).astype(np.float32)
    offsets = np.log(1 + gain * rng.standard_normal(b.shape[1]))
    striped = (ideal - offsets / scale).astype(np.float32)
    reference = ip.fbp(A, b)[0]
    data = striped, ip.measured.remove_stripes(striped)[0], ideal
    spoilt, mended, best = (ip.psnr(ip.fbp(A, y)[0], reference) for y in data)
    return spoilt, mended, best


@pytest.mark.parametrize("image", ["lung", "shepp-logan"])
@pytest.mark.parametrize("views", [90, 180])
def test_three_decibels_at_least(image: str, views: int) -> None:
    for gain in (0.02, 0.05):
        spoilt, mended, best = gained(image, views, gain, 1e5)
        assert mended - spoilt >= 3.0
        assert mended <= best + 0.1  # no better than data without gain errors: nothing was smoothed


def test_constant_offsets_come_back_and_the_data_are_left_as_they_are(xp: ModuleType) -> None:
    A, b, _, _ = ip.problem("ct", size=128, views=90, noise=0.0)
    h = 0.02 * b.max() * np.random.default_rng(1).standard_normal(b.shape[1])
    striped = backend.to_device((b + h).astype(np.float32), xp)
    before = striped.copy()
    clean, offsets = ip.measured.remove_stripes(striped)
    assert type(clean) is type(striped) and clean.dtype == np.float32 and bool((striped == before).all())
    narrow = h - gaussian_filter1d(h, 2.5, mode="nearest")
    assert np.linalg.norm(backend.to_host(offsets) - narrow) < 0.35 * np.linalg.norm(narrow)  # the rest is the object
    assert np.allclose(backend.to_host(clean + offsets), backend.to_host(striped), atol=1e-5)


def test_rows_are_apart_and_what_is_smooth_stays() -> None:
    rng = np.random.default_rng(0)
    b = rng.standard_normal((50, 3, 40))
    whole, _ = ip.measured.remove_stripes(b)
    for r in range(3):
        assert np.allclose(whole[:, r], ip.measured.remove_stripes(b[:, r])[0])
    line = np.ones((5, 1)) * np.linspace(0, 1, 200)
    assert abs(ip.measured.remove_stripes(line)[0] - line)[:, 25:-25].max() < 1e-12


@pytest.mark.parametrize(
    ("b", "options", "words"),
    [
        (np.ones((2, 9)), {}, "b has 2 views; expected at least 3"),
        (np.ones((9, 9)), {"width": 0}, "width is 0; expected a positive number of columns"),
        (np.ones((9, 9), dtype=int), {}, "b has dtype int64; expected line integrals in float32 or float64"),
        ([1.0], {}, "b is list; expected an array"),
    ],
)
def test_refused(b: object, options: dict, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        ip.measured.remove_stripes(b, **options)
