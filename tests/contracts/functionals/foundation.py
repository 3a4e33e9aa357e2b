"""L1, L2, TV, boxes, compositions, sums and PyProximal's functionals."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pyproximal

from ipbox.functionals import (
    L1,
    L2,
    L21,
    Box,
    Composition,
    Functional,
    FunctionFunctional,
    L1Box,
    L2Box,
    NonNegative,
    Sum,
    Zero,
    functional,
)
from ipbox.operators import Gradient, Identity, as_operator
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, foreign, lacking, simple


def l2_matrix(dtype: np.dtype, xp: ModuleType) -> Functional:
    return 0.5 * L2(as_operator(array(dtype, xp, (9, 12))), array(dtype, xp, (9,)))


def smooth_sum(dtype: np.dtype, xp: ModuleType) -> Functional:
    b, c = array(dtype, xp), array(dtype, xp, seed=8)
    return 2 * L2(b=b) + 0.5 * (L2(b=c) @ (3 * Identity(DIMS, dtype)))


def sum_after_operator(dtype: np.dtype, xp: ModuleType) -> Functional:
    shape = (2, *DIMS)
    g = L2(b=array(dtype, xp, shape)) + 2 * L2(b=array(dtype, xp, shape, 9))
    return g @ Gradient(DIMS, dtype)


def total(x: Any) -> Any:
    return abs(x).sum()


def energy(x: Any) -> Any:
    return 1.5 * (abs(x) ** 2).sum()


def triple(x: Any) -> Any:
    return 3 * x


def soft(x: Any, t: float) -> Any:
    size = abs(x)
    return x * ((size > t) * (1 - t / (size + (size == 0))))


CASES = [
    simple("functions, a prox", FunctionFunctional, 0.7 * functional(total, prox=soft), "grad", "conj"),
    simple(
        "functions, a gradient",
        FunctionFunctional,
        0.7 * functional(energy, grad=triple, L=3.0),
        "prox",
        "prox_conj",
        "conj",
    ),
    simple("L1", L1, 0.7 * L1(), "grad"),
    simple("L21 of 2-D fields", L21, 0.7 * L21(), "grad", dims=(2, 4, 3)),
    simple("L21 of 3-D fields", L21, L21(3), "grad", dims=(3, 2, 3, 2)),
    simple("zero", Zero, Zero(), "conj"),
    simple("box", Box, Box(-0.25, 0.75), "grad", "complex"),
    simple("half-line", Box, Box(hi=0.5), "grad", "complex"),
    simple("non-negative", NonNegative, NonNegative(), "grad", "complex"),
    simple("L2 of u", L2, 1.5 * L2()),
    FunctionalCase("L2 to b", L2, lambda dtype, xp: 1.5 * L2(b=array(dtype, xp))),
    FunctionalCase("L2 of Au - b", L2, l2_matrix, (12,), lacking("prox", "prox_conj", "conj", "complex")),
    FunctionalCase(
        "L2 of Au",
        L2,
        lambda dtype, xp: L2(Gradient(DIMS, dtype)),
        DIMS,
        lacking("prox", "prox_conj", "conj", "complex"),
    ),
    FunctionalCase(
        "L2 and box",
        L2Box,
        lambda dtype, xp: L2Box(1.5 * L2(b=array(dtype, xp)), Box(-0.25, 0.75)),
        lacks=lacking("grad", "complex"),
    ),
    FunctionalCase(
        "L1 and box", L1Box, lambda dtype, xp: L1Box(0.7 * L1(), Box(-0.25, 0.75)), lacks=lacking("grad", "complex")
    ),
    FunctionalCase(
        "smooth after an operator",
        Composition,
        lambda dtype, xp: 2 * L2(b=array(dtype, xp, (2, *DIMS))) @ Gradient(DIMS, dtype),
        lacks=lacking("prox", "prox_conj", "conj", "complex"),
    ),
    FunctionalCase(
        "sum after an operator", Composition, sum_after_operator, lacks=lacking("prox", "prox_conj", "conj", "complex")
    ),
    FunctionalCase(
        "L21 after the gradient",
        Composition,
        lambda dtype, xp: 2 * L21() @ Gradient(DIMS, dtype),
        lacks=lacking("grad", "prox", "prox_conj", "conj", "complex"),
    ),
    FunctionalCase("smooth sum", Sum, smooth_sum, lacks=lacking("prox", "prox_conj", "conj", "complex")),
    FunctionalCase(
        "sum",
        Sum,
        lambda dtype, xp: 2 * L2(b=array(dtype, xp)) + L1(),
        lacks=lacking("grad", "prox", "prox_conj", "conj"),
    ),
    foreign("L1", lambda dtype, xp: pyproximal.L1(sigma=0.7), "grad"),
    foreign("L2", lambda dtype, xp: pyproximal.L2(b=array(dtype, xp).reshape(-1), sigma=1.5)),
    foreign("box", lambda dtype, xp: pyproximal.Box(-0.25, 0.75), "grad", "complex"),
    foreign("L21", lambda dtype, xp: pyproximal.L21(ndim=2, sigma=0.7), "grad"),
]
