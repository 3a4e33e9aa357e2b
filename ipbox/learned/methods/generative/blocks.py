"""A proximal gradient step in one block of unknowns, whose length a backtracking search finds for each sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.per_sample import dots, ratio

__all__ = ["descend", "first_length", "own", "relative_move"]

TRIALS, GROW, SHRINK = 60, 2.0, 1.5  # of L, in one block and between the steps


def own(a: np.ndarray, p: Parts) -> Any:
    """Numbers of the samples as a state holds them: an array for a batch, else floats."""
    return a if p.batch is not None else a[0].tolist()


def first_length(g: Array, length: np.ndarray, f: np.ndarray) -> np.ndarray:
    """L for a first step of that length, or by f where ∇f = 0; and 0, the largest that values told of: (n, 2)."""
    size = np.sqrt(backend.sum_squares(g, True))
    by_value = ratio(np.abs(f), length**2)
    L = np.where(size > 0, ratio(size, length), np.where(by_value > 0, by_value, 1.0))
    return np.stack([L, 0 * L], axis=1)


def relative_move(move: Array, to: Array, least: float) -> np.ndarray:
    """‖move‖ relative to ‖to‖, or to ``least`` where that is larger."""
    sizes = [np.sqrt(backend.sum_squares(a, True)) for a in (move, to)]
    return ratio(sizes[0], np.maximum(sizes[1], least))


def descend(
    part: Callable[[Array], np.ndarray],
    prox: Callable[[Array, np.ndarray], Array],
    y: Array,
    f: np.ndarray,
    g: Array,
    lengths: Any,
    k: int,
) -> tuple[Array, np.ndarray, np.ndarray]:
    """prox(y - g/L) with L so large that the function lies below its quadratic model there; its values, and L.

    Where values cannot tell, as the quadratic term is less than their rounding, the largest L is taken that they have
    asked for: else L would shrink without end, and steps with it grow.
    """
    L, top = np.asarray(lengths, dtype=np.float64).reshape(-1, 2).T
    L = first = L if k == 0 else L / SHRINK
    rounding = 32 * float(np.finfo(y.dtype).eps)
    for _ in range(TRIALS):
        new = prox(y - backend.per_sample(1 / L, y) * g, 1 / L)
        move = new - y
        products = dots(g, move, True)
        values = part(new)
        with np.errstate(invalid="ignore"):
            square = 0.5 * L * backend.sum_squares(move, True)
            silent = square <= rounding * np.abs(f)
            fits = (values <= f + products + square + rounding * np.abs(f)) & ~(silent & (L < top))
        if fits.all():
            break
        L = np.where(fits, L, np.where(silent & (L < top), top, GROW * L))
    stay = backend.per_sample((~fits).astype(float), y)
    new = new * (1 - stay) + y * stay if not fits.all() else new
    top = np.where(fits & ~silent & (L > first), np.maximum(top, L), top)
    return new, np.where(fits, values, f), np.stack([L, top], axis=1)
