"""Joseph's projector, against scipy's interpolation, exact sums and the analytic sinogram."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from ipbox.problems.simulated.joseph import joseph, joseph_rays
from ipbox.problems.truths.phantoms import SHEPP_LOGAN, ellipses_image, ellipses_sinogram


def by_scipy(u: np.ndarray, angles: np.ndarray, s: np.ndarray, h: float) -> np.ndarray:
    """Joseph's method ray by ray, with scipy's linear interpolation (zero beyond the image)."""
    ny, nx = u.shape
    i, j = np.arange(ny), np.arange(nx)
    p = np.empty((angles.size, s.size))
    for k, theta in enumerate(angles):
        c, d = math.cos(theta), math.sin(theta)
        for m, sm in enumerate(s):
            if abs(c) >= abs(d):
                rows, columns = i, ((sm - ((ny - 1) / 2 - i) * h * d) / c) / h + (nx - 1) / 2
            else:
                rows, columns = (ny - 1) / 2 - ((sm - (j - (nx - 1) / 2) * h * c) / d) / h, j
            values = map_coordinates(u, [rows, columns], order=1, mode="grid-constant", cval=0.0)
            p[k, m] = values.sum() * h / max(abs(c), abs(d))
    return p


@pytest.mark.parametrize("shape", [(17, 24), (23, 12), (1, 9), (8, 1), (1, 1)])
def test_against_scipy(shape: tuple[int, int], rng: np.random.Generator) -> None:
    u = rng.standard_normal(shape)
    angles = np.concatenate([rng.uniform(-7, 7, 20), np.arange(-4, 5) * np.pi / 4])
    h, ds, shift, n_det = 0.7, 0.45, 0.13, 41
    s = (np.arange(n_det) - (n_det - 1) / 2) * ds + shift
    expected = by_scipy(u, angles, s, h)
    assert np.abs(joseph(u, angles, n_det, ds, shift, h) - expected).max() < 1e-11 * (1 + np.abs(expected).max())


def test_exact_along_the_axes(rng: np.random.Generator) -> None:
    u, h = rng.standard_normal((7, 10)), 0.5
    p = joseph(u, np.arange(4) * np.pi / 2, n_det=10, det_spacing=h, pixel_size=h)
    columns, rows = u.sum(axis=0) * h, u.sum(axis=1) * h
    assert np.allclose(p[0], columns, rtol=0, atol=1e-12)
    assert np.allclose(p[2], columns[::-1], rtol=0, atol=1e-12)
    q = joseph(u, np.arange(4) * np.pi / 2, n_det=7, det_spacing=h, pixel_size=h)
    assert np.allclose(q[1], rows[::-1], rtol=0, atol=1e-12)  # s runs along y, upwards
    assert np.allclose(q[3], rows, rtol=0, atol=1e-12)


def test_converges_to_the_analytic_sinogram() -> None:
    """First order in h in the mean (the image jumps), from 128 to 512 pixels; under 1 % at 256."""
    angles, errors = np.linspace(0, np.pi, 30, endpoint=False) + 0.01, []
    for n in (128, 256, 512):
        h, n_det = 2 / n, int(1.5 * n)
        s = (np.arange(n_det) - (n_det - 1) / 2) * h
        p = joseph(ellipses_image(SHEPP_LOGAN, (n, n), h), angles, n_det, h, pixel_size=h, rays_per_bin=2)
        exact = ellipses_sinogram(SHEPP_LOGAN, angles, s, bin_width=h)
        errors.append(np.abs(p - exact).sum() / np.abs(exact).sum())
        assert n != 256 or np.linalg.norm(p - exact) < 0.01 * np.linalg.norm(exact)
    assert errors[0] / errors[1] > 1.8 and errors[1] / errors[2] > 1.8, errors


def test_shift_and_rays_per_bin(rng: np.random.Generator) -> None:
    u, angles = rng.standard_normal((12, 15)), np.linspace(0, np.pi, 9)
    wide = joseph(u, angles, 31, 0.8)
    assert np.allclose(joseph(u, angles, 21, 0.8, det_shift=4 * 0.8), wide[:, 9:30], rtol=0, atol=1e-12)
    fine = joseph(u, angles, 93, 0.8 / 3)
    means = fine.reshape(9, 31, 3).mean(axis=2)
    assert np.allclose(joseph(u, angles, 31, 0.8, rays_per_bin=3), means, rtol=0, atol=1e-12)


def test_parallel_and_serial_agree_bit_for_bit(rng: np.random.Generator) -> None:
    u, angles = np.pad(rng.standard_normal((40, 30)), ((0, 0), (1, 1))), np.linspace(0, 6, 50)
    u_t = np.pad(np.ascontiguousarray(u[:, 1:-1].T), ((0, 0), (1, 1)))
    p, q = np.zeros((2, 50, 60))
    joseph_rays.parallel(u, u_t, np.cos(angles), np.sin(angles), -25.0, 0.83, p)
    joseph_rays.serial(u, u_t, np.cos(angles), np.sin(angles), -25.0, 0.83, q)
    assert np.array_equal(p, q)


def test_dtype_layout_and_input(rng: np.random.Generator) -> None:
    u = rng.standard_normal((20, 32))
    kept, angles = u.copy(), np.linspace(0, np.pi, 11)
    p = joseph(u, angles, 33, 1.0)
    single = joseph(u.astype(np.float32), angles, 33, 1.0)
    assert p.dtype == np.float64 and single.dtype == np.float32
    assert np.abs(single - p).max() < 1e-6 * np.abs(p).max()
    assert np.array_equal(joseph(np.asfortranarray(u), angles, 33, 1.0), p)
    assert np.array_equal(joseph(np.repeat(u, 2, axis=1)[:, ::2], list(angles), 33, 1.0), p)
    assert np.array_equal(u, kept)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(u=[[1.0]]), TypeError, "u is list; expected a NumPy array"),
        (dict(u=np.ones(3)), ValueError, r"u has shape \(3,\)"),
        (dict(u=np.ones((2, 2), int)), TypeError, "u has dtype int64"),
        (dict(angles=[]), ValueError, r"angles has shape \(0,\)"),
        (dict(angles=[np.nan]), ValueError, "angles has"),
        (dict(n_det=0), ValueError, "n_det is 0; expected a positive integer"),
        (dict(rays_per_bin=1.5), ValueError, "rays_per_bin is 1.5"),
        (dict(det_spacing=0.0), ValueError, "det_spacing is 0.0; expected a positive number"),
        (dict(pixel_size=-1.0), ValueError, "pixel_size is -1.0"),
        (dict(det_shift=np.inf), ValueError, "det_shift is inf"),
    ],
)
def test_refusals(change: dict, error: type[Exception], message: str) -> None:
    good = dict(u=np.ones((4, 4)), angles=[0.0], n_det=4, det_spacing=1.0)
    with pytest.raises(error, match=message):
        joseph(**(good | change))
