"""Total generalised variation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.functionals import TGV, Functional
from tests.contracts.functionals.registry import FunctionalCase, accuracy, lacking


def loose(dtype: np.dtype, xp: ModuleType) -> float:
    """What is asked of the prox; little on the device, where Python threads may simulate those of a GPU."""
    return accuracy(dtype, xp) if xp is np else 0.15


def tgv(name: str, dims: tuple[int, ...], **options: Any) -> FunctionalCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        exact = 5e-6 if xp is np else 0.05
        return 0.3 * TGV(dims, accuracy=loose(dtype, xp), value_accuracy=exact, **options)

    return FunctionalCase(f"TGV {name}", TGV, make, dims, lacking("grad", "conj"), loose, costly=True)


CASES = [tgv("2-D", (3, 2), beta=1.5), tgv("3-D with voxel sizes", (2, 2, 2), beta=1.0, spacing=(0.5, 1.0, 2.0))]
