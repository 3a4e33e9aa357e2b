"""Non-Cartesian MRI on radial, spiral and clustered trajectories at odd, non-square sizes, on any device."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.backend import complex_dtype
from ipbox.operators import NonCartesianMRI, NonCartesianNormal
from ipbox.problems.measuring.trajectories import radial_trajectory, spiral_trajectory
from tests.contracts.operators.case import OperatorCase

DIMS = (7, 5)
RADIAL = radial_trajectory(5, 9, DIMS)
SPIRAL = spiral_trajectory(2, 11, DIMS, power=2.0)


def maps(dtype: Any, coils: int, dims: tuple[int, ...] = DIMS) -> np.ndarray:
    """Random complex maps."""
    rng = np.random.default_rng(7)
    S = rng.standard_normal((coils, *dims)) + 1j * rng.standard_normal((coils, *dims))
    return S.astype(dtype)


def clustered() -> np.ndarray:
    """Samples crowded round two places, and few elsewhere."""
    rng = np.random.default_rng(8)
    places = [rng.normal(0, 0.2, (30, 2)), rng.normal(1.5, 0.2, (30, 2)), rng.uniform(-2.5, 2.5, (5, 2))]
    return np.concatenate(places)


def mri(
    dtype: np.dtype, xp: ModuleType, k: np.ndarray, coils: int = 0, dims: tuple[int, ...] = DIMS, **options: Any
) -> NonCartesianMRI:
    dtype = complex_dtype(dtype)
    S = xp.asarray(maps(dtype, coils, dims)) if coils else None
    return NonCartesianMRI(dims, xp.asarray(k), S, dtype, **options)


def case(name: str, k: np.ndarray, **options: Any) -> OperatorCase:
    return OperatorCase(f"mri {name}", NonCartesianMRI, lambda dtype, xp: mri(dtype, xp, k, **options), "estimate")


def normal(name: str, **options: Any) -> OperatorCase:
    def make(dtype: np.dtype, xp: ModuleType) -> NonCartesianNormal:
        return mri(dtype, xp, RADIAL, **options).normal()

    return OperatorCase(f"mri normal {name}", NonCartesianNormal, make, "estimate")


CASES = [
    case("radial", RADIAL),
    case("radial, three coils", RADIAL, coils=3),
    case("radial, real image", RADIAL, real_image=True),
    case("radial, three coils, real image", RADIAL, coils=3, real_image=True),
    case("spiral, two coils", SPIRAL, coils=2),
    case("one spoke", RADIAL[:1], coils=1),
    case("clustered, three coils", clustered(), coils=3),
    case("3-D", np.random.default_rng(9).uniform(-1.5, 1.5, (4, 6, 3)), coils=2, dims=(3, 4, 5)),
    OperatorCase(
        "mri some spokes", NonCartesianMRI, lambda dtype, xp: mri(dtype, xp, RADIAL, 3).subset([3, 0]), "estimate"
    ),
    normal("one coil"),
    normal("three coils", coils=3),
    normal("three coils, real image", coils=3, real_image=True),
]
