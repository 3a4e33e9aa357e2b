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


def test_bsrem_is_the_minimiser_of_its_objective_and_better_than_stopping_early() -> None:
    A, b, x, _ = ip.problem("pet", size=32, views=30, counts=2e5, dtype="float64")
    u, info = ip.bsrem(A, b, 2.0, subsets=5)
    assert info.stop == "residual" and info.extra["lam"] == 2.0 and u.min() >= 0
    assert ip.psnr(u, x) > ip.psnr(ip.osem(A, b, 5, noise_level="poisson")[0], x)
    mean = (b - A.background).sum() / A.sensitivity().sum()
    f = ip.KL(A, b) + 2.0 * ip.RelativeDifference(A.dims, 0.01 * mean, spacing=A.projector.pixel_widths)
    exact = ip.solve(ip.Problem(f), ip.BSREM(1, decay=0), x0=u, stop=ip.stop.niter(400)).x
    assert f.value(u) - f.value(exact) < 0.015 * f.value(exact) and ip.nrmse(u, exact) < 0.03
    again, _ = ip.bsrem(A, b, 2.0, subsets=5, eps=0.01 * mean, background=A.background)
    assert np.array_equal(u, again)


def test_bsrem_chooses_its_weight_from_the_counts() -> None:
    A, b, x, _ = ip.problem("pet", size=24, views=20, counts=1e5)
    u, info = ip.bsrem(A, b, "discrepancy", subsets=5, tol=0.03)
    D = ip.KL(A, b)
    assert abs(D.value(u) / D.expected_value(u) - 1.02) < 0.03 and info.extra["choice"].solves <= 10
    assert ip.psnr(u, x) > ip.psnr(ip.fbp(A, b, "hann")[0], x)


def test_bsrem_with_a_mask_and_a_batch() -> None:
    A, b, _, _ = ip.problem("pet", size=24, views=20, counts=1e5, dtype="float64")
    mask = np.random.default_rng(0).random(b.shape) < 0.8
    changed = np.where(mask, b, 77.0)
    options = {"subsets": 4, "mask": mask, "background": A.background}
    assert np.array_equal(ip.bsrem(A, b, 0.3, **options)[0], ip.bsrem(A, changed, 0.3, **options)[0])
    two, info = ip.bsrem(A, np.stack([b, b[:, ::-1]]), 0.3, subsets=4, eps=0.01)
    assert two.shape == (2, 24, 24) and np.allclose(two[0], ip.bsrem(A, b, 0.3, subsets=4, eps=0.01)[0], rtol=1e-10)


def test_bsrem_refuses() -> None:
    for match, options in (
        ("^lam is", {"lam": -1.0}),
        ("^eps is", {"lam": 1.0, "eps": 0.0}),
        ("^subsets is", {"lam": 1.0, "subsets": 0}),
    ):
        with pytest.raises(ValueError, match=match):
            ip.bsrem(np.eye(4), np.ones(4), shape=(2, 2), **options)
    with pytest.raises(ValueError, match="its image's shape is not known"):
        ip.bsrem(np.eye(4), np.ones(4), 1.0)
