"""What tells one solve from another: its solver's settings, and numbers of its operator, data and terms.

A state that goes on keeps residuals, step sizes and samples; with other data or another operator they are wrong, and
nothing in them tells.  The numbers are those of random images, compared up to rounding, so that a run may go on on
another machine.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ipbox import backend, scratch
from ipbox.backend import Array
from ipbox.functionals import Functional
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.operators import Operator
from ipbox.operators.core.norms import library
from ipbox.solvers.core.problem import Problem

SIZES = (1e-6, 1.0, 1e6)  # of the random images: thresholds may be of any size


class Made:
    """The problem and the solver that a state is of; what is compared is computed once, when it is asked for.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.solvers.core.fingerprint import Made
    >>> a, b = (Made(ip.Problem(ip.L2(b=np.array(v))), ip.CGLS()) for v in ([1.0, 2.0], [1.0, 3.0]))
    >>> a.difference(a), a.difference(b)
    (None, 'data of L2')
    """

    def __init__(self, problem: Problem | None, solver: Any, known: dict[str, Any] | None = None) -> None:
        self.problem, self.solver, self._known = problem, solver, known
        self.eps = None if problem is None else float(np.finfo(problem.dtype).eps)

    def numbers(self) -> dict[str, Any]:
        """Text and numbers, as JSON has them, under the names of what they are of."""
        if self._known is None:
            assert self.problem is not None, "what is known is told without a problem"
            self._known = {**of_solver(self.solver), **self.solver.told(self.problem), **of_problem(self.problem)}
        return self._known

    def difference(self, other: Made) -> str | None:
        """The name of the first thing in which the two differ, or None; ``other`` has its problem."""
        if self.problem is other.problem and self.solver is other.solver:
            return None
        mine, theirs = self.numbers(), other.numbers()
        names = [*theirs, *(name for name in mine if name not in theirs)]
        assert other.eps is not None, "other has its problem"
        rtol = other.eps**0.5
        return next(
            (n for n in names if n not in mine or n not in theirs or not _equal(mine[n], theirs[n], rtol)), None
        )

    def __deepcopy__(self, memo: Any) -> Made:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Made, (None, None, self.numbers())


def of_solver(solver: Any) -> dict[str, Any]:
    """The settings of a solver, and of those it holds."""
    return {f"setting {field.name}": _described(vars(solver)[field.name]) for field in dataclasses.fields(solver)}


def of_problem(problem: Problem) -> dict[str, Any]:
    """Numbers of every term."""
    names = [f.name for f in problem.terms]
    numbers: dict[str, Any] = {
        "objective": [
            *(type(f).__name__ for f in problem.terms),
            str(problem.batch),
            str(sorted(problem.roles.items())),
        ]
    }
    v = random(0, problem.shape, backend.real_dtype(problem.dtype), problem.xp)
    v = problem.xp.abs(v, out=v).astype(problem.dtype, copy=False)
    for i, (f, name) in enumerate(zip(problem.terms, names, strict=True)):
        label = name if names.count(name) == 1 else f"{name} ({i})"
        if isinstance(f, Fidelity) and f.A is not None:
            numbers[f"operator of {label}"] = of_array(f.A.apply(v), f.A.dtype_out)
        if isinstance(f, Fidelity) and f.b is not None:
            lone = problem.batch is None or (f.A is not None and f.b.ndim == len(f.A.dimsd))
            numbers[f"data of {label}"] = [of_array(b, b.dtype) for b in ([f.b] if lone else f.b)]
        numbers[f"term {label}"] = [f.weight, *_of_term(f, v, problem.batch is not None)]
    return numbers


def _of_term(f: Functional, v: Array, batched: bool) -> list[Any]:
    """Values of the term, or, where it has none to tell, sizes of what its prox gives."""
    numbers: list[Any] = []
    for size in SIZES:
        u = scratch.copied(v)
        u *= size
        value = np.atleast_1d(f.value(u, batched)) if f.explicit else np.array([np.nan])
        if np.isfinite(value).all() and value.any():
            numbers.append(value.astype(float).tolist())
        elif f.has_prox and (f.explicit or size == 1.0):
            numbers.append([backend.norm(f.prox(u, size, out=u))])
    return numbers


def of_array(a: Array, dtype: Any) -> list[float]:
    """‖a‖ and Re<w, a> for a random w."""
    xp = backend.array_module(a)
    return [backend.norm(a), backend.dot(random(1, a.shape, np.dtype(dtype), xp), a)]


def random(seed: int, shape: tuple[int, ...], dtype: np.dtype, xp: Any) -> Array:
    real = backend.real_dtype(dtype)
    v = scratch.zeros(shape, real, xp)
    backend.generator(seed, like=xp).standard_normal(dtype=real, out=v)
    return v.astype(dtype, copy=False)


def _described(value: Any) -> Any:
    """A setting as text and numbers."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if backend.is_array(value):
        same = value.astype(np.result_type(value.dtype, np.float32), copy=False)
        return [str(value.shape), *of_array(same, same.dtype)]
    if isinstance(value, Operator):
        v = random(0, tuple(value.dims), value.dtype_in, backend.as_module(library(value)))
        return [type(value).__name__, *of_array(value.apply(v), value.dtype_out)]
    if isinstance(value, list | tuple):
        return [_described(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, *(_described(vars(value)[field.name]) for field in dataclasses.fields(value))]
    return type(value).__name__


def _equal(a: Any, b: Any, rtol: float) -> bool:
    """The same text, and numbers that differ by rounding relative to the largest of their list."""
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return False
        if all(isinstance(v, float) for v in (*a, *b)):
            return bool(np.allclose(a, b, rtol=0.0, atol=rtol * float(np.max(np.abs([*a, 0.0]))), equal_nan=True))
        return all(_equal(v, w, rtol) for v, w in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return _equal([a], [b], rtol)
    return type(a) is type(b) and a == b
