"""Work on a batch of samples: norms and bounds of each, and their shares for several processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.problem.result import Cost
from ipbox.checks import check_count, check_numbers, shown
from ipbox.distributed.ranks import Ranks


def norms(x: Array) -> np.ndarray:
    """‖x_i‖ of every sample, float64.

    Examples
    --------
    >>> norms(np.array([[3.0, 4.0], [0.0, 2.0]]))
    array([5., 2.])
    """
    return np.sqrt(np.asarray(backend.sum_squares(x, True), dtype=np.float64))


def inner(x: Array, y: Array, batch: bool = True) -> Any:
    """Re<x_i, y_i> of every sample, float64; without ``batch`` their sum.

    Examples
    --------
    >>> inner(np.array([[3.0, 4.0], [0.0, 2.0]]), np.ones((2, 2)))
    array([7., 2.])
    """
    return backend.reduce_sum((x.conj() * y).real, batch)


def objective_bound(r: np.ndarray, delta: np.ndarray) -> float:
    """Bound on |‖r̃‖² - ‖r‖²| where |r̃_j - r_j| <= δ_j: Σ_j (2|r̃_j|δ_j + δ_j²).

    Examples
    --------
    >>> objective_bound(np.array([3.0, -4.0]), np.array([0.5, 0.0]))
    3.25
    """
    return float((2.0 * np.abs(r) + delta) @ delta)


def check_each(value: Any, name: str, n: int) -> np.ndarray:
    """A positive number for every sample, or one for all."""
    expected = f"a positive number, or ({n},) of them"
    numbers = check_numbers(value, name, expected)
    if numbers.shape not in ((), (n,)) or not (numbers > 0).all():
        raise ValueError(f"{name} is {shown(value)}; expected {expected}")
    return np.broadcast_to(numbers, (n,)).copy()


def check_jobs(n_jobs: Any, name: str) -> int | Ranks:
    """A number of processes, or ranks of MPI."""
    return n_jobs if isinstance(n_jobs, Ranks) else check_count(n_jobs, name)


def by_processes(solve: Callable[..., Any], lower: LowerLevel, n_jobs: int, **values: Any) -> Any:
    """``solve(lower, **values)``, whose samples are shared by ``n_jobs`` processes.

    Parameters
    ----------
    solve : function
        Gives a dataclass of arrays, the samples along their first axis, and ``cost``.
    lower : LowerLevel
    n_jobs : int
    **values
        Arrays with the samples along their first axis; what has no axes is the same for all.

    Examples
    --------
    >>> import functools
    >>> import ipbox as ip
    >>> from ipbox.bilevel import LowerLevel, Weight, solve_lower
    >>> lower = LowerLevel(None, np.eye(3, 4), Weight(ip.Tikhonov((4,), order=0)))
    >>> by_processes(functools.partial(solve_lower, theta=[-1.0]), lower, 1, accuracy=1e-3).u.shape
    (3, 4)
    """
    if n_jobs == 1 or lower.n == 1:
        return solve(lower, **values)

    def part(i: np.ndarray) -> tuple[LowerLevel, dict[str, Any]]:
        return lower.take(i), {name: v[i] if np.ndim(v) else v for name, v in values.items()}

    import joblib

    found = joblib.Parallel(n_jobs=n_jobs)(
        joblib.delayed(solve)(share, **own)
        for share, own in map(part, np.array_split(np.arange(lower.n), min(n_jobs, lower.n)))
    )
    whole = {}
    for name in (f.name for f in dataclasses.fields(found[0])):
        parts = [getattr(f, name) for f in found]
        whole[name] = sum(parts, Cost()) if name == "cost" else backend.array_module(*parts).concatenate(parts)
    return type(found[0])(**whole)
