"""Piggyback iterations of many samples, each until the bounds of its gradient and its objective are small enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.piggyback.errors import Estimates, estimates
from ipbox.bilevel.piggyback.iteration import Iteration
from ipbox.bilevel.piggyback.saddle import Saddle
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.samples import check_each

EVERY = 4  # iterations between two bounds
TOGETHER = 2**13  # pixels of the samples that are iterated together: their fields stay in the cache
PATIENCE = 60  # iterations of the contraction e^{-c}, after which bounds have to have fallen: else rounding rules


@dataclass
class Found(Estimates):
    """`Estimates` with the iterate (u, p, U, W), the ``iterations`` (n,) of every sample and their cost."""

    u: Array
    p: Array
    U: Array
    W: Array
    iterations: np.ndarray
    cost: Cost


def iterate(
    lower: LowerLevel,
    theta: np.ndarray,
    scale: float,
    truths: Array,
    u: Array,
    p: Array,
    U: Array,
    W: Array,
    z_bound: float | np.ndarray,
    width: float | np.ndarray,
    most: int,
) -> Found:
    """Piggyback iterations from (u, p, U, W), which are kept.

    Parameters
    ----------
    lower : LowerLevel
    theta : array, shape (p,)
    scale : float
    truths, u, p, U, W : array
        The samples along the first axis; see `Saddle` and `Iteration`.
    z_bound, width : float or array of shape (n,)
        Every sample is iterated until the bound of its gradient, and the difference of the bounds of its objective, are
        at most this; maybe infinite.
    most : int
        At most so many iterations.

    Returns
    -------
    Found
        Where rounding allows no more, or after ``most`` iterations, its bounds are larger.

    Raises
    ------
    FloatingPointError
        where the iteration gives NaN.
    """
    tolerances = np.stack([check_each(z_bound, "z_bound", lower.n), check_each(width, "width", lower.n)])
    together, pieces = max(1, TOGETHER // math.prod(lower.dims)), []
    for first in range(0, lower.n, together):
        i = np.arange(first, min(first + together, lower.n))
        saddle = Saddle(lower.take(i), theta, truths[i], scale)
        pieces += _until(Iteration(saddle, u[i], p[i], U[i], W[i]), i, tolerances, most)
    order, whole = np.argsort(np.concatenate([i for i, _ in pieces])), {}
    for name in (f.name for f in fields(Found)):
        parts = [getattr(found, name) for _, found in pieces]
        if name == "cost":
            whole[name] = sum(parts, Cost())
        else:
            whole[name] = (np if isinstance(parts[0], np.ndarray) else lower.xp).concatenate(parts)[order]
    return Found(**whole)


def _until(it: Iteration, samples: np.ndarray, tolerances: np.ndarray, most: int) -> list[tuple[np.ndarray, Found]]:
    """Each of the samples until its own tolerances, so that it does not matter which of them are iterated together."""
    least, since, k, pieces = np.full(len(samples), math.inf), np.zeros(len(samples), dtype=int), 0, []
    patience = PATIENCE / min(it.saddle.c, 1.0)
    while True:
        known = estimates(it)
        reached = np.stack([known.z_bound, known.upper - known.lower])
        if not np.isfinite(reached).all():
            raise FloatingPointError("the piggyback iteration gave NaN or infinity; expected finite data and terms")
        excess = (reached / tolerances[:, samples]).max(axis=0)
        better = excess < 0.9 * least
        least, since = np.where(better, excess, least), np.where(better, k, since)
        ended = (excess <= 1) | (k - since > patience) | (k >= most)
        if ended.any():
            pieces.append((samples[ended], _found(known, it, np.flatnonzero(ended), k)))
            left = np.flatnonzero(~ended)
            if not left.size:
                return pieces
            it, samples, least, since = it.take(left), samples[left], least[left], since[left]
        for _ in range(min(EVERY, most - k)):
            it.step()
            k += 1


def _found(known: Estimates, it: Iteration, i: np.ndarray, k: int) -> Found:
    per_step = 0.0 if it.saddle.lower.A is None else 4.0
    cost = Cost(len(i) * (k + 1.0), len(i) * (k + 1.0), per_step * len(i) * (k + 1.0))
    own = {name: values[i] for name, values in vars(known).items()}
    iterate = {"u": it.u[i], "p": it.p[i], "U": it.U[i], "W": it.W[i]}
    return Found(**own, **iterate, iterations=np.full(len(i), k), cost=cost)
