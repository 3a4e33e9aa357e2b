"""PyProximal's operators as functions: copies without a memory of their own, and values that belong to their prox.

Of PyProximal 0.13; `tests/functionals/core/test_foreign.py` shows each of these on PyProximal itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import MethodType
from typing import Any

import numpy as np
import pyproximal
from pyproximal import ProxOperator
from pyproximal.proximal.Simplex import _Simplex
from pyproximal.ProxOperator import _AdjointOperator, _ChainOperator

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import Functional

MEMORY = ("x0", "count")  # what PyProximal changes in a call that a later one depends on
FACTORS = ("tausigma", "cl")  # L2's of its dense matrix, for the last step size
COUNTED = ("sigma", "sigmad", "kappa", "radius")  # functions of that count, where the user gives one
# The value is not that of what the prox minimises.
NO_VALUE = {
    pyproximal.L0: "its threshold is τσ, and σ‖x‖₀ has √(2τσ)",
    pyproximal.Log1: "its prox takes a stationary point, also where 0 is lower",
    pyproximal.QuadraticEnvelopeRankL2: "its distance to M is not squared",
    pyproximal.RED: "x - D(x) is the gradient of <x, x - D(x)>/2 for a few denoisers only",
    _Simplex: "its prox misses the simplex by more than its value allows",
    _AdjointOperator: "PyProximal gives f for f*",
    _ChainOperator: "one prox after the other is the prox of no function that is known",
}
# Their prox or value is another for complex numbers, whose real part alone they order, or none.
REAL_ONLY = (
    pyproximal.Box,
    pyproximal.ETP,
    pyproximal.HalfSpace,
    pyproximal.Intersection,
    pyproximal.Log1,
    pyproximal.Quadratic,
    pyproximal.SCAD,
    _Simplex,
)


class _Huber(pyproximal.Huber):
    """Its own prox jumps at |x| = α, and shrinks too little below α + τ."""

    def prox(self, x: Any, tau: float) -> Any:
        return x * (1 - tau / np.maximum(np.abs(x), tau + self.alpha))


class _L2(pyproximal.L2):
    """Its own iterations end at tolerances, some of them absolute, far above rounding: these end with ``niter``."""

    def prox(self, x: Any, tau: float) -> Any:
        exact = {"atol": 0.0, "btol": 0.0} if self.solver == "legacy" else {"tol": 0.0}
        self.kwargs_solver: dict[str, Any] = exact | vars(self)["kwargs_solver"]
        return super().prox(x, tau)


class _Nuclear(pyproximal.Nuclear):
    """Its own value takes Xᵀ for X*, √ of rounding errors for 0, and sorts the weights another way than its prox."""

    def __call__(self, x: Any) -> float:
        s = _singular_values(x, self.dim)
        return float(np.sum((self.sigma if np.ndim(self.sigma) == 0 else self.sigma[: s.size]) * s))


class _SingularValuePenalty(pyproximal.SingularValuePenalty):
    """The same."""

    def __call__(self, x: Any) -> float:
        return float(self.penalty(_singular_values(x, self.dim)))


class _RelaxedMumfordShah(pyproximal.RelaxedMumfordShah):
    """Its own value takes the minimum of the whole image's norm and κ, where its prox takes that of each pixel."""

    def __call__(self, x: Any) -> float:
        return float(np.sum(np.minimum(self.sigma * np.abs(x) ** 2, self.kappa)))


class _L2Convolve(pyproximal.L2Convolve):
    """Its own prox is that of nfft samples, cut to those of x, where these are fewer."""

    def prox(self, x: Any, tau: float) -> Any:
        n = x.size if self.dims is None else self.dims[self.dir]
        if n != self.nfft:
            raise ValueError(f"pyproximal.L2Convolve has nfft={self.nfft} and x {n} samples; expected the same")
        return super().prox(x, tau)


class _QuadraticEnvelopeCard(pyproximal.QuadraticEnvelopeCard):
    """Its own prox does not depend on τ from 1 on."""

    def prox(self, x: Any, tau: float) -> Any:
        return super().prox(x, _below_one(self, tau))


