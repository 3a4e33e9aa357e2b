"""Pairs of chest-CT slices and sinograms to learn from: other slices of the same patient validate, another's test.

The truths are area averages of 256 x 256 slices and the sinograms come from those by Joseph's projector, as
`ip.problem("ct")` has it, so that the operator's error is seen in training.  Flips, turns and zooms of the finer slices
add variety; noise is drawn afresh whenever a batch is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.problems.simulated.joseph import joseph
from ipbox.problems.truths import datasets

BUILD = Path(__file__).resolve().parents[3] / "build"
VALIDATION = (5, 17, 29, 41)  # slices of the training patient that are never trained on
TEST = tuple(range(3, 61, 5))  # slices of the test patient; the seed of the noise is the slice
NOISE = 0.01  # expected norm of the noise, relative
ZOOMS = (0.8, 1.15)  # of training slices


@dataclass(frozen=True)
class Pairs:
    """Truths (n, size, size), clean sinograms (n, views, n_det), both float32, and the operator."""

    A: ip.RayTransform
    truths: np.ndarray
    clean: np.ndarray
    noise: float = NOISE

    def __len__(self) -> int:
        return len(self.truths)

    def batch(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """``n`` noisy sinograms and their truths."""
        index = rng.choice(len(self), n, replace=False)
        b = self.clean[index]
        sigma = self.noise * np.sqrt((b.astype(np.float64) ** 2).mean(axis=(1, 2), keepdims=True))
        return b + (sigma * rng.standard_normal(b.shape)).astype(np.float32), self.truths[index]


def training_pairs(
    size: int = 128, views: int = 40, copies: int = 16, noise: float = NOISE, seed: int = 0, exact: bool = False
) -> Pairs:
    """``copies`` versions of each of the 44 slices to learn from, simulated once and kept in ``build/``.

    ``exact`` data are those of the operator itself, without the error of the model.
    """
    slices = [k for k in range(48) if k not in VALIDATION]
    A = training_operator(size, views)
    path = BUILD / f"ct_pairs_{size}_{views}_{copies}_{seed}.npz"
    if not path.is_file():
        rng = np.random.default_rng(seed)
        fine = [varied(datasets.lung_slice(k, patient="train")[0], rng, c) for c in range(copies) for k in slices]
        truths, clean = zip(*(simulated(u, A) for u in fine), strict=True)
        BUILD.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, truths=np.stack(truths), clean=np.stack(clean))
        temporary.replace(path)
    with np.load(path) as f:
        truths = f["truths"]
        return Pairs(A, truths, A.apply(truths) if exact else f["clean"], noise)


def validation_problems(size: int = 128, views: int = 40, noise: float = NOISE) -> list[tuple]:
    """(A, b, x, info) of the slices of the training patient that are never trained on."""
    return [ip.problem("ct", size=size, views=views, noise=noise, patient="train", slice=k, seed=k) for k in VALIDATION]


def test_problems(size: int = 128, views: int = 40, noise: float = NOISE) -> list[tuple]:
    """(A, b, x, info) of the slices of the test patient."""
    return [ip.problem("ct", size=size, views=views, noise=noise, slice=k, seed=k) for k in TEST]


def training_operator(size: int = 128, views: int = 40) -> ip.RayTransform:
    """That of the training patient."""
    width = datasets.lung_slice(0, size, patient="train")[1]
    return ip.RayTransform((size, size), np.arange(views) * (np.pi / views), pixel_size=width, dtype="float32")


def varied(fine: np.ndarray, rng: np.random.Generator, copy: int) -> np.ndarray:
    """One of the eight flips and quarter turns; from the ninth copy on also a small turn and a zoom."""
    from scipy.ndimage import affine_transform

    if copy >= 8:
        turn, zoom = rng.uniform(-0.3, 0.3), rng.uniform(*ZOOMS)
        M = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / zoom
        centre = (np.array(fine.shape) - 1) / 2
        fine = affine_transform(fine, M, centre - M @ centre, order=1)
    fine = np.rot90(fine, copy % 4)
    return np.ascontiguousarray(fine[:, ::-1] if copy % 8 >= 4 else fine)


def simulated(fine: np.ndarray, A: ip.RayTransform) -> tuple[np.ndarray, np.ndarray]:
    """The truth, 0 outside the field of view, and its clean sinogram."""
    size, k = A.dims[0], fine.shape[0] // A.dims[0]
    mask = datasets.field_of_view((size, size))
    fine = fine * np.repeat(np.repeat(mask, k, axis=0), k, axis=1)
    truth = datasets.area_average(fine, (size, size)) * mask
    clean = joseph(fine, A.angles, A.n_det, A.pixel_size, pixel_size=A.pixel_size / k, rays_per_bin=2)
    return truth.astype(np.float32), clean.astype(np.float32)
