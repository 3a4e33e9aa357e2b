"""Conjugate gradients: the one iteration behind `CG`, `CGLS` and the inner linear systems.

Unknowns, residuals and directions are lists of arrays, ``blocks``; numbers are floats, or one per sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.per_sample import dots, number, ratio

Blocks = list[Array]
Apply = Callable[[Blocks, Blocks], None]


def inner_blocks(x: Blocks, y: Blocks, batched: bool) -> Any:
    """Σ Re<x_i, y_i>."""
    return sum(dots(a, b, batched) for a, b in zip(x, y, strict=True))


def descend(alpha: Any, x: Blocks, d: Blocks, r: Blocks, q: Blocks) -> None:
    """x ← x + αd, r ← r - αq, q being what the operator makes of d."""
    for a, b in zip(x, d, strict=True):
        backend.axpy(alpha, b, a)
    for a, b in zip(r, q, strict=True):
        backend.axpy(-alpha, b, a)


def turn(beta: Any, d: Blocks, g: Blocks) -> None:
    """d ← g + βd."""
    for a, b in zip(d, g, strict=True):
        a *= backend.per_sample(beta, a)
        a += b


def advance(
    x: Blocks, r: Blocks, d: Blocks, q: Blocks, gamma: Any, batched: bool, curvature: Any = None, running: Any = True
) -> Any:
    """One iteration for Mx = b, where q = Md, r = b - Mx and γ = ‖r‖²; the new γ.

    α = γ/<d, q>, x ← x + αd, r ← r - αq, d ← r + βd with β = ‖r_new‖²/‖r‖²; samples that are not ``running`` stay.
    """
    curvature = inner_blocks(d, q, batched) if curvature is None else curvature
    descend(number(np.where(running, ratio(gamma, curvature), 0.0)), x, d, r, q)
    new = inner_blocks(r, r, batched)
    turn(number(np.where(running, ratio(new, gamma), 0.0)), d, r)
    return number(np.where(running, new, gamma))


def solve_definite(
    apply: Apply,
    x: Blocks,
    r: Blocks,
    d: Blocks,
    q: Blocks,
    tolerance: Any,
    most: int,
    batched: bool,
    take: Callable[[np.ndarray], Apply] | None = None,
) -> None:
    """Mx = b from x and r = b - Mx, in place, until ‖r‖ <= ``tolerance`` (one per sample); ``apply(d, q)``: q ← Md.

    Samples that are done stand still, so that a batch gives what its samples give alone.  Where ``take`` gives the
    ``apply`` of some samples, by their numbers, those that are done leave the batch: r and d are then not kept.
    """
    for a, b in zip(d, r, strict=True):
        a[...] = b
    gamma, whole, samples = inner_blocks(r, r, batched), x, None
    for _ in range(most):
        running = gamma > np.square(tolerance)
        if not np.any(running):
            break
        if take is not None and not np.all(running):
            _put(x, whole, samples)
            left = np.flatnonzero(running)
            samples = left if samples is None else samples[left]
            x, r, d, q = ([a[left] for a in blocks] for blocks in (x, r, d, q))
            gamma, tolerance, running, apply = gamma[left], np.asarray(tolerance)[left], running[left], take(samples)
        apply(d, q)
        gamma = advance(x, r, d, q, gamma, batched, running=running)
    _put(x, whole, samples)


def _put(x: Blocks, whole: Blocks, samples: np.ndarray | None) -> None:
    """Write what belongs to some samples, unless all are there."""
    if samples is not None:
        for a, b in zip(whole, x, strict=True):
            a[samples] = b