class _QuadraticEnvelopeCardIndicator(pyproximal.QuadraticEnvelopeCardIndicator):
    """Its own prox thresholds by τ from 1 on."""

    def prox(self, y: Any, tau: float) -> Any:
        return super().prox(y, _below_one(self, tau))


REPAIRED = {
    pyproximal.Huber: _Huber,
    pyproximal.L2: _L2,
    pyproximal.L2Convolve: _L2Convolve,
    pyproximal.Nuclear: _Nuclear,
    pyproximal.QuadraticEnvelopeCard: _QuadraticEnvelopeCard,
    pyproximal.QuadraticEnvelopeCardIndicator: _QuadraticEnvelopeCardIndicator,
    pyproximal.RelaxedMumfordShah: _RelaxedMumfordShah,
    pyproximal.SingularValuePenalty: _SingularValuePenalty,
}


def _singular_values(x: Any, dim: Any) -> Any:
    return np.linalg.svd(x.reshape(dim), compute_uv=False)


def _below_one(op: ProxOperator, tau: float) -> float:
    if tau >= 1:
        raise ValueError(f"the step size of pyproximal.{type(op).__mro__[1].__name__} is {tau:g}; expected less than 1")
    return tau


def parts(op: ProxOperator) -> Iterator[ProxOperator]:
    """``op`` and PyProximal's operators of which it is made."""
    yield op
    for value in vars(op).values():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, ProxOperator) and not isinstance(part, Functional):
                yield from parts(part)


def copied(op: ProxOperator) -> ProxOperator:
    """A copy of ``op`` and its parts, which shares with it what no call changes: arrays, operators, functions."""
    memo = {}
    for part in parts(op):
        for key, value in vars(part).items():
            several = value if isinstance(value, list | tuple) else [value]
            if key not in MEMORY and not any(isinstance(v, ProxOperator | MethodType) for v in several):
                memo[id(value)] = value
    return copy.deepcopy(op, memo)


def repaired(op: ProxOperator) -> ProxOperator:
    """A copy for one call."""
    mine = copied(op)
    for part in parts(mine):
        part.__class__ = REPAIRED.get(type(part), type(part))
    return mine


def call_prox(op: ProxOperator, x: Array, t: float, memory: dict[str, Any], i: int, samples: int) -> Array:
    """The prox at the sample ``i``; ``memory`` has arrays, with the samples as their first axis, from call to call."""
    mine = repaired(op)
    keys = [(f"{name} {j}", part, name) for j, part in enumerate(parts(mine)) for name in MEMORY if name in vars(part)]
    if "calls" in memory and memory["calls"][i]:
        for key, part, name in keys:
            if key in memory:
                setattr(part, name, int(memory[key][i]) if name == "count" else memory[key][i].copy())
    result = mine.prox(x, t)
    left = {key: vars(part)[name] for key, part, name in keys if vars(part)[name] is not None}
    left["calls"] = 1 + int(memory["calls"][i]) if "calls" in memory else 1
    for key, value in left.items():
        value = value if backend.is_array(value) else np.asarray(value)
        if key not in memory or (memory[key].shape, memory[key].dtype) != ((samples, *value.shape), value.dtype):
            memory[key] = backend.array_module(value).zeros((samples, *value.shape), dtype=value.dtype)
        memory[key][i] = value
    for part, own in zip(parts(mine), parts(op), strict=True):  # factors that depend on τ alone
        vars(own).update({name: vars(part)[name] for name in FACTORS if name in vars(part)})
    return result


def why_no_value(op: ProxOperator) -> str | None:
    """Why the value is not that of what the prox minimises, or None."""
    for part in parts(op):
        reason = next((why for cls, why in NO_VALUE.items() if isinstance(part, cls)), None)
        if isinstance(part, pyproximal.Nuclear) and (np.diff(part.sigma if np.ndim(part.sigma) else [0]) < 0).any():
            reason = "its weights decrease, and then the prox is no soft threshold"
        counted = [name for name in COUNTED if callable(vars(part).get(name))]
        if counted:
            reason = f"its {counted[0]} changes with the number of calls"
        if reason is not None:
            return reason
    return None


def is_real_only(op: ProxOperator) -> bool:
    """Whether ``op`` computes something else of complex numbers."""
    return any(isinstance(part, REAL_ONLY) for part in parts(op))
