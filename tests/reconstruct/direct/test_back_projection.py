"""Back-projection between detector pixels: against its formula, and what filtered back-projection gains by it."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
import skimage.transform

import ipbox as ip
from ipbox.backend import to_host
from ipbox.problems.truths.phantoms import Ellipse, ellipses_image, ellipses_sinogram
from ipbox.reconstruct.direct.back_projection import REACH, back_projection

ELLIPSES = (
    Ellipse(1.0, 0.0, 0.0, 0.7, 0.8),
    Ellipse(-0.5, 0.2, 0.1, 0.3, 0.2, 0.5),
    Ellipse(0.4, -0.25, -0.3, 0.2, 0.3, -0.4),
)


@pytest.mark.parametrize("shape", [(6, 7), (5, 8)])
@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0])
def test_is_the_sum_it_says(shape: tuple[int, int], spacing: float, xp: ModuleType, dtype: np.dtype) -> None:
    """Σ_θ Σ_f w(f) Q(f) e^{2πi f x·θ} written out, Q the periodic spectrum of the readings."""
    A = ip.RayTransform(
        shape, np.arange(5) * 0.7, n_det=9, det_spacing=spacing, det_shift=0.3, pixel_size=0.8, dtype=dtype
    )
    (ny, nx), h, ds = shape, 0.8, spacing
    q = np.random.default_rng(0).standard_normal((2, *A.dimsd)).astype(dtype)
    s = (np.arange(9) - 4) * ds + 0.3
    k = np.arange(-(A.period - 1), A.period)
    f = k / (A.period * ds)
    f = f[np.abs(f) <= REACH / max(ds, h) * (1 + 1e-12)]
    w = 1 / (1 + (np.abs(f) / (1 / ds - np.abs(f))) ** 4) * np.sinc(f * math.sqrt(max(h**2 - ds**2, 0)))
    y, x = (((ny - 1) / 2 - np.arange(ny)) * h)[:, None], ((np.arange(nx) - (nx - 1) / 2) * h)[None]
    expected = np.zeros((2, ny, nx))
    for i, theta in enumerate(A.angles):
        Q = q[:, i] @ np.exp(-2j * np.pi * np.outer(s, f)) / A.period
        t = (x * np.cos(theta) + y * np.sin(theta)).ravel()
        expected += (np.exp(2j * np.pi * np.outer(t, f)) @ (w * Q).T).real.T.reshape(expected.shape)
    u = back_projection(A, xp.asarray(q))
    assert isinstance(u, xp.ndarray) and u.dtype == dtype
    error = np.abs(to_host(u) - expected).max() / np.abs(expected).max()
    assert error < (1e-3 if dtype == np.float32 else 1e-8)


def relative(x: np.ndarray, truth: np.ndarray) -> float:
    i, j = np.indices(truth.shape) - (truth.shape[0] - 1) / 2
    disc = np.hypot(i, j) <= truth.shape[0] / 2 - 1
    return float(np.linalg.norm((x - truth)[disc]) / np.linalg.norm(truth[disc]))


@pytest.mark.parametrize("n", [65, 129])  # odd: the two have the same origin
@pytest.mark.parametrize(("bins", "filter"), [(True, "ramp"), (False, "shepp-logan")])
def test_fbp_is_no_less_accurate_than_iradon(n: int, bins: bool, filter: str) -> None:
    """Than the better of linear and cubic interpolation, for averages over detector pixels and for values on rays."""
    h, angles = 2 / n, np.arange(360) * (np.pi / 360)
    A = ip.RayTransform((n, n), angles, n_det=n, pixel_size=h, dtype="float64")
    b = ellipses_sinogram(ELLIPSES, angles, (np.arange(n) - n // 2) * h, h if bins else 0.0)
    truth = ellipses_image(ELLIPSES, (n, n), h)
    theirs = [
        relative(skimage.transform.iradon(b.T / h, np.rad2deg(angles), interpolation=kind), truth)
        for kind in ("linear", "cubic")
    ]
    assert relative(ip.fbp(A, b, filter)[0], truth) < min(theirs)


def test_a_finer_detector_gives_a_better_image() -> None:
    """Its frequencies beyond the pixels' own fill the corners of the Fourier square."""
    n, h, angles, errors = 64, 2 / 64, np.arange(200) * (np.pi / 200), []
    truth = ellipses_image(ELLIPSES, (n, n), h)
    for ds in (2 * h, h, h / 2):
        A = ip.RayTransform((n, n), angles, det_spacing=ds, pixel_size=h, dtype="float64")
        s = (np.arange(A.n_det) - (A.n_det - 1) / 2) * ds
        errors.append(relative(ip.fbp(A, ellipses_sinogram(ELLIPSES, angles, s, ds))[0], truth))
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[1]
