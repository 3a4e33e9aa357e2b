"""Weights of readings, or of the views they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_no_picture
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.operators.core.weighted import weigh


def check_weights(weights: Any, dimsd: tuple[int, ...]) -> np.ndarray:
    """w >= 0 in the shape of the data, float64 on the host, of one for each reading or each entry of the first axis.

    Raises
    ------
    TypeError, ValueError
        for what is no array of bool or real numbers, another shape, and weights that are negative, not finite or all 0.
    """
    backend.check_array(weights, "weights", "a NumPy or CuPy array")
    if weights.dtype.kind not in "bfiu":
        raise TypeError(f"weights has dtype {weights.dtype}; expected bool or real numbers")
    if weights.shape not in (dimsd, dimsd[:1]):
        per_view = f", or {dimsd[:1]} with one for each view" if len(dimsd) > 1 else ""
        raise ValueError(f"weights has shape {weights.shape}; expected that of the data, {dimsd}{per_view}")
    w = check_no_picture(backend.to_host(weights), "weights").astype(np.float64)
    if not np.isfinite(w).all() or w.min() < 0 or not w.any():
        raise ValueError(f"weights reach from {w.min():g} to {w.max():g}; expected finite ones, at least 0, not all 0")
    return np.array(np.broadcast_to(w.reshape(w.shape + (1,) * (len(dimsd) - w.ndim)), dimsd))


def weighted(A: Any, b: Array, weights: Any, power: float = 0.5) -> tuple[Any, Array]:
    """diag(w^power) A and w^power b; A and b where there are no weights."""
    if weights is None:
        return A, b
    check_fits(A, check_data(b))
    s = (check_weights(weights, tuple(A.dimsd)) ** power).astype(backend.real_dtype(A.dtype_out))
    return weigh(A, s), b * backend.array_module(b).asarray(s)
