"""Quadratic forms."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ipbox.functionals import Functional, Quadratic
from ipbox.operators import as_operator
from tests.contracts.functionals.registry import FunctionalCase, array, lacking


def quadratic(dtype: Any, xp: ModuleType) -> Functional:
    M = array(dtype, xp, (5, 12))
    return 1.5 * Quadratic(as_operator(M.T @ M), array(dtype, xp, (12,), 9))


CASES = [FunctionalCase("quadratic", Quadratic, quadratic, (12,), lacking("prox", "prox_conj", "conj", "complex"))]
