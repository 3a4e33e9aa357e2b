"""Certified norms of operators with non-negative entries."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend, scratch
from ipbox.operators.core.base import Operator


def nonnegative_norm(op: Operator, bound: float = math.inf, steps: int = 200, close: float = 1.02) -> tuple[float, str]:
    r"""||A|| of an operator whose matrix has no negative entry, as (value, "bound") or (value, "estimate").

    .. math:: \|A\|^2 = λ_{max}(A^* A) \le \max_i (A^* A v)_i / v_i, \quad v > 0

    (Collatz and Wielandt), v from the power iteration on the host, until the bound is within ``close`` of
    ||A v||/||v||, the norm from below.  Where that is not reached, an estimate.

    Parameters
    ----------
    op : Operator
        Real, in float64, for host arrays.
    bound : float
        A bound known beforehand.
    steps : int
        Most power iterations.
    close : float
        Ratio of the two that is good enough.
    """
    lower, v = 0.0, np.ones(tuple(op.dims))
    for _ in range(steps):
        y = op.apply(v)
        lower = max(lower, float(np.linalg.norm(y) / np.linalg.norm(v)))
        if bound <= close * lower or lower == 0.0:
            break
        w = op.apply_adjoint(y)
        bound = min(bound, math.sqrt(float((w / v).max())))
        v = np.maximum(w / w.max(), 1e-6)  # any v > 0 gives a bound
    return certified(bound, lower)


def certified(bound: float, lower: float) -> tuple[float, str]:
    """The upper bound where it is close to the value from below; else an estimate a little above that."""
    if lower == 0.0:  # v > 0 and A v = 0, or as good as that: A is zero
        return 0.0, "exact"
    if bound <= 1.04 * lower:
        return bound * (1 + 1e-7), "bound"  # room for rounding
    return 1.02 * lower, "estimate"


def collatz_wielandt(A: Operator, rtol: float = 0.03, steps: int = 500) -> float:
    """‖A*A‖ <= max_i (A*A x)_i / x_i for a non-negative matrix A and every x > 0 on the pixels that A sees.

    x follows the power iteration from ones.  The Rayleigh quotient bounds ‖A*A‖ from below: it ends when the two are
    within ``rtol``.  Sums of non-negative terms have a small relative error, for which the bound leaves room.
    """
    x, y = (scratch.zeros(tuple(A.dims), A.dtype_in) for _ in range(2))
    x += 1
    A.apply_adjoint(A.apply(x), out=y)
    if not y.any():
        return 0.0
    terms = 2 * max(A.dims) + 2 * A.dimsd[0]
    room = 1 + terms * float(np.finfo(A.dtype_in).eps)
    best = math.inf
    for _ in range(steps):
        best = min(best, _largest_ratio(y, x))
        if best <= (1 + rtol) * backend.dot(x, y) / backend.dot(x, x):
            break
        np.divide(y, y.max(), out=x)
        A.apply_adjoint(A.apply(x), out=y)
    return best * room


def _largest_ratio(y: np.ndarray, x: np.ndarray) -> float:
    """max_i y_i / x_i where x > 0: parts that no ray connects to the rest may fade away."""
    most, (x, y) = 0.0, (a.reshape(-1) for a in (x, y))
    for start in range(0, x.size, backend.BLOCK):
        u, v = x[start : start + backend.BLOCK], y[start : start + backend.BLOCK]
        seen = u > np.finfo(x.dtype).tiny
        if seen.any():
            most = max(most, float((v[seen] / u[seen]).max()))
    return most
