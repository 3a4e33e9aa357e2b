"""MLEM and OSEM filtered afterwards, and what stopping early leaves in white matter."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import ipbox as ip
from ipbox import backend

FWHM = 9.0  # mm


def scan(xp: str = "numpy", **options: object) -> tuple:
    return ip.problem("pet", size=32, views=24, counts=2e5, xp=xp, **options)


@pytest.mark.parametrize("method", [ip.mlem, ip.osem])
def test_post_filter_is_the_gaussian_of_its_width_and_keeps_the_sum(method: object, xp: ModuleType) -> None:
    A, b, _, info = scan(xp.__name__)
    x, run = method(A, b, niter=4, post_filter=FWHM)
    plain, _ = method(A, b, niter=4)
    x, u = backend.to_host(x), backend.to_host(plain)
    np.testing.assert_array_equal(backend.to_host(run.x), u)
    sigma = FWHM / 2.3548200450309493 / info.pixel_size
    np.testing.assert_allclose(x, gaussian_filter(u.astype(float), sigma, mode="reflect"), atol=1e-5 * u.max())
    assert x.dtype == u.dtype and x.min() >= 0 and x.sum() == pytest.approx(u.sum(), rel=1e-5)


def test_post_filter_of_a_point() -> None:
    """Half of the maximum at half the width, and nothing lost at the edge of the image."""
    A = ip.JosephTransform((41, 41), np.arange(8) * np.pi / 8, pixel_size=2.0, dtype="float64")
    b = A.apply(np.eye(41))
    for at in ((20, 20), (0, 0)):
        point = np.zeros((41, 41))
        point[at] = 1.0
        x, _ = ip.mlem(A, b, niter=0, x0=point + 1e-300, post_filter=8.0)
        assert x.sum() == pytest.approx(1, abs=1e-12)
        assert at == (0, 0) or x[20, 22] == pytest.approx(x[20, 20] / 2, rel=1e-12)  # 4 mm


def test_bad_post_filter() -> None:
    A, b, *_ = scan()
    with pytest.raises(ValueError, match="post_filter is 0; expected a positive full width at half maximum"):
        ip.mlem(A, b, post_filter=0)
    with pytest.raises(TypeError, match="post_filter is 5.0, a length, and A is ndarray; expected a tomographic"):
        ip.osem(np.eye(3), np.ones(3), 1, post_filter=5.0)


def test_white_matter_is_too_high_where_mlem_is_stopped_and_right_at_convergence() -> None:
    """Without noise and with an exact model: what stopping leaves is spill-in, which further iterations take away."""
    A, _, x, _ = ip.problem("pet", size=32, views=24, counts=1e6)
    b = A.mean(x)
    white, grey = abs(x - 1) < 0.1, x > 3
    bias, recovery = {}, {}
    for niter in (4, 100):
        u, _ = ip.osem(A, b, 6, niter=niter)
        bias[niter] = u[white].mean() / x[white].mean() - 1
        recovery[niter] = ip.contrast_recovery(u, x, grey, white)
    assert bias[4] > 0.2 and abs(bias[100]) < 0.12 * bias[4]
    assert recovery[4] < 0.7 and recovery[100] == pytest.approx(1, abs=0.05)
