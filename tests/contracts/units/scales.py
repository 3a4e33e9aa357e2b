"""Data times c and an operator times s: what the parameters of a problem become, and what its answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.operators import Operator
from tests.contracts.solvers.registry import Matrix


@dataclass(frozen=True)
class Scales:
    """Data in units of ``c``, the operator in units of ``s``; images are then in units of c/s."""

    c: float = 1.0
    s: float = 1.0
    dtype: str = "float64"

    @property
    def image(self) -> float:
        return self.c / self.s

    def data(self, b: np.ndarray) -> np.ndarray:
        return self._times(self.c, b)

    def matrix(self, m: np.ndarray, dims: tuple[int, ...]) -> Operator:
        """A dense matrix on images, with its exact norm."""
        m = self._times(self.s, m)
        return Matrix(m, dims, float(np.linalg.norm(m.astype(np.float64), 2)))

    def weight(self, lam: float, degree: int = 1, of_data: int = 2) -> float:
        """λ of D(Au, b) + λ R(u), where R(tu) = t^degree R(u) and D(tv, tb) = t^of_data D(v, b)."""
        return lam * self.c**of_data / self.image**degree

    def spread(self) -> int:
        """Decades, rounded up."""
        return math.ceil(abs(math.log10(self.c)) + abs(math.log10(self.s)))

    def _times(self, factor: float, a: np.ndarray) -> np.ndarray:
        """The product, rounded once."""
        a = a.astype(np.complex64 if a.dtype.kind == "c" and self.dtype == "float32" else a.dtype)
        real = np.dtype(self.dtype)
        return (a if a.dtype.kind == "c" else a.astype(real)) * real.type(factor)


def error(x: Any, expected: np.ndarray, unit: float) -> float:
    """‖x/unit - expected‖/‖expected‖, in double precision."""
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    expected = expected.astype(wide)
    return float(np.linalg.norm(x.astype(wide) / unit - expected) / np.linalg.norm(expected))


POWERS = [("float64", 2.0**40), ("float64", 2.0**-40), ("float32", 2.0**100), ("float32", 2.0**-100)]
DECADES = [("float64", 1e12), ("float64", 1e-12), ("float32", 1e30), ("float32", 1e-30)]
