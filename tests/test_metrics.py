"""PSNR, SSIM, NRMSE and relative residual: by their formulas, against scikit-image, on host and device."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skimage.metrics

import ipbox as ip
from ipbox.metrics import nrmse, psnr, relative_residual, ssim


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.uniform(0, 3, (31, 20))
    return truth + 0.1 * rng.standard_normal(truth.shape), truth


def test_residual_of_pet_counts_the_background() -> None:
    A = ip.PET(ip.JosephTransform((8, 8), [0.0, 1.0], dtype="float64"), background=2.0)
    x = np.ones((8, 8))
    assert ip.relative_residual(A, x, A.apply(x) + 2.0) < 1e-15
    assert ip.relative_residual(A, x, A.apply(x)) > 0.1


def test_psnr(pair, xp: ModuleType, dtype: np.dtype) -> None:
    x, truth = (u.astype(dtype) for u in pair)
    value = psnr(xp.asarray(x), xp.asarray(truth))
    assert isinstance(value, float)
    expected = skimage.metrics.peak_signal_noise_ratio(truth, x, data_range=truth.max())
    assert value == pytest.approx(expected, abs=1e-4)
    assert psnr(xp.asarray(x), xp.asarray(truth), peak=1.0) == pytest.approx(
        value - 20 * math.log10(truth.max()), abs=1e-4
    )


def test_psnr_of_the_truth_is_infinite(pair) -> None:
    assert psnr(pair[1], pair[1]) == math.inf


def test_ssim(pair, xp: ModuleType) -> None:
    x, truth = pair
    value = ssim(xp.asarray(x), xp.asarray(truth))
    expected = skimage.metrics.structural_similarity(truth, x, data_range=truth.max())
    assert isinstance(value, float) and value == pytest.approx(expected, abs=1e-12)
    assert ssim(xp.asarray(truth), xp.asarray(truth), peak=2.0) == pytest.approx(1, abs=1e-12)


DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int64", "uint64", "float16"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_integer_images_are_compared_as_numbers(rng: np.random.Generator, dtype: str, xp: ModuleType) -> None:
    """NumPy's differences of unsigned integers wrap: 33 dB for images of 1.25 dB."""
    most = 1 if dtype == "bool" else 200 if dtype == "float16" else min(np.iinfo(dtype).max, 2**40)
    x, truth = (rng.integers(0, most, (12, 11), endpoint=True).astype(dtype) for _ in range(2))
    real, exact = x.astype("float64"), truth.astype("float64")
    b = xp.asarray(x)
    assert psnr(b, xp.asarray(truth), most) == pytest.approx(psnr(real, exact, most), rel=1e-12)
    assert psnr(b, xp.asarray(truth)) == pytest.approx(psnr(real, exact), rel=1e-12)
    assert nrmse(b, xp.asarray(truth)) == pytest.approx(nrmse(real, exact), rel=1e-12)
    assert nrmse(real, truth) == pytest.approx(nrmse(real, exact), rel=1e-12)
    assert ssim(b, xp.asarray(truth)) == pytest.approx(ssim(real, exact), rel=1e-12)


def test_residual_of_integers() -> None:
    """A matrix of uint8, as SciPy reads it from a file, and data of a detector that counts."""
    A, x = np.array([[1, 200], [3, 255]], "uint8"), np.array([2, 3], "uint8")
    b = np.array([700, 771], "uint16")
    assert relative_residual(A, x, b) == pytest.approx(98 / np.hypot(700, 771))


def test_ssim_of_stacks_and_colours(rng: np.random.Generator) -> None:
    """The mean over slices, samples and colours; scikit-image 0.26 alone would take ten slices for one volume."""
    x, truth = rng.uniform(0, 1, (2, 10, 16, 11))
    each = [ssim(u, v, truth.max()) for u, v in zip(x, truth, strict=True)]
    assert ssim(x, truth) == pytest.approx(np.mean(each), rel=1e-12)
    assert ssim(x.reshape(2, 5, 16, 11), truth.reshape(2, 5, 16, 11)) == ssim(x, truth)
    for colours in (3, 4):
        last = [np.moveaxis(u[:colours], 0, -1) for u in (x, truth)]
        expected = skimage.metrics.structural_similarity(last[1], last[0], channel_axis=-1, data_range=truth.max())
        assert ssim(*last, truth.max()) == pytest.approx(expected, rel=1e-12)
        assert ssim(x[:colours], truth[:colours], truth.max()) == pytest.approx(expected, rel=1e-12)
        stacked = [np.stack([u, u]) for u in last]
        assert ssim(*stacked, truth.max()) == pytest.approx(expected, rel=1e-12)
    signal = skimage.metrics.structural_similarity(truth[0, 0], x[0, 0], data_range=1.0)
    assert ssim(x[0, 0], truth[0, 0], 1.0) == pytest.approx(signal, rel=1e-12)


def test_nrmse(xp: ModuleType, dtype: np.dtype) -> None:
    truth = xp.asarray(np.array([[3.0, 0.0], [0.0, 4.0]], dtype=dtype))
    x = xp.asarray(np.array([[3.0, 0.5], [0.0, 4.0]], dtype=dtype))
    assert nrmse(x, truth) == pytest.approx(0.1, rel=1e-6)
    assert nrmse(2.0 * truth, truth) == pytest.approx(1, rel=1e-6)
    assert nrmse(truth, truth) == 0


def test_complex_images(rng: np.random.Generator) -> None:
    truth = rng.standard_normal((9, 8)) + 1j * rng.standard_normal((9, 8))
    x = truth * np.exp(0.01j)
    assert nrmse(x, truth) == pytest.approx(abs(np.exp(0.01j) - 1), rel=1e-12)
    mse = (np.abs(x - truth) ** 2).mean()
    assert psnr(x, truth) == pytest.approx(10 * math.log10(np.abs(truth).max() ** 2 / mse), rel=1e-12)


