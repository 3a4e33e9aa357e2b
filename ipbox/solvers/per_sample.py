"""Numbers of a run: floats, or one per sample of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.solvers.core.problem import Parts

TINY = float(np.finfo(np.float32).tiny)


def number(a: Any) -> Any:
    """A float instead of an array without axes."""
    return float(a) if np.ndim(a) == 0 else a


def dots(x: Array, y: Array, batched: bool) -> Any:
    """Re<x, y>, for arrays of samples one for each."""
    return backend.dots(x, y, batched)


def squares(x: Array, p: Parts, term: Any = None) -> Any:
    """‖x‖², x being an image, or data of a ``term``, which ranks may share."""
    return inner(x, x, p, term)


def norms(x: Array, p: Parts, term: Any = None) -> Any:
    """‖x‖, as `squares`."""
    return np.sqrt(squares(x, p, term))


def inner(x: Array, y: Array, p: Parts, term: Any = None) -> Any:
    """Re<x, y>, as `squares`."""
    with shares.shared_by(None if term is None else term.ranks):
        return backend.dots(x, y, p.batch is not None)


def ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where b = 0: there the solution is reached."""
    if np.ndim(b) == 0:
        return 0.0 if b == 0 else a / b  # NaN goes on, to be refused
    return np.divide(a, b, out=np.zeros_like(b), where=b != 0)


def unit_of_step(tau: Any, p: Parts) -> Any:
    """1/(τc), c the typical curvature of the smooth part, at most 1/τ: steps τ that are short for it move less."""
    c = p.smooth.curvature
    return np.maximum(1.0, 1 / (tau * c)) if 0 < c < np.inf else 1.0


def relative_change(x: Array, new: Array, p: Parts) -> Any:
    """‖new - x‖ relative to the larger of ‖x‖ and ‖new‖."""
    return norms(new - x, p) / np.maximum(np.maximum(norms(x, p), norms(new, p)), TINY)
