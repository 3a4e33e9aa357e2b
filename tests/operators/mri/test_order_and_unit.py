"""Masks and trajectories in another order or unit than the operators take: said where a check can tell."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

import ipbox as ip
from ipbox.problems.measuring.kspace_masks import fastmri_mask, poisson_disc_mask, uniform_mask, variable_density_mask
from ipbox.problems.measuring.trajectories import radial_trajectory, spiral_trajectory

MASKS = {
    "fastmri 4": lambda shape: fastmri_mask(shape, 4),
    "fastmri 8": lambda shape: fastmri_mask((320, 368), 8),
    "lines": lambda shape: variable_density_mask(shape, acceleration=4, calibration=shape[0] // 10, kind="lines"),
    "points": lambda shape: variable_density_mask(shape, acceleration=4, calibration=16, kind="points"),
    "poisson": lambda shape: poisson_disc_mask(shape, acceleration=6, calibration=16),
    "uniform": lambda shape: uniform_mask(shape, 3, calibration=shape[0] // 10),
}


@pytest.mark.parametrize("shape", [(128, 160), (320, 320), (161, 150)])
@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_that_begins_with_zero_frequency(kind: str, shape: tuple[int, int]) -> None:
    """As BART and unshifted FFTs have it: the middle of k-space would be thrown away."""
    mask = MASKS[kind](shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ip.CartesianMRI(mask)
    with pytest.warns(UserWarning, match=r"^mask samples all around index 0 and \d+% around its middle, .*fftshift"):
        ip.CartesianMRI(np.fft.ifftshift(mask))


@pytest.mark.parametrize("seed", range(20))
def test_masks_of_which_nothing_can_be_told(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[-64:64, -48:48]
    low = np.hypot(y, x) < 20
    for mask in (rng.random((128, 96)) > 0.6, low, ~low, rng.random((128, 96)) > 0.95, rng.random((9, 9)) > 0.5):
        ip.CartesianMRI(mask)


def test_a_mask_from_a_picture() -> None:
    """0 and 255 would be weights of 255."""
    picture = np.where(np.eye(16) > 0, 255, 0).astype("uint8")
    for mask in (picture, picture.astype("float32")):
        with pytest.raises(ValueError, match="mask is 0 or 255 everywhere, as images are; expected bool or weights"):
            ip.CartesianMRI(mask)
    with pytest.raises(ValueError, match="mask is 0 or 255 everywhere"):
        ip.Mask(picture.astype("float32"))
    ip.CartesianMRI(picture // 255)


TRAJECTORIES = {
    "radial": lambda dims: radial_trajectory(21, 2 * dims[0], dims),
    "spiral": lambda dims: spiral_trajectory(8, 400, dims),
}


@pytest.mark.parametrize("kind", TRAJECTORIES)
@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("cycles per pixel, which times n are", lambda n: 1 / n),  # as DIPY and BART's -0.5 to 0.5
        (r"radians per pixel, which times n / \(2 pi\) are", lambda n: 2 * np.pi / n),  # as torchkbnufft and FINUFFT
    ],
)
def test_a_trajectory_in_another_unit(kind: str, unit: str, scale: Callable[[np.ndarray], np.ndarray]) -> None:
    dims = (32, 32)
    k = TRAJECTORIES[kind](dims)
    ip.NonCartesianMRI(dims, k)
    with pytest.warns(UserWarning, match=f"expected cycles per field of view, up to 16: these seem to be {unit}"):
        ip.NonCartesianMRI(dims, k * scale(np.array(dims)))


def test_a_trajectory_with_x_first() -> None:
    dims = (24, 48)
    k = radial_trajectory(21, 96, dims)
    with pytest.raises(ValueError, match=r"along axis 0; .* at most 12 for 24 pixels; its axes are .*, so \(ky, kx\)$"):
        ip.NonCartesianMRI(dims, k[..., ::-1])
    with pytest.raises(ValueError, match=r"at most 12 for 24 pixels$"):
        ip.NonCartesianMRI(dims, 3 * k)


@pytest.mark.parametrize("reach", [0.0, 0.3, 0.5, 1.0, 3.0, 4.0])
def test_few_low_frequencies_are_a_trajectory(reach: float) -> None:
    ip.NonCartesianMRI((32, 32), np.array([[0.0, reach], [0.0, 0.0]]))
