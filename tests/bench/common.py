"""Data and objectives both sides are judged by: NumPy in float64, no code of either side."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LAM = 0.1  # weight of TV in the denoising problem
SIGMA = 0.1  # noise, of the image's range


def noisy_camera() -> np.ndarray:
    """scikit-image's camera (512 x 512, range 1) with Gaussian noise, float32."""
    from skimage import data

    clean = data.camera() / 255.0
    return (clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)


def blur_kernel(size: int) -> np.ndarray:
    """A kernel of ``size`` x ``size`` different weights with sum 1, neither symmetric nor separable."""
    k = np.random.default_rng(0).random((size, size))
    return k / k.sum()


def parallel_angles(n: int) -> np.ndarray:
    """n angles equally spaced on [0, π)."""
    return np.arange(n) * np.pi / n


def inscribed_error(x: np.ndarray, truth: np.ndarray, middle: float) -> float:
    """Relative error on the disc inscribed in the image about pixel (middle, middle)."""
    i, j = np.indices(truth.shape) - middle
    disc = np.hypot(i, j) <= min(middle, truth.shape[0] - 1 - middle)
    return float(np.linalg.norm((x - truth)[disc]) / np.linalg.norm(truth[disc]))


def gradient(x: np.ndarray) -> np.ndarray:
    """Forward differences along both axes, zero at the last row and column."""
    g = np.zeros((2, *x.shape))
    g[0, :-1] = x[1:] - x[:-1]
    g[1, :, :-1] = x[:, 1:] - x[:, :-1]
    return g


def gradient_adjoint(y: np.ndarray) -> np.ndarray:
    """The adjoint of `gradient`."""
    x = np.zeros(y.shape[1:])
    x[:-1] -= y[0, :-1]
    x[1:] += y[0, :-1]
    x[:, :-1] -= y[1, :, :-1]
    x[:, 1:] += y[1, :, :-1]
    return x


def total_variation(x: np.ndarray) -> float:
    """Isotropic TV."""
    return float(np.sqrt((gradient(x.astype(np.float64)) ** 2).sum(0)).sum())


def denoising_objective(x: np.ndarray, b: np.ndarray, lam: float) -> float:
    """½‖x - b‖² + λ TV(x)."""
    return 0.5 * float(((x.astype(np.float64) - b) ** 2).sum()) + lam * total_variation(x)


def denoising_bound(y: np.ndarray, b: np.ndarray, lam: float) -> float:
    """A lower bound of the optimum from any dual y: ½‖b‖² - ½‖b - ∇*y‖², after |y_i| <= λ is enforced."""
    y = y.astype(np.float64)
    y = y / np.maximum(1.0, np.sqrt((y**2).sum(0)) / lam)
    b = b.astype(np.float64)
    return 0.5 * float((b**2).sum() - ((b - gradient_adjoint(y)) ** 2).sum())


def first_below(trace: Iterable[tuple[int, float]], bound: float) -> int | None:
    """The first iteration of ``trace`` whose objective is at most ``bound``."""
    return next((k for k, value in trace if value <= bound), None)
