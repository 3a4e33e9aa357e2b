"""Chest-CT slices of 64 x 64 pixels: the training patient's to learn a score from, the other's to test it on.

Images are in units of 0.02/mm, about the attenuation of water, and 0 outside the field of view, as those of
``ip.problem("ct", size=64)`` are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipbox.problems.truths import datasets

BUILD = Path(__file__).resolve().parents[3] / "build"
SIZE = 64
UNIT = 0.02  # 1/mm
HELD_OUT = (5, 17, 29, 41)  # slices of the training patient that are never trained on
LEARNED = tuple(k for k in range(48) if k not in HELD_OUT)
COPIES = 40


def training_images(copies: int = COPIES, seed: int = 0) -> np.ndarray:
    """``copies`` versions of each slice to learn from, float32 (n, 64, 64), made once and kept in ``build/``."""
    path = BUILD / f"score_ct_{copies}_{seed}.npz"
    if not path.is_file():
        rng = np.random.default_rng(seed)
        fine = [datasets.lung_slice(k, patient="train")[0] for k in LEARNED]
        images = np.stack([reduced(varied(u, rng, c)) for c in range(copies) for u in fine])
        BUILD.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, images=images)
        temporary.replace(path)
    with np.load(path) as f:
        return f["images"]


def held_out_images() -> np.ndarray:
    """The slices that validate, upright and mirrored."""
    images = [reduced(datasets.lung_slice(k, patient="train")[0]) for k in HELD_OUT]
    return np.stack([*images, *(u[:, ::-1] for u in images)])


def reduced(fine: np.ndarray) -> np.ndarray:
    """The area average, 0 outside the field of view, in units of 0.02/mm."""
    mask = datasets.field_of_view((SIZE, SIZE))
    k = fine.shape[0] // SIZE
    fine = fine * np.repeat(np.repeat(mask, k, axis=0), k, axis=1)
    return (datasets.area_average(fine, (SIZE, SIZE)) * (mask / UNIT)).astype(np.float32)


def varied(fine: np.ndarray, rng: np.random.Generator, copy: int) -> np.ndarray:
    """The slice as it is, and mirrored; from the third copy on turned, zoomed, stretched and shifted.

    A quarter of the copies are turned by quarters, too; a quarter are zoomed into, as crops are.
    """
    from scipy.ndimage import affine_transform

    if copy >= 2:
        turn, shift = rng.uniform(-0.2, 0.2), rng.uniform(-0.06, 0.06, 2) * fine.shape[0]
        zoom = rng.uniform(1.2, 2.0) if copy % 4 == 2 else rng.uniform(0.8, 1.25)
        stretch = np.exp(rng.uniform(-0.1, 0.1))
        R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        M = R @ np.diag([stretch, 1 / stretch]) / zoom
        centre = (np.array(fine.shape) - 1) / 2
        fine = affine_transform(fine, M, centre - M @ (centre + shift), order=1)
        if copy % 4 == 3:
            fine = np.rot90(fine, rng.integers(4))
    return np.ascontiguousarray(fine[:, ::-1] if copy % 2 else fine)
