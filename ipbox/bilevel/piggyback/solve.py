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
    together, found = max(1, TOGETHER // math.prod(lower.dims)), []
    for first in range(0, lower.n, together):
        i = np.arange(first, min(first + together, lower.n))
        part = lower if len(i) == lower.n else lower.take(i)
        saddle = Saddle(part, theta, truths[i], scale)
        found.append(_until(Iteration(saddle, u[i], p[i], U[i], W[i]), tolerances[:, i], most))
    whole = {}
    for name in (f.name for f in fields(Found)):
        parts = [getattr(f, name) for f in found]
        whole[name] = sum(parts, Cost()) if name == "cost" else _joined(lower, parts)
    return Found(**whole)


def _joined(lower: LowerLevel, parts: list[Array]) -> Array:
    if len(parts) == 1:
        return parts[0]
    return (np if isinstance(parts[0], np.ndarray) else lower.xp).concatenate(parts)


def _until(it: Iteration, tolerances: np.ndarray, most: int) -> Found:
    n, patience = len(it.u), PATIENCE / min(it.saddle.c, 1.0)
    least, since, k = math.inf, 0, 0
    while True:
        known = estimates(it)
        reached = np.stack([known.z_bound, known.upper - known.lower])
        excess = float((reached / tolerances).max())
        if not np.isfinite(reached).all():
            raise FloatingPointError("the piggyback iteration gave NaN or infinity; expected finite data and terms")
        if excess < 0.9 * least:
            least, since = excess, k
        if excess <= 1 or k >= most or k - since > patience:
            break
        for _ in range(min(EVERY, most - k)):
            it.step()
            k += 1
    a = it.saddle.lower.A
    cost = Cost(n * (k + 1.0), n * (k + 1.0), 0.0 if a is None else n * (4.0 * k + 4.0))
    return Found(**vars(known), u=it.u, p=it.p, U=it.U, W=it.W, iterations=np.full(n, k), cost=cost)
