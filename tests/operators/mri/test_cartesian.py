"""Cartesian MRI: the operator against the textbook's formula, the problem, and reconstruction with and without maps."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import ipbox as ip
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.truths.heads import smooth_phase
from tests.contracts.support import host


def centred_fft(u: np.ndarray, ndim: int = 2) -> np.ndarray:
    axes = tuple(range(-ndim, 0))
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(u, axes), axes=axes, norm="ortho"), axes)


def image(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "complex128") -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


# ---------------------------------------------------------------- the operators


@pytest.mark.parametrize("shape", [(7, 5), (8, 6), (6, 9), (1, 4), (5,), (3, 4, 5)])
def test_fourier_transform_is_the_shifted_fft(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    u = image(rng, shape)
    F = ip.FourierTransform(shape, "complex128")
    np.testing.assert_allclose(F.apply(u), centred_fft(u, len(shape)), atol=1e-12)
    np.testing.assert_allclose(F.apply_adjoint(F.apply(u)), u, atol=1e-12)


def test_fourier_transform_of_a_point_and_of_a_constant() -> None:
    F = ip.FourierTransform((9, 12), "complex128")
    point = np.zeros((9, 12), complex)
    point[4, 6] = 1
    np.testing.assert_allclose(F.apply(point), np.full((9, 12), 108**-0.5), atol=1e-14)
    np.testing.assert_allclose(F.apply(np.full((9, 12), 108**-0.5 + 0j)), point, atol=1e-13)


@pytest.mark.parametrize("shape", [(7, 5), (8, 6), (260, 255), (256, 256)])
@pytest.mark.parametrize("coils", [0, 1, 5])
def test_forward_is_the_textbooks(shape: tuple[int, int], coils: int, rng: np.random.Generator, xp) -> None:
    """At sizes that one thread handles, and at those that two share."""
    u, W = image(rng, shape), rng.random(shape) * (rng.random(shape) > 0.5)
    S = image(rng, (coils, *shape)) if coils else None
    A = ip.CartesianMRI(xp.asarray(W), None if S is None else xp.asarray(S), "complex128")
    expected = W * centred_fft(u if S is None else S * u)
    b = A.apply(xp.asarray(u))
    np.testing.assert_allclose(host(b), expected, atol=1e-12)
    assert not host(b)[..., W == 0].any()
    y = image(rng, expected.shape)
    images = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(W * y, (-2, -1)), axes=(-2, -1), norm="ortho"), (-2, -1))
    np.testing.assert_allclose(host(A.coil_images(xp.asarray(y))), images, atol=1e-12)
    combined = images if S is None else (S.conj() * images).sum(axis=0)
    np.testing.assert_allclose(host(A.apply_adjoint(xp.asarray(y))), combined, atol=1e-12)


def test_real_image(rng: np.random.Generator) -> None:
    W, S, u = rng.random((6, 7)), image(rng, (3, 6, 7)), rng.standard_normal((6, 7))
    A, C = (ip.CartesianMRI(W, S, "complex128", real_image=real) for real in (True, False))
    y = image(rng, (3, 6, 7))
    assert (A.dtype_in, A.dtype_out) == (np.float64, np.complex128)
    np.testing.assert_allclose(A.apply(u), C.apply(u.astype(complex)), atol=1e-13)
    np.testing.assert_allclose(A.apply_adjoint(y), C.apply_adjoint(y).real, atol=1e-13)


def test_norm_of_real_images_is_smaller_where_the_mask_is_one_sided() -> None:
    W = np.zeros((8, 8))
    W[:, 6] = 1.0
    assert ip.CartesianMRI(W).norm() == 1.0
    assert ip.CartesianMRI(W, real_image=True).norm() == pytest.approx(0.5**0.5)


def test_normalised_coils_at_full_sampling_are_an_isometry(rng: np.random.Generator) -> None:
    A = ip.CartesianMRI(np.ones((9, 8), bool), simulate_sensitivities(6, (9, 8), dtype="complex128"), "complex128")
    u = image(rng, (9, 8))
    np.testing.assert_allclose(A.apply_adjoint(A.apply(u)), u, atol=1e-13)
    assert A.norm_kind == "bound" and A.norm() == pytest.approx(1.0, abs=1e-5)


def test_what_an_operator_is_made_of_is_its_own() -> None:
    W, S = np.ones((4, 5)), simulate_sensitivities(2, (4, 5))
    A = ip.CartesianMRI(W, S)
    expected = S.copy()
    W[:], S[:] = 0, 0
    assert A.mask.all()
    np.testing.assert_allclose(A.sensitivities, expected, atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        A.mask[0, 0] = 2
    assert ip.CartesianMRI(np.ones((4, 5))).sensitivities is None


def test_threads_and_the_main_thread_agree_bit_for_bit(rng: np.random.Generator) -> None:
    A = ip.CartesianMRI(rng.random((128, 130)) > 0.5, simulate_sensitivities(5, (128, 130)))
    b = image(rng, A.dimsd, "complex64")
    expected = A.apply_adjoint(b)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(A.apply_adjoint(b))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 3 and all(np.array_equal(r, expected) for r in results)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.zeros((4, 4)), ValueError, "mask samples nothing"),
        (np.full((4, 4), -1.0), ValueError, "mask has negative entries"),
        (np.full((4, 4), np.nan), ValueError, "mask has NaN or infinite"),
        (np.full((4, 4), 1e60), ValueError, "mask has weights up to 1e\\+60"),
        (np.ones((4, 4), complex), TypeError, "mask has dtype complex128"),
        ([[1, 0]], TypeError, "mask is list"),
        (np.ones(()), ValueError, "mask's shape is"),
    ],
)
def test_bad_masks(mask, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.CartesianMRI(mask)


def test_bad_dtype() -> None:
    for make in (lambda: ip.CartesianMRI(np.ones((4, 4)), dtype="float32"), lambda: ip.FourierTransform(4, "float64")):
        with pytest.raises(TypeError, match="expected complex64 or complex128"):
            make()


@pytest.mark.parametrize(
    ("S", "error", "message"),
    [
        (np.zeros((2, 4, 5), "complex64"), ValueError, "sensitivities vanish"),
        (np.ones((2, 5, 4), "complex64"), ValueError, r"sensitivities has shape \(2, 5, 4\)"),
        (np.ones((4, 5), "complex64"), ValueError, r"sensitivities has shape \(4, 5\)"),
        (np.ones((0, 4, 5), "complex64"), ValueError, r"sensitivities has shape \(0, 4, 5\)"),
        (np.ones((2, 4, 5), "complex128"), TypeError, "sensitivities has dtype complex128; expected complex64"),
        (np.ones((2, 4, 5), "float32"), TypeError, "sensitivities has dtype float32"),
        (np.full((2, 4, 5), np.nan, "complex64"), ValueError, "sensitivities has NaN"),
        ("birdcage", TypeError, "sensitivities is str"),
    ],
)
def test_bad_sensitivities(S, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ip.CartesianMRI(np.ones((4, 5)), S, dtype="complex64")
    if getattr(S, "shape", None) != (2, 5, 4) and getattr(S, "dtype", None) != np.complex128:
        with pytest.raises(error):
            ip.CoilSensitivities(S if isinstance(S, str) or S.ndim == 3 else S[0])


# ---------------------------------------------------------------- simulated coils


def test_simulated_coils_are_of_the_formula() -> None:
    S = simulate_sensitivities(4, (9, 9), radius=2.0, dtype="complex128", normalise=False)
    np.testing.assert_allclose(S[:, 4, 4], 1, atol=1e-14)  # the centre is 1 for every coil
    np.testing.assert_allclose(S[0, 4], 2 / (2 - (np.arange(9) - 4) / 4.5), atol=1e-14)  # coil 0 is on the right
    np.testing.assert_allclose(S[1, :, 4], S[0, 4, ::-1], atol=1e-14)  # coil 1 is on top, row 0
    assert (abs(S[0]).argmax(axis=1) == 8).all()


def test_simulated_coils_are_smooth_and_normalised() -> None:
    S = simulate_sensitivities(8, (64, 48))
    assert S.dtype == np.complex64
    np.testing.assert_allclose((abs(S) ** 2).sum(axis=0), 1, rtol=1e-5)
    assert abs(np.diff(S, axis=1)).max() < 0.12 and abs(np.diff(S, axis=2)).max() < 0.12


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_coils": 0}, ValueError, "n_coils is 0"),
        ({"n_coils": 2.0}, ValueError, "n_coils is 2.0"),
        ({"shape": (4, 4, 4)}, ValueError, "expected \\(ny, nx\\)"),
        ({"radius": 1.0}, ValueError, "radius is 1.0; expected more than 1.414"),
        ({"radius": np.nan}, ValueError, "radius is nan"),
        ({"dtype": "float32"}, TypeError, "dtype is float32"),
    ],
)
def test_bad_coils(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        simulate_sensitivities(**{"n_coils": 2, "shape": (4, 4)} | change)


# ---------------------------------------------------------------- the problem


@pytest.mark.parametrize("mask", ["uniform", "variable-density", "variable-density-points", "poisson-disc"])
@pytest.mark.parametrize("coils", [1, 8])
def test_problem(mask: str, coils: int, xp) -> None:
    A, b, x, info = ip.problem("mri", size=64, coils=coils, mask=mask, noise=0.05, xp=xp.__name__)
    assert isinstance(b, xp.ndarray) and isinstance(x, xp.ndarray)
    assert b.shape == tuple(A.dimsd) == ((64, 64) if coils == 1 else (8, 64, 64))
    assert info.extra["acceleration"] == pytest.approx(4, rel=0.05)
    b, x = host(b), host(x)
    assert not b[..., A.mask == 0].any() and (b[..., A.mask > 0] != 0).all()
    noise = b - A.apply(x)
    assert np.linalg.norm(noise) == pytest.approx(info.noise_level, rel=0.05)
    assert info.noise_level == pytest.approx(0.05 * np.linalg.norm(A.apply(x)), rel=1e-4)
    assert info.model_error < 1e-5 * np.linalg.norm(b)
    again = ip.problem("mri", size=64, coils=coils, mask=mask, noise=0.05, xp=xp.__name__)[1]
    np.testing.assert_array_equal(host(again), b)


def test_problem_with_a_phase_a_real_image_and_an_image_of_ones_own(rng: np.random.Generator) -> None:
    x = ip.problem("mri", size=32, phase=True)[2]
    seen = abs(x) > 0.1
    np.testing.assert_allclose(np.angle(x)[seen], smooth_phase((32, 32))[seen], atol=1e-5)
    A, b, x, info = ip.problem("mri", size=32, real_image=True, dtype="complex128", patient="train")
    assert (x.dtype, b.dtype, info.extra["patient"]) == (np.float64, np.complex128, "train")
    own = image(rng, (20, 24))
    weights = rng.random((20, 24))
    A, b, x, info = ip.problem("mri", image=own, mask=weights, noise=0.0, coils=2)
    np.testing.assert_allclose(x, own, atol=1e-6)
    np.testing.assert_allclose(b, A.apply(x), atol=1e-5)
    np.testing.assert_array_equal(A.mask, weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coils": 0}, "coils is 0"),
        ({"mask": "spiral"}, "mask is 'spiral'"),
        ({"mask": np.ones((3, 3))}, r"mask has shape \(3, 3\)"),
        ({"mask": np.ones((32, 32)), "acceleration": 4}, "acceleration is 4; expected none"),
        ({"mask": np.ones((32, 32)), "calibration": 4}, "calibration is 4; expected none"),
        ({"acceleration": 0.5}, "acceleration is 0.5"),
        ({"calibration": 33}, "calibration is 33"),
        ({"calibration": 20}, "which alone takes 20 samples"),
        ({"image": "foot"}, "image is 'foot'"),
        ({"phase": True, "real_image": True}, "phase and real_image"),
        ({"noise": -1}, "noise is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"xp": "torch"}, "xp is 'torch'"),
    ],
)
def test_bad_problems(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ip.problem("mri", **{"size": 32} | options)


def test_bad_images() -> None:
    with pytest.raises(TypeError, match="expected a real one"):
        ip.problem("mri", image=np.ones((8, 8), complex), real_image=True)
    with pytest.raises(ValueError, match="image has NaN"):
        ip.problem("mri", image=np.full((8, 8), np.nan))
    for name in ("mri", "mri-radial"):
        with pytest.raises(TypeError, match="image has dtype int64"):
            ip.problem(name, image=np.ones((8, 8), int))
        with pytest.raises(TypeError, match="image is NoneType"):
            ip.problem(name, image=None)
        with pytest.raises(ValueError, match="^coils is 0"):
            ip.problem(name, size=32, coils=0)
    with pytest.raises(TypeError, match="phase is 'yes'"):
        ip.problem("mri", size=32, phase="yes")
    with pytest.raises(ValueError, match="size is 9"):
        ip.problem("mri", image=np.ones((8, 8)), size=9)


# ---------------------------------------------------------------- reconstruction


def test_full_sampling_is_inverted_by_zero_filling(rng: np.random.Generator, xp) -> None:
    u = image(rng, (9, 10))
    S = image(rng, (3, 9, 10))
    S[:, 2, 3] = 0
    A = ip.CartesianMRI(xp.ones((9, 10), bool), xp.asarray(S), "complex128")
    x, info = ip.zero_filled(A, A.apply(xp.asarray(u)))
    expected = u.copy()
    expected[2, 3] = 0  # where no coil sees anything
    np.testing.assert_allclose(host(x), expected, atol=1e-12)
    assert info.method == "zero_filled"
    x, _ = ip.root_sum_of_squares(A, A.apply(xp.asarray(u)))
    np.testing.assert_allclose(host(x), abs(u) * np.linalg.norm(S, axis=0), atol=1e-12)


def test_root_sum_of_squares_of_batches_and_of_coils_without_maps(rng: np.random.Generator) -> None:
    W, S = rng.random((8, 6)) > 0.3, image(rng, (3, 8, 6))
    A, one = ip.CartesianMRI(W, S, "complex128"), ip.CartesianMRI(W, dtype="complex128")
    b = image(rng, (2, 3, 8, 6)) * W
    x = ip.root_sum_of_squares(A, b)[0]
    assert x.shape == (2, 8, 6)
    np.testing.assert_allclose(ip.root_sum_of_squares(one, b[1])[0], x[1], atol=1e-13)
    np.testing.assert_allclose(ip.root_sum_of_squares(one, b[1, 0])[0], abs(one.apply_adjoint(b[1, 0])), atol=1e-13)


def test_sense_solves_the_least_squares_problem(rng: np.random.Generator, xp) -> None:
    W, S = rng.random((7, 6)) > 0.4, image(rng, (4, 7, 6))
    A = ip.CartesianMRI(xp.asarray(W), xp.asarray(S), "complex128")
    b = A.apply(xp.asarray(image(rng, (7, 6)))) + xp.asarray(0.1 * image(rng, (4, 7, 6)) * W)
    M = host(A.apply(xp.asarray(np.eye(42).reshape(42, 7, 6).astype(complex)))).reshape(42, -1).T
    expected = np.linalg.lstsq(M, host(b).ravel(), rcond=None)[0].reshape(7, 6)
    x, info = ip.sense(A, b, lam=0, tol=1e-10, niter=200)
    np.testing.assert_allclose(host(x), expected, atol=1e-7)
    assert info.stop == "residual"
    regularised = np.linalg.solve(M.conj().T @ M + 0.3 * np.eye(42), M.conj().T @ host(b).ravel())
    np.testing.assert_allclose(host(ip.sense(A, b, lam=0.3, tol=1e-10)[0]).ravel(), regularised, atol=1e-7)


def test_sense_of_a_head_beats_zero_filling() -> None:
    A, b, x, _ = ip.problem("mri", size=128, coils=8, mask="poisson-disc")
    quality = {f.__name__: ip.psnr(abs(f(A, b)[0]), abs(x)) for f in (ip.zero_filled, ip.root_sum_of_squares, ip.sense)}
    assert quality["sense"] > max(quality["zero_filled"], quality["root_sum_of_squares"]) + 5


def test_sense_stops_by_the_discrepancy() -> None:
    A, b, _, about = ip.problem("mri", size=64, coils=4, noise=0.05)
    x, info = ip.sense(A, b, about.noise_level, tol=1e-8)
    assert info.stop == "discrepancy" and np.linalg.norm(A.apply(x) - b) <= 1.01 * about.noise_level
    with pytest.raises(ValueError, match="lam is 0.1 and noise_level is 1.0; expected one of them"):
        ip.sense(A, b, 1.0, lam=0.1)


def test_bad_reconstruction() -> None:
    A, b, _, _ = ip.problem("mri", size=16, coils=2, calibration=2)
    for f in (ip.zero_filled, ip.root_sum_of_squares):
        with pytest.raises(TypeError, match="expects a CartesianMRI or NonCartesianMRI"):
            f(ip.Identity((16, 16), "complex64"), b)
        with pytest.raises(ValueError, match="b has shape"):
            f(A, b[:, 1:])
        with pytest.raises(ValueError, match="NaN"):
            f(A, b * np.float32(np.nan))
        with pytest.raises(TypeError, match="complex128"):
            f(A, b.astype(complex))
    for lam in (-1, np.nan, "a", 1j):
        with pytest.raises(ValueError, match="lam is"):
            ip.sense(A, b, lam=lam)
