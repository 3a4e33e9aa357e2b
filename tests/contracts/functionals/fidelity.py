"""Data fidelities other than L2: weighted, Kullback-Leibler, robust, transmission."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.functionals import KL, Functional, Huber, L1Data, PoissonTransmission, WeightedL2
from ipbox.operators import Gradient, as_operator
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, lacking

AFTER_A = ("prox", "prox_conj", "conj")


def matrix(dtype: Any, xp: ModuleType) -> Any:
    """A non-negative 9 x 12 matrix, so that A u >= 0 for u >= 0."""
    return as_operator(abs(array(dtype, xp, (9, 12))))


def counts(dtype: Any, xp: ModuleType, shape: tuple[int, ...] = DIMS) -> Any:
    """Whole numbers, some of them zero."""
    return xp.floor(4 * abs(array(dtype, xp, shape)))


def mask(xp: ModuleType, shape: tuple[int, ...] = DIMS) -> Any:
    return array(float, xp, shape, 11) > -0.8


def kl_matrix(dtype: np.dtype, xp: ModuleType) -> Functional:
    return 0.5 * KL(matrix(dtype, xp), counts(dtype, xp, (9,)), 60.0, mask(xp, (9,)))


CASES = [
    FunctionalCase(
        "weighted L2 to b",
        WeightedL2,
        lambda dtype, xp: 1.5 * WeightedL2(None, array(dtype, xp), abs(array(dtype, xp, seed=9)) + 0.1),
    ),
    FunctionalCase(
        "weighted L2 of Au - b",
        WeightedL2,
        lambda dtype, xp: WeightedL2(matrix(dtype, xp), array(dtype, xp, (9,)), counts(dtype, xp, (9,))),
        (12,),
        lacking(*AFTER_A, "complex"),
    ),
    FunctionalCase(
        "KL without background",
        KL,
        lambda dtype, xp: 1.5 * KL(None, counts(dtype, xp)),
        lacks=lacking("grad", "complex"),
    ),
    FunctionalCase(
        "KL with background",
        KL,
        lambda dtype, xp: KL(None, counts(dtype, xp), 16.0),
        lacks=lacking("complex"),
        smooth_on=abs,
    ),
    FunctionalCase(
        "KL with background and mask",
        KL,
        lambda dtype, xp: 2 * KL(None, counts(dtype, xp), 16 + counts(dtype, xp), mask(xp)),
        lacks=lacking("complex"),
        smooth_on=abs,
    ),
    FunctionalCase("KL of Au", KL, kl_matrix, (12,), lacking(*AFTER_A, "complex"), smooth_on=abs),
    FunctionalCase(
        "L1 distance", L1Data, lambda dtype, xp: 0.7 * L1Data(None, array(dtype, xp)), lacks=lacking("grad")
    ),
    FunctionalCase(
        "L1 distance of Au",
        L1Data,
        lambda dtype, xp: L1Data(matrix(dtype, xp), array(dtype, xp, (9,))),
        (12,),
        lacking("grad", *AFTER_A, "complex"),
    ),
    FunctionalCase("Huber to b", Huber, lambda dtype, xp: 0.7 * Huber(b=array(dtype, xp), delta=0.3)),
    FunctionalCase("Huber of u", Huber, lambda dtype, xp: Huber(delta=0.5)),
    FunctionalCase(
        "Huber of the gradient",
        Huber,
        lambda dtype, xp: Huber(Gradient(DIMS, dtype), delta=0.3),
        lacks=lacking(*AFTER_A, "complex"),
    ),
    FunctionalCase(
        "transmission",
        PoissonTransmission,
        lambda dtype, xp: 0.1 * PoissonTransmission(None, counts(dtype, xp), 5.0),
        lacks=lacking("complex"),
        smooth_on=abs,
    ),
    FunctionalCase(
        "transmission of Au",
        PoissonTransmission,
        lambda dtype, xp: (
            0.1
            * PoissonTransmission(
                as_operator(0.1 * abs(array(dtype, xp, (9, 12)))), counts(dtype, xp, (9,)), 1 + counts(dtype, xp, (9,))
            )
        ),
        (12,),
        lacking(*AFTER_A, "complex"),
        smooth_on=abs,
    ),
]
