"""Noise from the frames, from neighbouring views and from repeats, against that which was there."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from tests.measured.scans import TURN, integrals

LINES = np.repeat(integrals(TURN, 96)[:, None], 3, axis=1)  # (views, rows, columns)


def scan(photons: float, gain: float, read: float, n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Counts of a panel that makes ``gain`` counts of a photon, with read noise and an offset, whose beam flickers."""
    rng = np.random.default_rng(seed)
    dark = 100 + rng.uniform(0, 5, LINES.shape[1:])
    light = photons * rng.uniform(0.7, 1.3, LINES.shape[1:])

    def frames(mean: np.ndarray) -> np.ndarray:
        return gain * rng.poisson(mean) + dark + read * rng.standard_normal(mean.shape)

    flicker = 1 + 0.02 * rng.standard_normal((n, 1, 1))
    return frames(light * np.exp(-LINES)), frames(flicker * light), frames(np.zeros((n, *light.shape)))


@pytest.mark.parametrize(("photons", "gain", "read"), [(2000, 1.0, 0.0), (2000, 3.5, 0.0), (500, 2.0, 20.0)])
@pytest.mark.parametrize("n", [10, 40])
def test_photon_transfer(photons: float, gain: float, read: float, n: int) -> None:
    projections, flats, darks = scan(photons, gain, read, n)
    T, _ = ip.measured.flat_field(projections, flats, darks)
    error = ip.measured.minus_log(T) - LINES
    sigma = ip.measured.noise_from_flats(T, flats, darks)
    assert np.linalg.norm(sigma) / np.linalg.norm(error) == pytest.approx(1, abs=0.06)
    bright = LINES < 0.1
    for part in (bright, ~bright):  # and where it is
        assert np.sqrt((sigma[part] ** 2).mean()) / error[part].std() == pytest.approx(1, abs=0.1)


def test_on_the_device(xp: ModuleType) -> None:
    host = scan(1000, 1.0, 5.0, 10)
    projections, flats, darks = (backend.to_device(a.astype(np.float32), xp) for a in host)
    T, _ = ip.measured.flat_field(projections, flats, darks)
    sigma = ip.measured.noise_from_flats(T, flats, darks)
    assert type(sigma) is type(T) and sigma.dtype == np.float32
    expected = ip.measured.noise_from_flats(ip.measured.flat_field(*host)[0], *host[1:])
    assert np.allclose(backend.to_host(sigma), expected, rtol=1e-2)


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("views", [180, 360])
def test_neighbouring_views(views: int, noise: float) -> None:
    _, b, _, info = ip.problem("ct", size=96, views=views, noise=noise)
    assert ip.measured.noise_from_views(b) / info.noise_level == pytest.approx(1, abs=0.06)


def test_noise_that_the_panel_blurs_is_seen_in_neighbouring_views_only() -> None:
    rng = np.random.default_rng(0)
    blurred = 0.05 * rng.standard_normal((180, 96, 3)).mean(axis=2) @ np.eye(96)
    blurred = (blurred + np.roll(blurred, 1, axis=1) + np.roll(blurred, -1, axis=1)) / 3
    b = LINES[:, 0] + blurred
    assert ip.measured.noise_from_views(b) / np.linalg.norm(blurred) == pytest.approx(1, abs=0.12)
    assert ip.estimate_noise(b, kind="sinogram") / np.linalg.norm(blurred) < 0.75


def test_repeats() -> None:
    rng = np.random.default_rng(0)
    b, again = LINES[:20] + 0.1 * rng.standard_normal((2, 20, 3, 96))
    assert ip.measured.noise_from_repeats(b, again) / np.linalg.norm(b - LINES[:20]) == pytest.approx(1, abs=0.03)
    whole = ip.measured.noise_from_repeats(b, again, size=LINES.size)
    assert whole / (0.1 * LINES.size**0.5) == pytest.approx(1, abs=0.03)


T = np.full((5, 3, 4), 0.5)
FRAMES = np.random.default_rng(0).poisson(100.0, (6, 3, 4))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.noise_from_flats(T, FRAMES[:3]), "flats has 3 frames; expected at least 4"),
        (lambda m: m.noise_from_flats(T, FRAMES, FRAMES[:2]), "darks has 2 frames"),
        (lambda m: m.noise_from_flats(T, FRAMES[:, :2]), "flats has shape"),
        (lambda m: m.noise_from_flats(T, np.full((6, 3, 4), 90.0)), "flats do not vary more than darks"),
        (lambda m: m.noise_from_flats(-T, FRAMES), "expected positive transmissions of flat_field"),
        (lambda m: m.noise_from_views(T), "b has 5 views; expected at least 8"),
        (lambda m: m.noise_from_repeats(T, T[1:]), "again has shape"),
        (lambda m: m.noise_from_repeats(T, T, 0), "size is 0; expected a positive integer"),
    ],
)
def test_refused(call, words: str) -> None:  # noqa: ANN001
    with pytest.raises((TypeError, ValueError), match=words):
        call(ip.measured)
