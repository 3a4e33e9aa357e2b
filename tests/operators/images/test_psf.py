"""Point-spread functions against closed forms and oversampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from ipbox.operators.images.psf import disc_psf, gaussian_psf, motion_psf, uniform_psf

ALL = [
    gaussian_psf(1.7),
    gaussian_psf((0.0, 2.0)),
    gaussian_psf(3.0, size=(5, 9)),
    motion_psf(0.0),
    motion_psf(0.3, 1.0),
    motion_psf(7.3, -2.2),
    motion_psf(12.0, math.pi / 4),
    disc_psf(0.2),
    disc_psf(0.5),
    disc_psf(1.5),
    disc_psf(4.37),
    uniform_psf(3),
    uniform_psf((2, 5)),
]


@pytest.mark.parametrize("k", ALL, ids=lambda k: str(k.shape))
def test_every_one_is_normalised(k: np.ndarray) -> None:
    assert k.dtype == np.float64 and k.ndim == 2 and (k >= 0).all() and k.sum() == pytest.approx(1.0, abs=1e-15)
    assert (k == k[::-1, ::-1]).all()  # symmetric about the middle
    assert all(side.any() for side in (k[0], k[-1], k[:, 0], k[:, -1]))  # and no larger than it has to be


def centroid_and_covariance(k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, x = (np.arange(n) - n // 2 for n in k.shape)
    mean = np.array([k.sum(1) @ y, k.sum(0) @ x])
    return mean, np.array([[k.sum(1) @ y**2, y @ k @ x], [y @ k @ x, k.sum(0) @ x**2]])


def test_gaussian_is_the_response_to_a_point() -> None:
    point = np.zeros((33, 33))
    point[16, 16] = 1.0
    k = gaussian_psf((1.2, 2.0))
    expected = ndimage.gaussian_filter(point, (1.2, 2.0))[16 - 5 : 16 + 6, 16 - 8 : 16 + 9]
    np.testing.assert_allclose(k, expected, atol=1e-15)
    small = gaussian_psf(2.0, size=5)
    np.testing.assert_allclose(small, gaussian_psf(2.0)[6:11, 6:11] / gaussian_psf(2.0)[6:11, 6:11].sum())


@pytest.mark.parametrize("length, angle", [(5.0, 0.0), (8.6, 0.4), (6.0, math.pi / 4), (7.0, math.pi / 2), (3.3, 2.5)])
def test_motion_has_the_moments_of_a_segment(length: float, angle: float) -> None:
    """Covariance of a segment L²/12 along φ plus that of the hat Λ, whose samples at integers keep its moments.

    Σ_m m² Λ(m - s) = s² + f(1 - f), f the fraction of s, so the hat's share is the mean of f(1 - f) along the segment.
    """
    mean, covariance = centroid_and_covariance(motion_psf(length, angle))
    np.testing.assert_allclose(mean, 0, atol=1e-14)
    t = (np.arange(200000) + 0.5) / 200000 * length - length / 2
    y, x = -t * math.sin(angle), t * math.cos(angle)
    fy, fx = y - np.floor(y), x - np.floor(x)
    expected = [[np.mean(y**2 + fy * (1 - fy)), np.mean(y * x)], [np.mean(y * x), np.mean(x**2 + fx * (1 - fx))]]
    np.testing.assert_allclose(covariance, expected, atol=1e-8)


def test_motion_against_a_fine_sum() -> None:
    length, angle = 9.4, 0.7
    k = motion_psf(length, angle)
    t = (np.arange(400000) + 0.5) / 400000 * length - length / 2
    y, x = (np.arange(n) - n // 2 for n in k.shape)
    hats = [np.maximum(1 - np.abs(a[:, None] - p), 0) for a, p in ((y, -t * math.sin(angle)), (x, t * math.cos(angle)))]
    np.testing.assert_allclose(k, hats[0] @ hats[1].T / t.size, atol=1e-9)


def test_motion_known_values() -> None:
    np.testing.assert_allclose(motion_psf(3.0), [[1 / 24, 7 / 24, 8 / 24, 7 / 24, 1 / 24]], atol=1e-15)
    np.testing.assert_allclose(motion_psf(3.0, math.pi / 2), motion_psf(3.0).T, atol=1e-15)
    np.testing.assert_allclose(motion_psf(5.0, 0.3 + math.pi), motion_psf(5.0, 0.3), atol=1e-15)
    np.testing.assert_allclose(motion_psf(5.0, -0.3), motion_psf(5.0, 0.3)[::-1], atol=1e-15)
    up_right = motion_psf(9.0, math.pi / 4)
    assert up_right[0, -1] > 0 and up_right[0, 0] == 0  # row 0 is on top
    assert motion_psf(0.0).tolist() == [[1.0]]


@pytest.mark.parametrize("radius", [0.4, 0.7, 1.5, 2.0, 3.6, math.sqrt(0.5), math.sqrt(12.5)])
def test_disc_against_oversampling(radius: float) -> None:
    k = disc_psf(radius)
    s = 401
    c = (np.arange(k.shape[0] * s) + 0.5) / s - k.shape[0] / 2
    inside = (c[:, None] ** 2 + c**2 <= radius**2).astype(np.float64)
    shares = inside.reshape(k.shape[0], s, k.shape[1], s).mean(axis=(1, 3))
    np.testing.assert_allclose(k, shares / (math.pi * radius**2), atol=2e-4)
    assert (k == k.T).all() and (k == k[::-1]).all()


def test_disc_and_uniform_known_values() -> None:
    assert disc_psf(5.0)[5, 5] == pytest.approx(1 / (25 * math.pi), rel=1e-13)
    assert uniform_psf((2, 3)).tolist() == [[1 / 6] * 3] * 2


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gaussian_psf(-1.0), "sigma is -1.0; expected zero or a positive number"),
        (lambda: gaussian_psf(math.inf), "sigma is inf"),
        (lambda: gaussian_psf((1.0, 2.0, 3.0)), "sigma is .*; expected a number or a pair"),
        (lambda: gaussian_psf(1.0, size=4), "size is 4; expected odd integers"),
        (lambda: gaussian_psf(1.0, size=0), "size is 0"),
        (lambda: motion_psf(-1.0), "length is -1.0; expected zero or a positive number of pixels"),
        (lambda: motion_psf("9"), "length is '9'"),
        (lambda: motion_psf(9.0, 45.0), "angle is 45.0; expected radians"),
        (lambda: motion_psf(9.0, math.nan), "angle is nan"),
        (lambda: disc_psf(0), "radius is 0; expected a positive number"),
        (lambda: disc_psf(-2.0), "radius is -2.0"),
        (lambda: uniform_psf(0), "size is 0; expected positive integers"),
        (lambda: uniform_psf(2.5), "size is 2.5"),
        (lambda: uniform_psf(None), "size is None"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_disc_within_a_pixel() -> None:
    assert all(disc_psf(r).tolist() == [[1.0]] for r in (0.5, 1e-9, 1e-300))
