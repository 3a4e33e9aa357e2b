"""Total generalised variation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from contracts.registry_functionals import DIMS, FunctionalCase, accuracy, lacking

from ipbox.functionals import TGV, Functional


def tgv(name: str, dims: tuple[int, ...] = DIMS, **options: Any) -> FunctionalCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        return 0.3 * TGV(dims, accuracy=accuracy(dtype, xp), **options)

    return FunctionalCase(f"TGV {name}", TGV, make, dims, lacking("grad", "conj", "complex"), accuracy)


CASES = [
    tgv("2-D", beta=1.5),
    tgv("with voxel sizes", beta=2.0, spacing=(0.5, 1.0)),
    tgv("3-D", (2, 3, 3), beta=1.0),
]
