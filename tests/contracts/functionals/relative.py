"""The relative difference prior, with an ε that keeps the denominators of what the contracts draw positive."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ipbox.functionals import Functional, RelativeDifference
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, lacking

LACKS = lacking("prox", "prox_conj", "conj", "complex")


def weighted(dtype: np.dtype, xp: ModuleType) -> Functional:
    dims = (3, 2, 2)
    return 3 * RelativeDifference(dims, 16.0, 0.5, abs(array(dtype, xp, dims)), (1.0, 1.0, 2.0))


def plain(dtype: np.dtype, xp: ModuleType) -> Functional:
    return 5 * RelativeDifference(DIMS, eps=16.0)


CASES = [
    FunctionalCase("relative differences", RelativeDifference, plain, lacks=LACKS, smooth_on=abs),
    FunctionalCase(
        "relative differences of voxels, weighted", RelativeDifference, weighted, (3, 2, 2), LACKS, smooth_on=abs
    ),
]
