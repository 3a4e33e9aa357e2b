"""Scans of upright chests to learn from, few of them, and of upright and turned ones to test on.

50 views of 128 x 128 pixels with Poisson counts, by Joseph's projector from finer slices.  A scan is measured once: its
noise is the same whenever a network sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import rotate

import ipbox as ip
from ipbox.problems.measuring.noise import poisson_counts
from ipbox.problems.truths import datasets
from tests.bench.learned import ct_data

SIZE, VIEWS, PHOTONS = 128, 50, 3e4
TRAINING = tuple(k for k in range(48) if k not in ct_data.VALIDATION)  # slices of the training patient


@dataclass(frozen=True)
class Scans:
    """Data (n, views, n_det) and truths (n, size, size), both float32, and the operator."""

    A: ip.RayTransform
    b: np.ndarray
    x: np.ndarray


def operator(patient: str, size: int = SIZE, views: int = VIEWS) -> ip.RayTransform:
    """That of a patient, whose pixels have a width of their own."""
    width = datasets.lung_slice(5, size, patient)[1]
    return ip.RayTransform((size, size), np.arange(views) * (np.pi / views), pixel_size=width, dtype="float32")


def scans(
    patient: str, slices: tuple[int, ...], degrees: tuple[int, ...] = (0,), size: int = SIZE, views: int = VIEWS
) -> Scans:
    """Scans of slices, each turned by each of some angles; the seed of the noise is made of slice and angle."""
    A = operator(patient, size, views)
    b, x = [], []
    for k in slices:
        fine = datasets.lung_slice(k, 2 * size, patient)[0]
        for turn in degrees:
            truth, clean = ct_data.simulated(turned(fine, turn), A)
            b.append(poisson_counts(clean, PHOTONS, seed=1000 * k + turn)[0])
            x.append(truth)
    return Scans(A, np.stack(b), np.stack(x))


def turned(u: np.ndarray, degrees: int) -> np.ndarray:
    """The image turned anticlockwise about its middle."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(u, degrees // 90))
    return rotate(u, degrees, reshape=False, order=1)
