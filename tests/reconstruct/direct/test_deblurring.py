"""Wiener filter and truncated inverse against dense matrices, the discrepancy principle, and photographs."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import to_host
from ipbox.operators import Blur
from ipbox.operators.images.psf import disc_psf, gaussian_psf, motion_psf
from ipbox.reconstruct.direct.deblurring import edgetaper

DIMS = (8, 9)
KERNELS = {"periodic": motion_psf(3.7, 0.6), "reflective": disc_psf(1.7)}
both = pytest.mark.parametrize("boundary", KERNELS)


def dense(A: ip.operators.Operator) -> np.ndarray:
    n = A.shape[1]
    return A.apply(np.eye(n, dtype=A.dtype_in).reshape(n, *A.dims)).reshape(n, -1).T


@pytest.fixture(params=KERNELS)
def A(request) -> Blur:
    return Blur(DIMS, KERNELS[request.param], request.param, "float64")


# ---------------------------------------------------------------- Wiener


def test_a_constant_ratio_is_tikhonov(A: Blur, rng: np.random.Generator) -> None:
    b, M = rng.standard_normal(DIMS), dense(A)
    for ratio in (1e-3, 0.5):
        expected = np.linalg.solve(M.T @ M + ratio * np.eye(M.shape[1]), M.T @ b.ravel()).reshape(DIMS)
        x, info = ip.wiener(A, b, noise_to_signal=ratio)
        np.testing.assert_allclose(x, expected, atol=1e-10)
        assert info.method == "wiener" and info.parameters["noise_to_signal"] == (ratio, ratio)


def test_wiener_is_the_conditional_mean(A: Blur, rng: np.random.Generator) -> None:
    """With signal covariance C = T* S_u T and white noise: C M* (M C M* + σ² I)^-1 b."""
    T, M, n, noise = A.diagonal, dense(A), A.shape[1], 0.03
    spectrum = rng.uniform(0.5, 2.0, T.values.shape)
    if T.kind == "fft":  # a real signal's spectrum is even
        for column in (0, -1) if DIMS[1] % 2 == 0 else (0,):
            s = spectrum[:, column]
            spectrum[:, column] = 0.5 * (s + np.roll(s[::-1], 1))
    C = np.stack([T.inverse(spectrum * T.forward(e)).ravel() for e in np.eye(n).reshape(n, *DIMS)])
    b = rng.standard_normal(DIMS)
    expected = C @ M.T @ np.linalg.solve(M @ C @ M.T + noise * np.eye(n), b.ravel())
    x, _ = ip.wiener(A, b, noise_to_signal=noise / spectrum)
    np.testing.assert_allclose(x.ravel(), expected, atol=1e-10)


@pytest.mark.parametrize("signal", ["natural", "white"])
def test_the_scale_of_the_spectrum_is_found(signal: str) -> None:
    """Data drawn from the model: a of S_u = a s to 5 per cent."""
    A = Blur((128, 128), gaussian_psf(1.0), "reflective", "float64")
    T, rng, a, sigma = A.diagonal, np.random.default_rng(3), 0.7, 0.02
    omega = T.frequencies.copy()
    omega.flat[0] = omega.flat[1]
    s = omega**-2.0 if signal == "natural" else np.ones(omega.shape)
    u = T.inverse(np.sqrt(a * s) * rng.standard_normal(A.dims))
    b = A.apply(u) + sigma * rng.standard_normal(A.dims)
    x, info = ip.wiener(A, b, sigma * 128, signal=signal)
    low, high = (sigma**2 / s.max() / a, sigma**2 / s.min() / a)
    assert info.parameters["noise_to_signal"] == pytest.approx((low, high), rel=0.05)
    best = ip.psnr(x, u)
    for factor in (0.3, 3.0):  # and no other scale does better
        assert ip.psnr(ip.wiener(A, b, noise_to_signal=factor * sigma**2 / (a * s))[0], u) < best


# ---------------------------------------------------------------- truncated inverse


def test_is_the_truncated_svd(A: Blur, rng: np.random.Generator) -> None:
    b, M = rng.standard_normal(DIMS), dense(A)
    U, s, Vt = np.linalg.svd(M)
    for t in (0.02, 0.3):
        assert np.abs(s - t).min() > 1e-6
        r = int((s > t).sum())
        expected = (Vt[:r].T @ ((U.T @ b.ravel())[:r] / s[:r])).reshape(DIMS)
        x, info = ip.truncated_inverse(A, b, threshold=t)
        np.testing.assert_allclose(x, expected, atol=1e-9)
        assert info.parameters["kept"] == pytest.approx(r / s.size)
        assert info.parameters["residual"] == pytest.approx(np.linalg.norm(A.apply(x) - b))


def test_threshold_zero_inverts(rng: np.random.Generator) -> None:
    u = rng.standard_normal(DIMS)
    A = Blur(DIMS, gaussian_psf(0.6), "reflective", "float64")
    np.testing.assert_allclose(ip.truncated_inverse(A, A.apply(u), threshold=0)[0], u, atol=1e-10)


def test_singular_values_that_are_zero_are_left_out(rng: np.random.Generator) -> None:
    """Averages of two neighbours, periodic, even length: the highest frequency is lost."""
    A = Blur((8, 8), np.full((1, 2), 0.5), "periodic", "float64")
    u = rng.standard_normal((8, 8))
    x, info = ip.truncated_inverse(A, A.apply(u), threshold=0)
    expected = np.linalg.pinv(dense(A), rcond=1e-10) @ A.apply(u).ravel()
    np.testing.assert_allclose(x.ravel(), expected, atol=1e-10)
    assert info.parameters["kept"] == pytest.approx(7 / 8)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
def test_discrepancy_principle_is_exact(A: Blur, share: float, rng: np.random.Generator) -> None:
    """The residual is at most 1.01 δ, and leaving out the next coefficient too would bring it above."""
    b = rng.standard_normal(DIMS)
    delta = share * np.linalg.norm(b)
    x, info = ip.truncated_inverse(A, b, delta)
    residual = np.linalg.norm(A.apply(x) - b)
    assert residual <= 1.01 * delta and info.parameters["residual"] == pytest.approx(residual)
    s = np.abs(A.diagonal.values)
    higher = s[s > info.parameters["threshold"] * (1 + 1e-12)].min()
    assert ip.truncated_inverse(A, b, threshold=higher)[1].parameters["residual"] > 1.01 * delta


def test_noise_beyond_the_data_leaves_nothing(A: Blur, rng: np.random.Generator) -> None:
    b = rng.standard_normal(DIMS)
    x, info = ip.truncated_inverse(A, b, 2 * np.linalg.norm(b))
    assert not x.any() and info.parameters["kept"] == 0


# ---------------------------------------------------------------- batches, devices, precision


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@both
def test_a_batch_is_a_loop(boundary: str, dtype: str, xp) -> None:
    A = Blur((24, 31), KERNELS[boundary], boundary, dtype)
    rng = np.random.default_rng(1)
    b = A.apply(rng.random((3, 24, 31)).astype(dtype)) * np.array([1, 5, 2], dtype)[:, None, None]
    b += 0.01 * rng.standard_normal(b.shape).astype(dtype)
    device = xp.asarray(b)
    for method in (
        lambda b: ip.wiener(A, b, 0.3),
        lambda b: ip.wiener(A, b, noise_to_signal=0.01),
        lambda b: ip.truncated_inverse(A, b, 0.3),
        lambda b: ip.truncated_inverse(A, b, threshold=0.1),
        lambda b: ip.wiener(A, b, 0.3, edgetaper=True),
    ):
        x, info = method(device)
        assert isinstance(x, xp.ndarray) and x.dtype == dtype and x.shape == b.shape and (to_host(device) == b).all()
        singles = [method(bi) for bi in device]
        atol = 2e-3 if dtype == "float32" else 1e-10
        np.testing.assert_allclose(to_host(x), np.stack([to_host(xi) for xi, _ in singles]), atol=atol)
        if "threshold" in info.parameters:
            assert info.parameters["threshold"] == pytest.approx([i.parameters["threshold"] for _, i in singles])


# ---------------------------------------------------------------- edges


def test_tapered_edges_are_periodic_and_the_inside_is_kept(rng: np.random.Generator, xp) -> None:
    k, b = disc_psf(3.0), np.add.outer(np.linspace(0, 1, 40), np.linspace(0, 2, 50))[None]
    tapered = to_host(edgetaper(xp.asarray(b), k))
    np.testing.assert_array_equal(tapered[:, 7:-7, 7:-7], b[:, 7:-7, 7:-7])
    for axis in (1, 2):
        before, after = (np.abs(np.take(z, 0, axis) - np.take(z, -1, axis)).max() for z in (b, tapered))
        assert after < 0.35 * before


@pytest.mark.parametrize("method", [ip.wiener, ip.truncated_inverse])
def test_boundaries_without_a_fast_transform_are_refused_unless_tapered(method) -> None:
    for boundary, what in (("zero", "which"), ("reflective", "and a kernel that is not symmetric")):
        A = Blur((32, 32), motion_psf(5.0, 0.6), boundary, "float64")
        b = A.apply(np.random.default_rng(0).random((32, 32)))
        with pytest.raises(ValueError, match=f"A has {boundary} boundary,? {what}.*expects periodic.*edgetaper=True"):
            method(A, b, 0.1)
        x, info = method(A, b, 0.1, edgetaper=True)
        assert x.shape == (32, 32) and info.parameters["transform"] == "fft"


# ---------------------------------------------------------------- on photographs


@pytest.mark.parametrize("kernel", ["gaussian", "motion", "out-of-focus", "uniform"])
@pytest.mark.parametrize("image", ["camera", "coins"])
def test_photographs_become_better(kernel: str, image: str) -> None:
    A, b, x_true, info = ip.problem("blur", image=image, kernel=kernel, size=160)
    delta = math.hypot(info.noise_level, info.model_error)
    x = {
        "blurred": b,
        "naive": ip.truncated_inverse(A, b, threshold=0)[0],
        "truncated": ip.truncated_inverse(A, b, delta)[0],
        "wiener": ip.wiener(A, b, delta)[0],
    }
    quality = {name: ip.psnr(image, x_true) for name, image in x.items()}
    assert quality["naive"] < quality["blurred"] < quality["truncated"] < quality["wiener"]
    white = max(ip.psnr(ip.wiener(A, b, noise_to_signal=10.0**p)[0], x_true) for p in np.arange(-4, 0, 0.25))
    assert quality["wiener"] > white - 1.0  # near the best constant ratio, which needs the truth


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({}, ValueError, "noise_level is None and noise_to_signal is None; expected exactly one"),
        ({"noise_level": 0.1, "noise_to_signal": 0.1}, ValueError, "expected exactly one"),
        ({"noise_level": -1.0}, ValueError, "noise_level is -1.0; expected a positive number"),
        ({"noise_level": math.nan}, ValueError, "noise_level is nan"),
        ({"noise_level": "auto"}, ValueError, "noise_level is 'auto'"),
        ({"noise_level": 1e3}, ValueError, "noise_level is 1000; expected less than"),
        ({"noise_level": 0.1, "signal": "pink"}, ValueError, "signal is 'pink'; expected one of 'natural', 'white'"),
        ({"noise_level": 0.1, "edgetaper": 1}, TypeError, "edgetaper is 1; expected True or False"),
        ({"noise_to_signal": -0.1}, ValueError, "noise_to_signal has negative"),
        ({"noise_to_signal": np.ones(3)}, ValueError, r"noise_to_signal has shape \(3,\); expected a number, or"),
        ({"noise_to_signal": "small"}, TypeError, "noise_to_signal has dtype"),
        ({"noise_to_signal": 1j}, TypeError, "noise_to_signal has dtype complex128"),
    ],
)
def test_wiener_refusals(options, error, message: str) -> None:
    A = Blur((8, 8), np.ones((3, 3)), "periodic", "float64")
    with pytest.raises(error, match=message):
        ip.wiener(A, np.random.default_rng(0).random((8, 8)), **options)


def test_wiener_without_noise_needs_a_spectrum_without_zeros() -> None:
    A = Blur((8, 8), np.full((1, 2), 0.5), "periodic", "float64")
    with pytest.raises(ValueError, match="noise_to_signal is zero where the blur's spectrum is"):
        ip.wiener(A, np.ones((8, 8)), noise_to_signal=0.0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "noise_level is None and threshold is None; expected exactly one"),
        ({"noise_level": 1.0, "threshold": 0.1}, "expected exactly one"),
        ({"noise_level": 0.0}, "noise_level is 0.0; expected a positive number"),
        ({"threshold": -0.1}, "threshold is -0.1; expected zero or a positive number"),
        ({"threshold": math.inf}, "threshold is inf"),
    ],
)
def test_truncated_inverse_refusals(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ip.truncated_inverse(Blur((8, 8), np.ones((3, 3)), dtype="float64"), np.ones((8, 8)), **options)


@pytest.mark.parametrize("method", [ip.wiener, ip.truncated_inverse])
def test_operators_and_data_that_are_refused(method) -> None:
    A = Blur((8, 8), np.ones((3, 3)), dtype="float64")
    with pytest.raises(TypeError, match="A is Identity; .* expects a Blur"):
        method(ip.Identity((8, 8), "float64"), np.ones((8, 8)), 0.1)
    with pytest.raises(ValueError, match=r"b has shape \(8, 9\)"):
        method(A, np.ones((8, 9)), 0.1)
    with pytest.raises(TypeError, match="b has dtype float32"):
        method(A, np.ones((8, 8), "float32"), 0.1)
    with pytest.raises(ValueError, match="b has NaN"):
        method(A, np.full((8, 8), np.nan), 0.1)
