"""Pixel averages and line integrals of ellipses, against areas, brute force and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter, minimum_filter
from skimage.data import shepp_logan_phantom

from ipbox.problems.truths.phantoms import SHEPP_LOGAN, Ellipse, ellipses_image, ellipses_sinogram, shepp_logan

TWO = (Ellipse(1.0, 0.3, -0.2, 1.9, 0.7, 0.6), Ellipse(-0.4, -0.3, 0.5, 0.4, 1.1, 2.0))
THETA = np.array([-1.3, 0.0, 0.4, math.pi / 2, 2.0, 3.5])


def inside(e: Ellipse, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The definition, with the inverse covariance of the ellipse."""
    axes = np.array([[math.cos(e.phi), -math.sin(e.phi)], [math.sin(e.phi), math.cos(e.phi)]])
    m = axes @ np.diag([e.a**-2.0, e.b**-2.0]) @ axes.T
    dx, dy = x - e.x0, y - e.y0
    return m[0, 0] * dx**2 + 2 * m[0, 1] * dx * dy + m[1, 1] * dy**2 <= 1


def value(ellipses: tuple[Ellipse, ...], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return sum(e.value * inside(e, x, y) for e in ellipses)


def test_image_against_sampling() -> None:
    ny, nx, h, k = 9, 11, 0.5, 200
    x = (np.arange(nx * k) - (nx * k - 1) / 2) * h / k
    y = ((ny * k - 1) / 2 - np.arange(ny * k)) * h / k
    sampled = value(TWO, x[None, :], y[:, None]).reshape(ny, k, nx, k).mean(axis=(1, 3))
    assert np.abs(ellipses_image(TWO, (ny, nx), h) - sampled).max() < 5e-4


def test_averages_of_averages() -> None:
    k, (ny, nx), h = 5, (9, 11), 0.5
    fine = ellipses_image(TWO, (ny * k, nx * k), h / k)
    coarse = fine.reshape(ny, k, nx, k).mean(axis=(1, 3))
    assert np.allclose(ellipses_image(TWO, (ny, nx), h), coarse, rtol=0, atol=1e-12)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    h=st.floats(0.2, 3.0),
    a=st.floats(0.02, 0.9),
    b=st.floats(0.02, 0.9),
    u=st.floats(-0.7, 0.7),
    v=st.floats(-0.7, 0.7),
    phi=st.floats(-4.0, 4.0),
)
def test_area_is_kept(shape: tuple[int, int], h: float, a: float, b: float, u: float, v: float, phi: float) -> None:
    """However an ellipse lies within the image, its pixels sum up to πab, and each is between 0 and 1."""
    reach = 0.5 * h * min(shape)
    a, b = a * reach, b * reach
    room = reach - max(a, b)
    image = ellipses_image([Ellipse(1.0, u * room, v * room, a, b, phi)], shape, h)
    assert image.sum() * h**2 == pytest.approx(math.pi * a * b, rel=1e-10)
    assert image.min() > -1e-10 and image.max() < 1 + 1e-10


def test_orientation() -> None:
    """y points up: an ellipse at positive y lies in the first rows; φ turns anticlockwise."""
    u = ellipses_image([Ellipse(1.0, 2.0, 3.0, 0.5, 0.5)], (9, 9))
    expected = np.zeros((9, 9))
    expected[4 - 3, 4 + 2] = math.pi / 4
    assert np.allclose(u, expected, rtol=0, atol=1e-12)
    v = ellipses_image([Ellipse(1.0, 0.0, 0.0, 4.0, 0.5, math.pi / 4)], (9, 9))
    assert v[2, 6] > 0.7 and v[2, 2] == 0


# ---------------------------------------------------------------- Shepp-Logan


def test_shepp_logan() -> None:
    u = shepp_logan(256)
    assert u.shape == (256, 256) and u.dtype == np.float64
    assert u.min() == 0 and u.max() == 1
    mass = sum(e.value * math.pi * e.a * e.b for e in SHEPP_LOGAN)
    assert u.sum() * (2 / 256) ** 2 == pytest.approx(mass, abs=1e-12)


def test_shepp_logan_is_the_one_of_scikit_image() -> None:
    """That one is drawn at 400 x 400 with 8 bits: the same to rounding, wherever no edge is near."""
    u = shepp_logan(400)
    flat = maximum_filter(u, 3) - minimum_filter(u, 3) < 1e-9
    assert flat.mean() > 0.9
    assert np.abs(u - shepp_logan_phantom())[flat].max() < 0.51 / 255


# ---------------------------------------------------------------- sinogram


def test_sinogram_against_quadrature() -> None:
    s = np.linspace(-2.2, 2.2, 23)
    t = (np.arange(200_000) + 0.5) / 200_000 * 6 - 3
    for theta, p in zip(THETA, ellipses_sinogram(TWO, THETA, s), strict=True):
        c, d = math.cos(theta), math.sin(theta)
        rays = [value(TWO, sk * c - t * d, sk * d + t * c).mean() * 6 for sk in s]
        assert np.abs(p - rays).max() < 1e-4


def test_bins_are_averages_of_rays() -> None:
    s, w, k = np.linspace(-2.2, 2.2, 23), 0.3, 4000
    fine = (s[:, None] + ((np.arange(k) + 0.5) / k - 0.5) * w).ravel()
    means = ellipses_sinogram(TWO, THETA, fine).reshape(THETA.size, s.size, k).mean(axis=2)
    assert np.abs(ellipses_sinogram(TWO, THETA, s, bin_width=w) - means).max() < 1e-5


def test_every_projection_has_the_mass() -> None:
    s = (np.arange(64) - 31.5) * 0.1
    p = ellipses_sinogram(TWO, THETA, s, bin_width=0.1)
    assert np.allclose(p.sum(axis=1) * 0.1, sum(e.value * math.pi * e.a * e.b for e in TWO), rtol=1e-12, atol=0)


def test_opposite_view_is_mirrored() -> None:
    s = (np.arange(21) - 10) * 0.2
    p, q = ellipses_sinogram(TWO, THETA, s, 0.2), ellipses_sinogram(TWO, THETA + math.pi, s, 0.2)
    assert np.allclose(p, q[:, ::-1], rtol=0, atol=1e-12)


def test_image_and_sinogram_lie_alike() -> None:
    """At θ = 0 a detector bin sees a column of pixels, at θ = π/2 a row, counted from below."""
    u = ellipses_image(TWO, (11, 13), 0.5)
    x, y = (np.arange(13) - 6) * 0.5, (np.arange(11) - 5) * 0.5
    p = ellipses_sinogram(TWO, np.array([0.0]), x, bin_width=0.5)
    q = ellipses_sinogram(TWO, np.array([math.pi / 2]), y, bin_width=0.5)
    assert np.allclose(p[0], u.sum(axis=0) * 0.5, rtol=0, atol=1e-12)
    assert np.allclose(q[0], u[::-1].sum(axis=1) * 0.5, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Ellipse(1.0, 0.0, 0.0, 0.0, 1.0), "a is 0.0; expected a positive semi-axis"),
        (lambda: Ellipse(math.nan, 0.0, 0.0, 1.0, 1.0), "value is nan; expected a finite number"),
        (lambda: shepp_logan(0), "size is 0; expected a positive integer"),
        (lambda: ellipses_image(TWO, (4, 0)), r"shape is \(4, 0\); expected"),
        (lambda: ellipses_image(TWO, (4, 4), -1.0), "pixel_size is -1.0; expected a positive number"),
        (lambda: ellipses_sinogram(TWO, THETA, THETA, -1.0), "bin_width is -1.0"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
