"""SENSE regularises by default, whitens the coils' noise, and leaves alone what no coil sees."""

from __future__ import annotations

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.support import host


def quality(x, x_true) -> float:
    return ip.psnr(abs(host(x)), abs(host(x_true)))


@pytest.mark.parametrize(
    "name, options",
    [
        ("mri", dict(coils=8, acceleration=4, noise=0.05)),
        ("mri", dict(coils=4, acceleration=3, noise=0.2)),
        ("mri-radial", dict(coils=8, noise=0.2)),
    ],
)
def test_without_a_noise_level_the_noise_does_not_come_back(name: str, options: dict, xp) -> None:
    """Within 0.7 dB of the best iterate; to the end it loses up to 15."""
    A, b, x_true, _ = ip.problem(name, size=64, xp=xp.__name__, **options)
    best: list[float] = []
    ip.cgls(A, b, niter=40, callbacks=[lambda run: best.append(quality(run.x, x_true))])
    x, info = ip.sense(A, b)
    assert info.stop == "HeldOut" and info.niter == int(np.argmin(info.extra["held_out"])) < 40
    assert quality(x, x_true) > max(best) - 0.7
    assert quality(ip.sense(A, b, lam=0)[0], x_true) < quality(x, x_true)


def test_without_noise_it_goes_on() -> None:
    A, b, _, _ = ip.problem("mri", size=64, coils=8, acceleration=2, noise=0.0)
    x, info = ip.sense(A, b)
    assert info.stop == "residual" and "held_out" not in info.extra
    assert np.array_equal(x, ip.sense(A, b, lam=0)[0])


def test_a_batch_stops_at_one_iteration() -> None:
    A, b, x_true, _ = ip.problem("mri", size=64, coils=4, acceleration=3, noise=0.2)
    x, info = ip.sense(A, np.stack([b, 2 * b]))
    one, alone = ip.sense(A, b)
    assert info.niter == alone.niter
    np.testing.assert_allclose(x[1], 2 * one, atol=1e-4 * abs(one).max())


@pytest.mark.parametrize("unit", [1e-18, 1e18])
def test_units(unit: float) -> None:
    A, b, _, _ = ip.problem("mri", size=32, coils=4, acceleration=2, noise=0.2)
    x, info = ip.sense(A, b)
    y, scaled = ip.sense(A, np.float32(unit) * b)
    assert info.niter == scaled.niter
    np.testing.assert_allclose(y / np.float32(unit), x, atol=1e-4 * abs(x).max())


def test_any_operator_and_few_data() -> None:
    rng = np.random.default_rng(0)
    M = rng.standard_normal((60, 30))
    b = M @ np.ones(30) + 5.0 * rng.standard_normal(60)
    assert ip.sense(M, b, niter=30)[1].stop in ("HeldOut", "residual")
    assert ip.sense(M[:8], b[:8])[1].stop in ("residual", "niter")
    assert not ip.sense(M, 0 * b)[0].any()


def test_weight_by_rule() -> None:
    A, b, x_true, about = ip.problem("mri", size=32, coils=4, acceleration=2, noise=0.1)
    x, info = ip.sense(A, b, about.noise_level, lam="discrepancy", niter=100)
    assert np.linalg.norm(A.apply(x) - b) == pytest.approx(about.noise_level, rel=0.02)
    assert info.extra["lam"] > 0


# ---------------------------------------------------------------- whitening


