"""Cartesian MRI, coil sensitivities and the centred Fourier transform at odd and even sizes, on any device."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.backend import complex_dtype
from ipbox.operators import CartesianMRI, CoilSensitivities, FourierTransform
from ipbox.problems.measuring.coils import simulate_sensitivities
from tests.contracts.operators.case import OperatorCase

DIMS = (7, 5)


def maps(dtype: Any, coils: int = 3, dims: tuple[int, ...] = DIMS) -> np.ndarray:
    """Random complex maps."""
    rng = np.random.default_rng(7)
    S = rng.standard_normal((coils, *dims)) + 1j * rng.standard_normal((coils, *dims))
    return S.astype(complex_dtype(dtype))


def smooth(dtype: Any, dims: tuple[int, int] = DIMS) -> np.ndarray:
    """Smooth maps whose squares add up to 1: full sampling makes A an isometry."""
    return simulate_sensitivities(4, dims, dtype=complex_dtype(dtype))


def mask(dims: tuple[int, ...] = DIMS, weights: bool = False) -> np.ndarray:
    """Half of the points, or weights in [0, 1) with zeros, not symmetric about the middle."""
    draw = np.random.default_rng(11).random(dims)
    return draw * (draw > 0.4) if weights else draw > 0.5


def coils(name: str, **options: Any) -> OperatorCase:
    def make(dtype: np.dtype, xp: ModuleType) -> CoilSensitivities:
        return CoilSensitivities(xp.asarray(maps(dtype)), **options)

    return OperatorCase(f"coils {name}", CoilSensitivities, make, "exact")


def fourier(name: str, dims: tuple[int, ...], **options: Any) -> OperatorCase:
    def make(dtype: np.dtype, xp: ModuleType) -> FourierTransform:
        return FourierTransform(dims, complex_dtype(dtype), **options)

    return OperatorCase(f"fourier {name}", FourierTransform, make, "exact")


def mri(name: str, kind: str, W: Any, S: Any = None, **options: Any) -> OperatorCase:
    def make(dtype: np.dtype, xp: ModuleType) -> CartesianMRI:
        S_ = None if S is None else xp.asarray(S(dtype))
        return CartesianMRI(xp.asarray(W), S_, complex_dtype(dtype), **options)

    return OperatorCase(f"mri {name}", CartesianMRI, make, kind)


CASES = [
    coils("complex"),
    coils("of a real image", real_image=True),
    fourier("odd x odd", (7, 5)),
    fourier("even x odd, real image", (6, 5), real_image=True),
    fourier("1-D", (8,)),
    fourier("3-D", (3, 4, 5)),
    mri("one coil", "exact", mask()),
    mri("one coil, even x odd, weights", "exact", mask((6, 5), weights=True)),
    mri("one coil, weights, real image", "exact", mask(weights=True), real_image=True),
    mri("one coil, even x even, weights, real image", "exact", mask((4, 6), weights=True), real_image=True),
    mri("one coil, 3-D", "exact", mask((3, 4, 5))),
    mri("coils", "estimate", mask(), maps),
    mri("coils, weights", "estimate", mask(weights=True), maps),
    mri("coils, real image", "estimate", mask(), maps, real_image=True),
    mri("one map", "estimate", mask(), lambda dtype: maps(dtype, 1)),
    mri("smooth coils, full", "bound", np.ones((6, 7), bool), lambda dtype: smooth(dtype, (6, 7))),
    mri("smooth coils, full, real", "bound", np.ones(DIMS, bool), smooth, real_image=True),
]
