"""Undersampled MR of 64 x 64 heads: settings, data, and the slices to learn from, to choose by and to test on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform

import ipbox as ip
from ipbox.problems.measuring.kspace_masks import variable_density_mask
from ipbox.problems.truths import brains, datasets

SIZE = 64
TEST = (3, 6, 9, 12, 15, 18)  # slices of the test patient
ZOOMS, TURN, SHIFT, GAMMA = (0.9, 1.1), 0.15, 8.0, (0.8, 1.25)  # of training slices; shifts in pixels of 256


@dataclass(frozen=True)
class Setting:
    """How a head is measured: a radial mask of so many spokes, or Cartesian lines, ``rate`` of them; and the noise.

    ``noise`` is the standard deviation of real and imaginary part each, where the largest value of the image is 1.
    """

    kind: str
    rate: int
    noise: float = 0.05

    @property
    def name(self) -> str:
        return f"{self.kind} {self.rate}, noise {self.noise:g}"

    def operator(self) -> ip.CartesianMRI:
        mask = radial_mask(self.rate) if self.kind == "radial" else lines_mask(self.rate)
        return ip.CartesianMRI(mask, None, "complex64", real_image=True)


def radial_mask(spokes: int, size: int = SIZE) -> np.ndarray:
    """The points of the grid next to ``spokes`` equally spaced lines through the middle, laid out as A wants them."""
    t = np.linspace(-size / 2, size / 2 - 1, 4 * size)
    mask = np.zeros((size, size), bool)
    for angle in math.pi * np.arange(spokes) / spokes:
        rows, columns = (np.round(f(angle) * t).astype(int) % size for f in (np.sin, np.cos))
        mask[rows, columns] = True
    return np.fft.fftshift(mask)


def lines_mask(lines: int, size: int = SIZE) -> np.ndarray:
    """``lines`` columns, dense in the middle."""
    return variable_density_mask((size, size), size / lines, max(2, lines // 3), kind="lines", seed=0)


def measured(A: ip.CartesianMRI, x: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Data of the images x, (..., 64, 64) float32, with noise on the samples."""
    b = A.apply(x)
    e = rng.standard_normal((2, *b.shape)).astype(np.float32)
    return (b + np.float32(noise) * (A.mask > 0) * (e[0] + 1j * e[1])).astype(np.complex64)


def noise_level(A: ip.CartesianMRI, noise: float) -> float:
    """The expected norm of that noise."""
    return noise * math.sqrt(2 * np.count_nonzero(A.mask))


def heads(patient: str, slices: tuple[int, ...]) -> np.ndarray:
    """Slices of a patient, means of the 256 x 256 ones, in [0, 1]."""
    return np.stack([brains.brain_slice(k, SIZE, patient) for k in slices]).astype(np.float32)


def training_heads(copies: int, held_out: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Varied versions of the other slices of the training patient."""
    rng = np.random.default_rng(seed)
    fine = [brains.brain_slice(k, None, "train") for k in range(25) if k not in held_out]
    return np.stack([varied(u, rng) for _ in range(copies) for u in fine]).astype(np.float32)


def varied(fine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mirrored, turned, zoomed and shifted version of other contrast, at 64 x 64."""
    turn, zoom, gamma = rng.uniform(-TURN, TURN), rng.uniform(*ZOOMS), rng.uniform(*GAMMA)
    M = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) / zoom
    centre = (np.array(fine.shape) - 1) / 2
    u = affine_transform(fine, M, centre - M @ centre + rng.uniform(-SHIFT, SHIFT, 2), order=1).clip(0, 1) ** gamma
    return datasets.area_average(u[:, ::-1] if rng.random() < 0.5 else u, (SIZE, SIZE))
