"""The blurred photographs: what is in the field of view, noise, model error, options, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

import ipbox as ip
from ipbox.backend import norm, to_host
from ipbox.operators import Blur, VaryingBlur
from ipbox.operators.images.psf import disc_psf, gaussian_psf, motion_psf, uniform_psf
from ipbox.problems.truths.datasets import area_average
from ipbox.problems.truths.photographs import photograph

KERNELS = {
    "gaussian": gaussian_psf(2.0),
    "motion": motion_psf(15.0),
    "out-of-focus": disc_psf(4.0),
    "uniform": uniform_psf(9),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_data_are_the_blurred_larger_scene(kernel: str) -> None:
    A, b, x, info = ip.problem("blur", kernel=kernel, size=100, noise=0.0, dtype="float64")
    k = KERNELS[kernel]
    np.testing.assert_array_equal(info.extra["kernel"], k)
    m = max(k.shape) // 2
    wide = area_average(photograph("camera"), (100 + 2 * m, 100 + 2 * m))
    inside = (slice(m, -m), slice(m, -m))
    np.testing.assert_allclose(x, wide[inside], atol=1e-15)
    np.testing.assert_allclose(b, ndimage.convolve(wide, k, mode="constant")[inside], atol=1e-12)
    assert info.model_error == pytest.approx(norm(A.apply(x) - b)) and info.noise_level == 0
    middle = (slice(m, -m), slice(m, -m))
    np.testing.assert_allclose(A.apply(x)[middle], b[middle], atol=1e-12)  # they differ only next to the boundary


def test_reflection_is_the_best_model_of_the_boundary() -> None:
    error = {bd: ip.problem("blur", size=128, boundary=bd)[3].model_error for bd in ("reflective", "periodic", "zero")}
    assert 0 < error["reflective"] < 0.5 * error["periodic"] < 0.5 * error["zero"]


def test_noise_and_seed() -> None:
    A, b, x, info = ip.problem("blur", size=128, noise=0.02, seed=4, inverse_crime=True, dtype="float64")
    assert info.model_error < 1e-12 and info.seed == 4
    assert norm(b - A.apply(x)) == pytest.approx(info.noise_level, rel=0.02)
    assert info.noise_level == pytest.approx(0.02 * norm(A.apply(x)))
    assert (b == ip.problem("blur", size=128, noise=0.02, seed=4, inverse_crime=True, dtype="float64")[1]).all()
    assert (b != ip.problem("blur", size=128, noise=0.02, seed=5, inverse_crime=True, dtype="float64")[1]).any()


def test_defaults(xp) -> None:
    A, b, x, info = ip.problem("blur", xp=xp.__name__)
    assert isinstance(A, Blur) and A.boundary == "reflective" and A.diagonal.kind == "dct"
    assert isinstance(b, xp.ndarray) and isinstance(x, xp.ndarray) and b.shape == x.shape == (256, 256)
    assert b.dtype == x.dtype == A.dtype_in == np.float32
    assert info.peak == pytest.approx(float(to_host(x).max())) and info.name == "blur"
    assert "scikit-image" in info.source and info.licence and info.extra["image"] == "camera"
    assert info.model_error < 0.02 * norm(b)


@pytest.mark.parametrize("image", ["coins", "astronaut", "moon", "text"])
def test_other_photographs(image: str) -> None:
    _, b, x, _ = ip.problem("blur", image=image, size=96)
    assert x.std() > 0.02 and norm(b - x) < 0.3 * norm(x)


def test_your_own_image_and_kernel(rng: np.random.Generator) -> None:
    scene, k = rng.random((40, 50)), rng.random((4, 7))
    A, b, x, info = ip.problem("blur", image=scene, kernel=k, noise=0.0, boundary="zero", dtype="float64")
    np.testing.assert_array_equal(x, scene[2:-2, 3:-3])
    np.testing.assert_allclose(b, ndimage.convolve(scene, k)[2:-2, 3:-3], atol=1e-12)
    assert A.boundary == "zero" and info.extra["blur"] == info.extra["image"] == "own"


# ---------------------------------------------------------------- varying


def test_rotation_leaves_the_middle_sharp() -> None:
    A, b, x, info = ip.problem("blur-varying", size=129, strength=6.0, grid=7, noise=0.0)
    assert isinstance(A, VaryingBlur) and info.extra["kernels"].shape == (49, 15, 15)
    np.testing.assert_allclose(A.kernels.sum(axis=(1, 2)), 1.0)
    y, x_ = np.ogrid[:129, :129]
    r = np.hypot(y - 64, x_ - 64)
    change = np.abs(b - x)
    assert change[r < 8].mean() < 0.3 * change[(r > 50) & (r < 64)].mean()
    middle = A.kernels[24]
    assert middle[7, 7] == 1.0
    right = A.kernels[3 * 7 + 6]  # at the right edge: motion upwards and downwards
    assert right[:, 7].sum() == pytest.approx(1.0) and (right[:, 7] > 0).sum() >= 5
    assert 0 < info.model_error < 0.03 * norm(b)


def test_defocus_grows_to_the_right() -> None:
    A, b, x, info = ip.problem("blur-varying", size=96, kernel="defocus", strength=4.0, grid=4, image="grass")
    areas = 1 / (A.kernels**2).sum(axis=(1, 2)).reshape(4, 4)
    assert (np.diff(areas, axis=1) > 0).all() and np.allclose(np.diff(areas, axis=0), 0)
    assert 0 < info.model_error < 0.05 * norm(b)


def test_more_kernels_are_closer_to_the_data() -> None:
    errors = [ip.problem("blur-varying", size=96, grid=g)[3].model_error for g in (3, 6)]
    assert errors[1] < 0.75 * errors[0]
    assert ip.problem("blur-varying", size=64, grid=3, inverse_crime=True, dtype="float64")[3].model_error < 1e-12


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"image": "lena"}, ValueError, "image is 'lena'; expected one of 'astronaut'"),
        ({"image": np.ones((5, 5, 3))}, ValueError, r"image has shape \(5, 5, 3\); expected \(ny, nx\)"),
        ({"image": np.ones((16, 40))}, ValueError, r"image has shape \(16, 40\); expected two axes of more than"),
        ({"image": np.ones((60, 60), int)}, TypeError, "image has dtype int64"),
        ({"image": np.full((60, 60), np.nan)}, ValueError, "image has NaN"),
        ({"image": np.ones((60, 60)), "size": 30}, ValueError, "size is 30; expected none with an image"),
        ({"image": None}, TypeError, "image is NoneType; expected a photograph"),
        ({"size": 0}, ValueError, "size is 0; expected an integer from 1 to 496: 'camera' less what"),
        ({"size": 500}, ValueError, "size is 500"),
        ({"size": 12.0}, ValueError, "size is 12.0"),
        ({"size": 8}, ValueError, "kernel has shape"),
        ({"kernel": "box"}, ValueError, "kernel is 'box'; expected one of 'gaussian'"),
        ({"kernel": None}, TypeError, "kernel is NoneType; expected one of"),
        ({"kernel": np.ones(3)}, ValueError, r"kernel has shape \(3,\); expected two axes"),
        ({"kernel": np.full((3, 3), np.nan)}, ValueError, "kernel has NaN"),
        ({"boundary": "wrap"}, ValueError, "boundary is 'wrap'"),
        ({"noise": -0.1}, ValueError, "noise is -0.1"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"sigma": -2.0}, ValueError, "sigma is -2.0"),
        ({"kernel": "motion", "angle": 45}, ValueError, "angle is 45; expected radians"),
        ({"inverse_crime": 1}, TypeError, "inverse_crime is 1; expected True or False"),
        ({"dtype": "complex64"}, TypeError, "dtype is complex64"),
        ({"xp": "torch"}, ValueError, "xp is 'torch'"),
        ({"views": 3}, TypeError, "problem 'blur' has no keyword 'views'; expected one of"),
    ],
)
def test_refusals(options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        ip.problem("blur", **options)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"kernel": "motion"}, ValueError, "kernel is 'motion'; expected one of 'rotation', 'defocus'"),
        ({"strength": 0}, ValueError, r"strength is 0; expected a number of pixels in \(0, 50\]"),
        ({"strength": math.nan}, ValueError, "strength is nan"),
        ({"grid": 1}, ValueError, "grid is 1; expected an integer from 2 to 32"),
        ({"grid": 2.5}, ValueError, "grid is 2.5"),
        ({"size": 12}, ValueError, r"the field of view has \(12, 12\) pixels; expected at least 15 a side"),
        ({"boundary": None}, ValueError, "boundary is None"),
    ],
)
def test_varying_refusals(options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        ip.problem("blur-varying", **options)