def test_relative_residual(xp: ModuleType, dtype: np.dtype) -> None:
    A = ip.Gradient((3, 4), dtype=dtype)
    x = xp.asarray(np.arange(12, dtype=dtype).reshape(3, 4) ** 2)
    b = A.apply(x)
    assert relative_residual(A, x, b) == 0
    assert relative_residual(A, x, 2.0 * b) == pytest.approx(0.5, rel=1e-6)


def test_relative_residual_of_a_matrix() -> None:
    A = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]])
    assert relative_residual(A, np.array([1.0, 1.0]), np.array([3.0, 1.0, 2.0])) == pytest.approx(1 / math.sqrt(14))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda u: psnr(u[1:], u), ValueError, r"x has shape \(8, 8\); expected \(9, 8\), the shape of x_true"),
        (lambda u: psnr(u, u, peak=0.0), ValueError, "peak is 0.0; expected a positive number"),
        (lambda u: psnr(u, -u), ValueError, "peak is -1.0"),
        (lambda u: psnr([1.0], u), TypeError, "x is list; expected a NumPy or CuPy array"),
        (lambda u: ssim(u[:6], u[:6]), ValueError, r"x_true has shape \(6, 8\); expected an image at least 7"),
        (lambda u: ssim(u + 1j, u), TypeError, "x has dtype complex128; expected a real image"),
        (lambda u: ssim(np.ones((9, 9, 5)), np.ones((9, 9, 5))), ValueError, r"x_true has shape \(9, 9, 5\)"),
        (lambda u: psnr(u.astype("U"), u), TypeError, "x has dtype <U32; expected numbers"),
        (lambda u: nrmse(u, 0 * u), ValueError, "x_true is zero everywhere"),
        (lambda u: relative_residual(np.eye(9), u, u[:, 0]), ValueError, r"b has shape \(9,\); A x has \(9, 8\)"),
        (lambda u: relative_residual(np.eye(9), u, 0 * u), ValueError, "b is zero everywhere"),
    ],
)
def test_refusals(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.ones((9, 8)))


# ---------------------------------------------------------------- contrast


def test_contrast_recovery_of_hot_and_cold_regions_is_that_of_the_standard() -> None:
    """NEMA: (C_H/C_B - 1)/(a_H/a_B - 1) of a hot sphere, 1 - C_C/C_B of a cold one."""
    u = np.array([8.0, 8.0, 2.0, 2.0, 2.0, 0.0])
    x = np.array([5.0, 6.0, 2.0, 2.5, 1.5, 0.5])
    hot, cold, around = u == 8, u == 0, u == 2
    assert ip.contrast_recovery(x, u, hot, around) == pytest.approx((5.5 / 2 - 1) / 3)
    assert ip.contrast_recovery(x, u, cold, around) == pytest.approx(1 - 0.5 / 2)
    assert ip.contrast_recovery(3 * x, u, hot, around) == pytest.approx(ip.contrast_recovery(x, u, hot, around))
    assert ip.contrast_recovery(u, u, hot, around) == 1.0
    assert ip.contrast_recovery(np.ones(6), u, hot, around) == 0.0


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "roi has dtype int64; expected bool", {"roi": np.array([1, 0, 0])}),
        (ValueError, r"background has shape \(2,\)", {"background": np.array([True, False])}),
        (ValueError, "roi is empty", {"roi": np.zeros(3, bool)}),
        (ValueError, "roi and background overlap", {"background": np.ones(3, bool)}),
        (ValueError, "x has mean 0 in the background", {"x": np.array([1.0, 0.0, 0.0])}),
        (ValueError, "x_true has the same mean", {"x_true": np.ones(3)}),
        (TypeError, "x has dtype complex128", {"x": np.ones(3, complex)}),
    ],
)
def test_bad_regions(error: type, message: str, change: dict) -> None:
    given = dict(x=np.array([3.0, 1.0, 1.0]), x_true=np.array([4.0, 1.0, 1.0]))
    given |= dict(roi=np.array([True, False, False]), background=np.array([False, True, True]))
    with pytest.raises(error, match=message):
        ip.contrast_recovery(**(given | change))


def test_background_variability_of_regions_is_that_of_their_means(rng: np.random.Generator, xp: Any) -> None:
    """NEMA's: the standard deviation of 12 means over the mean of them; pixel by pixel it is √25 times as large."""
    x = xp.asarray(10 + rng.standard_normal((60, 5)))
    labels = xp.asarray(np.repeat(np.arange(12), 25).reshape(60, 5)) + 1
    means = [float(x[labels == k].mean()) for k in range(1, 13)]
    assert np.isclose(ip.background_variability(x, labels), np.std(means, ddof=1) / np.mean(means))
    pixels = ip.background_variability(x, labels > 0)
    assert pixels == pytest.approx(0.1, rel=0.2) and ip.background_variability(5 * x, labels > 0) == pytest.approx(
        pixels
    )


@pytest.mark.parametrize(
    ("error", "match", "background"),
    [
        (TypeError, "^background has dtype float64", np.ones(4)),
        (ValueError, "^background has shape", np.ones(3, bool)),
        (ValueError, "^background has 1 pixels", np.arange(4) == 1),
        (ValueError, "^background has 1 pixels or regions", np.ones(4, int)),
        (ValueError, "^background has labels down to -1", np.arange(4) - 1),
    ],
)
def test_background_variability_refuses(error: Any, match: str, background: np.ndarray) -> None:
    with pytest.raises(error, match=match):
        ip.background_variability(np.arange(4.0), background)
