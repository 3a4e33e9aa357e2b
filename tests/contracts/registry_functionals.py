"""Every functional class with cases on any device, and what each of them cannot do, with the error it raises."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pyproximal
import pytest

from ipbox.functionals import (
    L1,
    L2,
    L21,
    TV,
    Box,
    Composition,
    Functional,
    L2Box,
    NonNegative,
    PyProximalFunctional,
    Sum,
    Zero,
    as_functional,
)
from ipbox.operators import Gradient, Identity, as_operator

DIMS = (4, 3)
FLOAT64 = np.dtype("float64")


@dataclass(frozen=True)
class FunctionalCase:
    """A way to make a functional of class ``cls`` on images of shape ``dims``.

    ``lacks`` lists what it cannot do, with the error: of ``grad``, ``prox``, ``prox_conj``, ``conj`` and ``complex``
    (images).  ``inexact``: its prox is iterative, with a relative error of so much.
    """

    name: str
    cls: type[Functional]
    make: Callable[[np.dtype, ModuleType], Functional]
    dims: tuple[int, ...] = DIMS
    lacks: dict[str, type[Exception]] = field(default_factory=dict, hash=False)
    inexact: Callable[[np.dtype, ModuleType], float] = lambda dtype, xp: 0.0

    def __repr__(self) -> str:
        return self.name

    def can(self, what: str) -> bool:
        return what not in self.lacks


def array(dtype: Any, xp: ModuleType, shape: tuple[int, ...] = DIMS, seed: int = 7) -> Any:
    return xp.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def lacking(*names: str) -> dict[str, type[Exception]]:
    return dict.fromkeys(names, TypeError)


def accuracy(dtype: np.dtype, xp: ModuleType) -> float:
    """What is asked of TV's prox; little on the device, where Python threads may simulate those of a GPU."""
    if xp is not np:
        return 0.03
    return 1e-3 if dtype == np.float32 else 1e-6


def tv(name: str, dims: tuple[int, ...] = DIMS, **options: Any) -> FunctionalCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        return 0.3 * TV(dims, accuracy=accuracy(dtype, xp), niter=20_000, **options)

    return FunctionalCase(f"TV {name}", TV, make, dims, lacking("grad", "conj", "complex"), accuracy)


def foreign(name: str, op: Callable[[np.dtype, ModuleType], Any], *lacks: str) -> FunctionalCase:
    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        return as_functional(op(dtype, xp))

    return FunctionalCase(f"pyproximal {name}", PyProximalFunctional, make, lacks=lacking("conj", *lacks))


def simple(
    name: str, cls: type[Functional], f: Functional, *lacks: str, dims: tuple[int, ...] = DIMS
) -> FunctionalCase:
    return FunctionalCase(name, cls, lambda dtype, xp: f, dims, lacking(*lacks))


def l2_matrix(dtype: np.dtype, xp: ModuleType) -> Functional:
    return 0.5 * L2(as_operator(array(dtype, xp, (9, 12))), array(dtype, xp, (9,)))


def smooth_sum(dtype: np.dtype, xp: ModuleType) -> Functional:
    b, c = array(dtype, xp), array(dtype, xp, seed=8)
    return 2 * L2(b=b) + 0.5 * (L2(b=c) @ (3 * Identity(DIMS, dtype)))


def sum_after_operator(dtype: np.dtype, xp: ModuleType) -> Functional:
    shape = (2, *DIMS)
    g = L2(b=array(dtype, xp, shape)) + 2 * L2(b=array(dtype, xp, shape, 9))
    return g @ Gradient(DIMS, dtype)


CASES = [
    simple("L1", L1, 0.7 * L1(), "grad"),
    simple("L21 of 2-D fields", L21, 0.7 * L21(), "grad", dims=(2, 4, 3)),
    simple("L21 of 3-D fields", L21, L21(3), "grad", dims=(3, 2, 3, 2)),
    simple("zero", Zero, Zero(), "conj"),
    simple("box", Box, Box(-0.25, 0.75), "grad", "complex"),
    simple("half-line", Box, Box(hi=0.5), "grad", "complex"),
    simple("non-negative", NonNegative, NonNegative(), "grad", "complex"),
    simple("L2 of u", L2, 1.5 * L2()),
    FunctionalCase("L2 to b", L2, lambda dtype, xp: 1.5 * L2(b=array(dtype, xp))),
    FunctionalCase(
        "L2 of Au - b",
        L2,
        l2_matrix,
        (12,),
        lacking("prox", "prox_conj", "conj", "complex"),
    ),
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
    tv("isotropic"),
    tv("anisotropic", isotropic=False),
    tv("of a row", (1, 7)),
    tv("3-D", (3, 2, 2)),
    tv("3-D anisotropic", (2, 3, 2), isotropic=False),
    FunctionalCase(
        "smooth after an operator",
        Composition,
        lambda dtype, xp: 2 * L2(b=array(dtype, xp, (2, *DIMS))) @ Gradient(DIMS, dtype),
        lacks=lacking("prox", "prox_conj", "conj", "complex"),
    ),
    FunctionalCase(
        "sum after an operator",
        Composition,
        sum_after_operator,
        lacks=lacking("prox", "prox_conj", "conj", "complex"),
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
    foreign("box", lambda dtype, xp: pyproximal.Box(-0.25, 0.75), "grad"),
    foreign("L21", lambda dtype, xp: pyproximal.L21(ndim=2, sigma=0.7), "grad"),
]


@functools.cache
def make(case: FunctionalCase, dtype: np.dtype, xp: ModuleType) -> Functional:
    """One functional for all tests of a case: functionals are immutable."""
    return case.make(dtype, xp)


def with_(*abilities: str):
    """Parametrise over the cases that have all ``abilities``."""
    cases = [case for case in CASES if all(case.can(a) for a in abilities)]
    return pytest.mark.parametrize("case", cases, ids=repr)


def domain(f: Functional, x: Any) -> Any:
    """A point where f is finite: x, or its projection."""
    return x if math.isfinite(f.value(x)) else f.prox(x, 1.0)
