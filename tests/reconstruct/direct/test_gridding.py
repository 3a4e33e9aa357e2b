"""Gridding and the problem ``mri-radial``: accuracy on known images, coils, devices, bad input."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox.operators import FourierTransform, NonCartesianMRI
from ipbox.operators.mri.density import pipe_menon_density, radial_density
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.measuring.trajectories import radial_trajectory, spiral_trajectory
from ipbox.problems.simulated.mri_radial import mri_radial
from ipbox.problems.truths.heads import smooth_phase
from ipbox.reconstruct import gridded_kspace, gridding
from tests.contracts.support import host

N = 48
DIMS = (N, N)
FULL = radial_trajectory(math.ceil(0.5 * math.pi * N), 2 * N, DIMS)


def blob() -> np.ndarray:
    """Gaussians with a smooth phase, well inside the image and the band."""
    y, x = (np.mgrid[:N, :N] - N // 2) / N
    gaussians = ((1.0, 0.05, -0.1, 0.12), (0.5, -0.15, 0.1, 0.06), (-0.4, 0.1, 0.12, 0.06))
    u = sum(a * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2)) for a, cx, cy, s in gaussians)
    return u * np.exp(0.5j * x)


def operator(coils: int = 0, xp: ModuleType = np, dtype: str = "complex128", **options) -> NonCartesianMRI:
    S = xp.asarray(simulate_sensitivities(coils, DIMS, dtype=dtype)) if coils else None
    return NonCartesianMRI(DIMS, FULL, S, dtype, **options)


def relative(actual, expected: np.ndarray) -> float:
    return float(np.linalg.norm(host(actual) - expected) / np.linalg.norm(expected))


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("coils", [0, 1, 5])
def test_full_radial_data_give_the_image_to_half_a_per_cent(coils: int, dtype: str, xp: ModuleType) -> None:
    A = operator(coils, xp, dtype)
    x, info = gridding(A, A.apply(xp.asarray(blob().astype(dtype))))
    assert isinstance(x, xp.ndarray) and x.dtype == dtype and x.shape == DIMS
    assert relative(x, blob()) < 5e-3
    assert info.method == "gridding" and info.stop == "direct"
    np.testing.assert_array_equal(info.parameters["density"], radial_density(FULL, DIMS))


def test_maps_of_any_size_are_divided_out() -> None:
    S = simulate_sensitivities(4, DIMS, dtype="complex128")
    strength = np.linspace(0.5, 3, N)
    A, B = NonCartesianMRI(DIMS, FULL, S, "complex128"), NonCartesianMRI(DIMS, FULL, strength * S, "complex128")
    u = blob()
    expected = gridding(A, A.apply(u))[0]
    np.testing.assert_allclose(gridding(B, A.apply(u))[0], expected / strength, rtol=0, atol=1e-10)
    assert relative(gridding(B, B.apply(u))[0], u) < 6e-3


def test_zero_where_every_map_is() -> None:
    S = simulate_sensitivities(3, DIMS, dtype="complex128")
    S[:, :10] = 0
    A = NonCartesianMRI(DIMS, FULL, S, "complex128")
    x, _ = gridding(A, A.apply(blob()))
    assert not x[:10].any() and np.isfinite(x).all() and x[10:].all()


def test_a_constant_keeps_its_amplitude() -> None:
    y, x = np.mgrid[:N, :N] - N // 2
    disc = (np.hypot(x, y) < 0.4 * N).astype(complex)
    inside = np.hypot(x, y) < 0.25 * N
    A = operator()
    for k in (FULL, spiral_trajectory(8, 500, DIMS, turns=0.75 * N / 8)):
        A = NonCartesianMRI(DIMS, k, dtype="complex128")
        u, _ = gridding(A, A.apply(disc))
        assert abs(u[inside].mean() - 1) < 5e-3


def test_real_image(xp: ModuleType) -> None:
    A = operator(4, xp, real_image=True)
    u = blob().real
    x, _ = gridding(A, A.apply(xp.asarray(u)))
    assert x.dtype == np.float64 and relative(x, u) < 5e-3


def test_root_sum_of_squares_without_maps(xp: ModuleType) -> None:
    A = operator(6, xp)
    x, _ = gridding(A.one_coil(), A.apply(xp.asarray(blob())))
    assert x.dtype == np.float64
    assert relative(x, np.abs(blob())) < 6e-3  # the maps' squares add up to 1


def test_batch_equals_loop() -> None:
    A = operator(3)
    b = np.stack([A.apply(blob()), A.apply(1j * blob()[::-1])])
    x, _ = gridding(A, b)
    for xi, bi in zip(x, b, strict=True):
        np.testing.assert_array_equal(xi, gridding(A, bi)[0])


def test_given_density(xp: ModuleType) -> None:
    A = operator(2, xp)
    b = A.apply(xp.asarray(blob()))
    w = radial_density(FULL, DIMS)
    expected = host(gridding(A, b)[0])
    for density in (w, xp.asarray(w)):
        np.testing.assert_array_equal(host(gridding(A, b, density)[0]), expected)
    np.testing.assert_allclose(host(gridding(A, b, 2 * w)[0]), 2 * expected, rtol=0, atol=1e-12)
    spiral = NonCartesianMRI(DIMS, spiral_trajectory(3, 200, DIMS), dtype="complex128")
    info = gridding(spiral, spiral.apply(blob()))[1]
    np.testing.assert_array_equal(info.parameters["density"], pipe_menon_density(spiral.trajectory, DIMS))


def test_gridded_kspace_is_that_of_the_coils_in_the_middle(xp: ModuleType) -> None:
    A = operator(3, xp)
    y = gridded_kspace(A, A.apply(xp.asarray(blob())))
    S = simulate_sensitivities(3, DIMS, dtype="complex128")
    expected = FourierTransform(DIMS, "complex128").apply(S * blob())
    assert y.shape == expected.shape and y.dtype == np.complex128
    middle = (slice(None), slice(N // 2 - 8, N // 2 + 8), slice(N // 2 - 8, N // 2 + 8))
    assert relative(y[middle], expected[middle]) < 5e-3
    np.testing.assert_array_equal(host(gridded_kspace(A.one_coil(), A.apply(xp.asarray(blob())))), host(y))


# ---------------------------------------------------------------- the problem


def test_problem(xp: ModuleType) -> None:
    A, b, x, info = ip.problem("mri-radial", size=64, coils=4, xp=xp.__name__)
    assert isinstance(b, xp.ndarray) and isinstance(x, xp.ndarray)
    assert (b.dtype, x.dtype, b.shape) == (np.complex64, np.complex64, (4, 51, 128))
    assert A.trajectory.shape == (51, 128, 2)
    residual = float(np.linalg.norm(host(A.apply(x) - b)))
    assert abs(residual / info.noise_level - 1) < 0.02
    assert info.model_error < 1e-4 * np.linalg.norm(host(b))
    assert abs(info.noise_level / np.linalg.norm(host(b)) - 0.02) < 1e-3
    np.testing.assert_array_equal(A.sensitivities, host(info.extra["sensitivities"]))
    np.testing.assert_array_equal(A.trajectory, info.extra["trajectory"])
    assert info.extra["density"].shape == (51, 128) and info.peak == float(abs(x).max())
    np.testing.assert_allclose(np.angle(host(x))[32, 32], smooth_phase((64, 64))[32, 32], atol=1e-5)


def test_problem_is_seeded_and_double_precision_is_kept() -> None:
    _, b, x, _ = mri_radial(size=32, coils=2, dtype="complex128")
    again, other = (mri_radial(size=32, coils=2, dtype="complex128", seed=s)[1] for s in (0, 1))
    assert (b.dtype, x.dtype) == (np.complex128, np.complex128)
    np.testing.assert_array_equal(b, again)
    assert not np.array_equal(b, other)


def test_problem_options() -> None:
    A, _, x, _ = mri_radial(size=32, undersampling=1, coils=1, readout=48, golden_angle=True)
    assert A.dimsd == (1, 51, 48)
    A, _, x, info = mri_radial(size=64, trajectory="spiral", undersampling=4, real_image=True)
    assert A.dimsd[:2] == (8, 4) and x.dtype == A.dtype_in == np.float32
    assert info.noise_level > 0
    u = np.random.default_rng(0).random((20, 30))
    for image, dtype in ((u, np.complex64), (u.astype("complex64") * 1j, np.complex64)):
        _, _, x, info = mri_radial(image=image, coils=2)
        assert x.dtype == dtype and info.source == "given by the user"
        np.testing.assert_array_equal(x, image.astype(dtype))


def test_coils_undo_what_undersampling_does_to_a_spiral() -> None:
    A, b, x, _ = mri_radial(size=64, trajectory="spiral", undersampling=2)
    gridded, sense = gridding(A, b)[0], ip.cgls(A, b, niter=15)[0]
    assert ip.psnr(abs(sense), abs(x)) > ip.psnr(abs(gridded), abs(x)) + 10


# ---------------------------------------------------------------- bad input


def test_bad_data_and_weights_are_refused() -> None:
    A = operator(2)
    b = A.apply(blob())
    w = radial_density(FULL, DIMS)
    for method in (gridding, gridded_kspace):
        with pytest.raises(TypeError, match=f"^A is Gradient; {method.__name__} expects a NonCartesianMRI"):
            method(ip.Gradient(DIMS), b)
        with pytest.raises(ValueError, match="^b has shape"):
            method(A, b[:, 1:])
        with pytest.raises(ValueError, match="^b has shape"):
            method(A, b[0])
        with pytest.raises(TypeError, match="^b has dtype complex64; NonCartesianMRI gives complex128"):
            method(A, b.astype("complex64"))
        with pytest.raises(TypeError, match="^b has dtype int64"):
            method(A, np.ones(b.shape, int))
        with pytest.raises(TypeError, match="^b is list"):
            method(A, [1.0])
        with pytest.raises(ValueError, match="^b has NaN or infinite entries"):
            method(A, b * np.nan)
        with pytest.raises(ValueError, match=r"^density has shape \(96,\); expected \(76, 96\)"):
            method(A, b, w[0])
        with pytest.raises(TypeError, match="^density has dtype int64; expected float32 or float64"):
            method(A, b, np.ones(w.shape, int))
        with pytest.raises(TypeError, match="^density is float; expected 'auto' or an array"):
            method(A, b, 1.0)
        with pytest.raises(ValueError, match="^density is 'ramp'; expected 'auto' or weights"):
            method(A, b, "ramp")
        for bad in (-w, w * np.nan, w * np.inf):
            with pytest.raises(ValueError, match="^density has negative, NaN or infinite entries"):
                method(A, b, bad)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"undersampling": 0}, ValueError, "^undersampling is 0; expected a positive number"),
        ({"undersampling": "2"}, ValueError, "^undersampling is '2'"),
        ({"noise": -1}, ValueError, "^noise is -1"),
        ({"seed": -1}, ValueError, "^seed is -1"),
        ({"dtype": "float32"}, TypeError, "^dtype is float32; expected complex64 or complex128"),
        ({"trajectory": "rosette"}, ValueError, "^trajectory is 'rosette'; expected one of 'radial', 'spiral'"),
        ({"trajectory": "spiral", "golden_angle": True}, ValueError, "^golden_angle is for radial"),
        ({"coils": 0}, ValueError, "^coils is 0"),
        ({"readout": 0}, ValueError, "^readout is 0"),
        ({"xp": "torch"}, ValueError, "^xp is 'torch'"),
        ({"image": "lung"}, ValueError, "^image is 'lung'; expected 'head'"),
        ({"slice": 23}, ValueError, "^slice is 23"),
        ({"size": 300}, ValueError, "^size is 300"),
        ({"patient": "me"}, ValueError, "^patient is 'me'"),
        ({"image": np.zeros((3, 4, 5))}, ValueError, r"^image has shape \(3, 4, 5\); expected \(ny, nx\)"),
        ({"image": np.zeros((8, 8), int)}, TypeError, "^image has dtype int64"),
        ({"image": np.full((8, 8), np.nan)}, ValueError, "^image has NaN"),
        ({"image": np.zeros((8, 8), complex), "real_image": True}, TypeError, "^image has dtype complex128"),
        ({"image": np.zeros((8, 8)), "size": 9}, ValueError, "^size is 9; expected none"),
    ],
)
def test_bad_options_are_refused(options, error, message) -> None:
    with pytest.raises(error, match=message):
        mri_radial(**options)
