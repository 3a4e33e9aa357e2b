"""Attainable accuracy: where a gradient is nothing but rounding, steps add nothing but noise, and no bound on it.

A recurred gradient goes on to fall where the true one has stopped; where A is rank-deficient and b lies outside its
range, what is left of it points into the null space, and the next step may be as long as 1/eps.  Near that point the
gradient is computed anew, the best image is kept, and the run ends with it.

Not so for least squares with a term that damps every direction, μ > 0: there the gradient that is recurred is that of
data off by a rounding, which moves the image by at most eps ‖b‖/(2√μ), while the gradient that is computed has a
rounding of its own, and steps that still help would be taken for noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.solvers.core.protocol import Parts, State
from ipbox.solvers.per_sample import norms, number

NEAR = 30.0  # times rounding: from there on the gradient is computed
NOISE = 4.0  # times rounding: there it is nothing else; and the factor by which recurred and computed may differ
PATIENCE = 10  # steps without a smaller computed gradient


def start(p: Parts, s: State, direction: Any) -> None:
    """What is watched: ``size``, the largest ‖Ad‖/‖d‖ so far, and the best of the gradients that were computed.

    ``length`` bounds ‖u‖, and ``direction`` is ‖d‖, both moved along with the numbers of the method: a norm of an image
    is read from the device only where the bound says that the end may be near.
    """
    zero = 0.0 if p.batch is None else np.zeros(p.batch)
    s.length, s.direction = norms(s.x, p), direction
    s.size, s.waited, s.best, s.least = zero + 0.0, zero + 0.0, None, zero + np.inf
    s.ended = False if p.batch is None else np.zeros(p.batch, dtype=bool)


def move(s: State, step: Any, turn: Any, gradient: Any) -> None:
    """Of u + αd and d ← g + βd, where g is orthogonal to d: ‖u‖ + |α|‖d‖, and (‖g‖² + β²‖d‖²)^½."""
    s.length = number(s.length + np.abs(step) * s.direction)
    s.direction = number(np.hypot(gradient, turn * s.direction))


def watch(
    p: Parts, s: State, level: Callable[[], Any], noise: Callable[[], Any], exhausted: Any = False, mu: float = 0.0
) -> None:
    """End samples whose gradient, ``s.gradient``, cannot become smaller, with the best image.

    ``level`` is the size of what the gradient is a difference of, in which it is accurate to eps; ``noise`` the part of
    it that no step takes away.  Samples that are ``exhausted`` have no direction left.  ``mu`` is the least curvature,
    of least squares.
    """
    eps = float(np.finfo(backend.real_dtype(s.x.dtype)).eps)
    running = ~np.asarray(s.ended) & (np.asarray(s.gradient0) > 0)  # at a start that is a minimiser nothing moves
    if not np.any(running & ((s.gradient <= NEAR * eps * level()) | exhausted)):
        return
    s.length = norms(s.x, p)
    near = running & ((s.gradient <= NEAR * eps * level()) | exhausted)
    if not near.any():
        return
    if mu > (eps * float(np.max(s.size))) ** 2:
        ends = near & ((s.gradient <= NOISE * eps * noise()) | exhausted)
        s.ended = np.asarray(s.ended) | ends if p.batch is not None else bool(s.ended or ends)
        return
    recurred, computed = s.gradient, norms(p.smooth.grad(s.x), p)
    better = near & (computed < s.least)
    if s.best is None:
        s.best = s.x.copy()
    _write(p, s.best, s.x, better)
    s.least = number(np.where(better, computed, s.least))
    s.waited = number(np.where(better, 0.0, s.waited + near))
    apart = (computed > NOISE * recurred) | (s.waited >= PATIENCE)
    ends = near & ((recurred <= NOISE * eps * noise()) | apart | exhausted)
    _write(p, s.x, s.best, ends)
    s.gradient = number(np.where(ends, s.least, np.where(near, np.maximum(computed, recurred), recurred)))
    s.ended = np.asarray(s.ended) | ends if p.batch is not None else bool(s.ended or ends)


def scale(s: State, quotient: Any) -> None:
    """Take ‖A d‖/‖d‖, or another bound from below, into the estimate of ‖A‖."""
    s.size = number(np.maximum(s.size, quotient))


def running(s: State, step: Any) -> Any:
    """``step``, and 0 for samples that have ended."""
    return number(np.where(s.ended, 0.0, step))


def _write(p: Parts, target: Any, source: Any, chosen: Any) -> None:
    if p.batch is None:
        if chosen:
            target[...] = source
    else:
        for i in np.flatnonzero(chosen):
            target[i] = source[i]
