"""Blur with every boundary, by direct sums and by FFTs, with kernels of every symmetry and sign."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.operators import Blur, GaussianBlur, VaryingBlur
from ipbox.operators.images.psf import disc_psf, gaussian_psf, motion_psf
from ipbox.operators.images.varying_blur import interpolation_weights
from tests.contracts.operators.case import OperatorCase

DIMS = (7, 9)
RNG = np.random.default_rng(8)
SIGNED = RNG.standard_normal((5, 4))
POSITIVE = RNG.random((4, 3))
WIDE = RNG.random((17, 15))  # more weights than direct sums take


def blur(name: str, kernel: Any, boundary: str, kind: str, dims: tuple[int, ...] = DIMS) -> OperatorCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Blur:
        return Blur(dims, kernel, boundary, dtype)

    return OperatorCase(f"blur {name}, {boundary}", Blur, make, kind)


def gaussian(boundary: str, kind: str, sigma: Any = (0.7, 1.0)) -> OperatorCase:
    def make(dtype: np.dtype, xp: ModuleType) -> GaussianBlur:
        return GaussianBlur(DIMS, sigma, boundary, dtype=dtype)

    return OperatorCase(f"Gaussian blur, {boundary}, {sigma}", GaussianBlur, make, kind)


def varying(boundary: str, kind: str, kernels: np.ndarray) -> OperatorCase:
    def make(dtype: np.dtype, xp: ModuleType) -> VaryingBlur:
        return VaryingBlur(DIMS, kernels, interpolation_weights(DIMS, (2, 2)), boundary, dtype)

    return OperatorCase(f"varying blur {kernels.min() < 0}, {boundary}", VaryingBlur, make, kind)


CASES = [
    blur("signed", SIGNED, "periodic", "exact"),
    blur("signed", SIGNED, "reflective", "estimate"),
    blur("signed", SIGNED, "zero", "estimate"),
    blur("positive", POSITIVE, "periodic", "exact"),
    blur("positive", POSITIVE, "reflective", "bound"),
    blur("positive", POSITIVE, "zero", "bound"),
    blur("symmetric", disc_psf(2.3), "reflective", "exact"),
    blur("one pixel", np.full((1, 1), -2.0), "reflective", "exact"),
    blur("shift", np.array([[0.0, 0.0, 1.0]]), "zero", "bound"),
    blur("as large as the image", RNG.random(DIMS), "periodic", "exact"),
    blur("as large as the image", RNG.random(DIMS), "reflective", "bound"),
    blur("wide", WIDE, "periodic", "exact", (18, 17)),  # 17 is no fast length
    blur("wide", WIDE, "periodic", "exact", (18, 15)),
    blur("wide", WIDE, "reflective", "bound", (18, 17)),
    blur("wide", WIDE, "zero", "bound", (18, 17)),
    blur("motion", motion_psf(4.5, 0.6), "zero", "bound"),
    blur("1-D", RNG.standard_normal(5), "zero", "bound", (23,)),
    blur("3-D", RNG.random((3, 2, 3)), "reflective", "bound", (4, 5, 3)),
    gaussian("periodic", "exact"),
    gaussian("reflective", "exact"),
    gaussian("zero", "bound"),
    gaussian("zero", "bound", 0),
    varying("periodic", "bound", RNG.random((4, 3, 4))),
    varying("reflective", "bound", np.stack([gaussian_psf(s, 5) for s in (0.5, 0.8, 1.2, 2.0)])),
    varying("zero", "estimate", RNG.standard_normal((4, 3, 3))),
]
