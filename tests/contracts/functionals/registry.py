"""Every functional class with cases on any device, and what each of them cannot do, with the error it raises."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox.functionals import TV, Functional, PyProximalFunctional, as_functional
from tests.contracts.support import listed

DIMS = (4, 3)
FLOAT64 = np.dtype("float64")


@dataclass(frozen=True)
class FunctionalCase:
    """A way to make a functional of class ``cls`` on images of shape ``dims``.

    ``lacks`` lists what it cannot do, with the error: of ``grad``, ``prox``, ``prox_conj``, ``conj`` and ``complex``
    (images).  ``inexact``: its prox is iterative, with a relative error of so much.  ``smooth_on`` maps points to where
    its L holds.
    """

    name: str
    cls: type[Functional]
    make: Callable[[np.dtype, ModuleType], Functional]
    dims: tuple[int, ...] = DIMS
    lacks: dict[str, type[Exception]] = field(default_factory=dict, hash=False)
    inexact: Callable[[np.dtype, ModuleType], float] = lambda dtype, xp: 0.0
    convex: bool = True  # and known to be
    costly: bool = False  # its value is a minimum that is computed: fewer points are tried
    smooth_on: Callable[[Any], Any] = lambda x: x

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


@functools.cache
def cases() -> list[FunctionalCase]:
    """The lists ``CASES`` of the files beside this one."""
    return listed("functionals")


@functools.cache
def make(case: FunctionalCase, dtype: np.dtype, xp: ModuleType) -> Functional:
    """One functional for all tests of a case: functionals are immutable."""
    return case.make(dtype, xp)


def with_(*abilities: str):
    """Parametrise over the cases that have all ``abilities``."""
    able = [case for case in cases() if all(case.can(a) for a in abilities)]
    return pytest.mark.parametrize("case", able, ids=repr)


def domain(f: Functional, x: Any) -> Any:
    """A point where f is finite: x, or its projection."""
    return x if math.isfinite(f.value(x)) else f.prox(x, 1.0)
