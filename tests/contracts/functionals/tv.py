"""The total variations: forms of TV, smoothed, directional."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.functionals import TV, DirectionalTV, Functional, InfConvTV, SmoothedTV
from tests.contracts.functionals.registry import DIMS, FunctionalCase, accuracy, array, lacking


def tv(name: str, dims: tuple[int, ...] = DIMS, **options: Any) -> FunctionalCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        return 0.3 * TV(dims, accuracy=accuracy(dtype, xp), niter=20_000, **options)

    return FunctionalCase(f"TV {name}", TV, make, dims, lacking("grad", "conj"), accuracy)


def directional(name: str, dims: tuple[int, ...] = DIMS, **options: Any) -> FunctionalCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        return 0.3 * DirectionalTV(dims, array(dtype, xp, dims), accuracy=accuracy(dtype, xp), niter=20_000, **options)

    return FunctionalCase(f"directional TV {name}", DirectionalTV, make, dims, lacking("grad", "conj"), accuracy)


def smoothed(name: str, dims: tuple[int, ...] = DIMS, **options: Any) -> FunctionalCase:
    f = 0.3 * SmoothedTV(dims, 2.0, **options)
    return FunctionalCase(
        f"smoothed TV {name}", SmoothedTV, lambda dtype, xp: f, dims, lacking("prox", "prox_conj", "conj")
    )


def infconv(name: str, dims: tuple[int, ...] = DIMS, **options: Any) -> FunctionalCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        return 0.3 * InfConvTV(dims, accuracy=accuracy(dtype, xp), **options)

    lacks = lacking("grad", "conj")
    return FunctionalCase(f"infimal-convolution TV {name}", InfConvTV, make, dims, lacks, accuracy, costly=True)


CASES = [
    tv("isotropic"),
    tv("anisotropic", isotropic=False),
    tv("of a line", (7,)),
    tv("of a row", (1, 7)),
    tv("3-D", (3, 2, 2)),
    tv("3-D anisotropic", (2, 3, 2), isotropic=False),
    tv("with voxel sizes", spacing=(0.5, 1.5)),
    tv("symmetric", symmetric=True),
    tv("symmetric, with voxel sizes", (3, 2), symmetric=True, spacing=(0.5, 1.5)),
    tv("of channels", (2, 3, 2), channels=True),
    tv("of channels, anisotropic", (2, 2, 3), channels=True, isotropic=False, spacing=0.5),
    tv("of channels, symmetric", (2, 2, 2), channels=True, symmetric=True),
    infconv("2-D", (3, 2)),
    infconv("of a line with pixel size", (4,), alpha1=2.0, alpha0=0.5, spacing=0.5),
    smoothed("isotropic"),
    smoothed("of channels, with voxel sizes", (2, 3, 3), channels=True, spacing=(0.5, 2.0)),
    directional("guided"),
    directional("of a line", (6,), gamma=0.9),
    directional("3-D with voxel sizes", (2, 3, 2), spacing=(1.0, 0.5, 2.0), eta=0.5, gamma=0.95),
]