def correlated(A, b, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Data with noise that the coils share, one of them loud, and its covariance."""
    coils, measured = len(b), (b != 0).any(axis=0)
    M = rng.standard_normal((coils, coils)) + 1j * rng.standard_normal((coils, coils))
    covariance = M @ M.conj().T + 0.1 * np.eye(coils)
    covariance[0] *= 4
    covariance[:, 0] *= 4
    white = (rng.standard_normal(b.shape) + 1j * rng.standard_normal(b.shape)) / np.sqrt(2)
    noise = np.tensordot(np.linalg.cholesky(covariance), white, axes=1) * measured
    scale = 0.2 * np.linalg.norm(b) / np.linalg.norm(noise)
    return (b + scale * noise).astype(b.dtype), scale**2 * covariance


def test_whitening_uses_quiet_coils_more(rng: np.random.Generator) -> None:
    A, clean, x_true, _ = ip.problem("mri", size=64, coils=6, acceleration=2, noise=0.0)
    b, covariance = correlated(A, clean, rng)
    whitened, info = ip.sense(A, b, covariance=covariance)
    assert quality(whitened, x_true) > quality(ip.sense(A, b)[0], x_true) + 0.5
    W, c = ip.prewhiten(A, b, covariance)
    noise = c - W.apply(x_true)
    measured = (b != 0).any(axis=0)
    assert (abs(noise[:, measured]) ** 2).mean() == pytest.approx(1, rel=0.1)
    assert abs(np.cov(noise[:, measured]) - np.eye(6)).max() < 0.25


def test_whitening_of_trajectories_and_batches(rng: np.random.Generator, xp) -> None:
    A, b, x_true, _ = ip.problem("mri-radial", size=32, coils=3, noise=0.0, xp=xp.__name__)
    covariance = np.diag([1.0, 4.0, 9.0])
    W, c = ip.prewhiten(A, xp.stack([b, 2 * b]), xp.asarray(covariance))
    expected = host(b) / np.array([1, 2, 3]).reshape(3, 1, 1)
    np.testing.assert_allclose(host(c[1]), 2 * expected, rtol=1e-5)
    np.testing.assert_allclose(host(W.apply(x_true))[2], host(A.apply(x_true))[2] / 3, rtol=1e-4, atol=1e-5)


def test_bad_covariances() -> None:
    A, b, _, _ = ip.problem("mri", size=16, coils=2, calibration=2)
    for covariance, message in (
        (np.eye(3), r"^covariance has shape \(3, 3\)"),
        (-np.eye(2), "^covariance is not Hermitian and positive definite"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "^covariance is not Hermitian"),
        (np.full((2, 2), np.nan), "^covariance is not"),
    ):
        with pytest.raises(ValueError, match=message):
            ip.sense(A, b, covariance=covariance)
    with pytest.raises(ValueError, match="^A has no sensitivities"):
        ip.prewhiten(ip.CartesianMRI(A.mask), b[0], np.eye(2))
    with pytest.raises(TypeError, match="^A is Identity; prewhiten expects"):
        ip.prewhiten(ip.Identity((4, 4)), np.ones((4, 4)), np.eye(2))


# ---------------------------------------------------------------- outside of the coils' maps


@pytest.mark.parametrize("name", ["mri", "mri-radial"])
def test_pixels_that_no_coil_sees_stay_zero(name: str, xp) -> None:
    A, b, x_true, _ = ip.problem(name, size=32, coils=3, noise=0.02)
    maps = A.sensitivities.copy()
    maps[:, :, :9] = 0
    A = A.with_sensitivities(xp.asarray(maps))
    outside = (maps == 0).all(axis=0)
    assert np.array_equal(A.support, ~outside)
    b = A.apply(xp.asarray(np.where(outside, 0, x_true).astype("complex64") + 0.3))
    for x, info in (
        ip.tv(A, b, 0.01, niter=30),
        ip.wavelet(A, b, 0.01, wavelet="haar", niter=30),
        ip.tikhonov(A, b, 0.01, gradient=True, niter=20),
        ip.sense(A, b),
    ):
        assert not host(x)[outside].any() and host(x)[~outside].any() and info.x is x


def test_constraints_that_forbid_zero_come_first() -> None:
    A, b, _, _ = ip.problem("mri", size=16, coils=2, calibration=2, real_image=True)
    maps = A.sensitivities.copy()
    maps[:, :, :4] = 0
    A = A.with_sensitivities(maps)
    assert ip.tv(A, b, 0.01, box=(0.5, 1.0), niter=50)[0].min() >= 0.5
    assert ip.CartesianMRI(A.mask).support is None
