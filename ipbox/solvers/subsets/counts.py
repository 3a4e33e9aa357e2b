"""What methods for Poisson counts share: sensitivities, the mean activity, ratios of counts and their means."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import KL
from ipbox.operators import MatrixOperator, RayTransform
from ipbox.solvers.per_sample import TINY
from ipbox.solvers.subsets.ordered import SplitParts
from ipbox.warning import warn

_SMALLEST = 1e-30  # of the largest count: a mean below is read as this, which keeps b/(Au + r) finite


def smallest_mean(p: SplitParts) -> float:
    """What a mean is at least, for `count_ratio`."""
    return max(_SMALLEST * float(p.problem.D.b.max()), TINY)


def count_ratio(f: KL, x: Array, floor: float, out: Array) -> None:
    """out <- b/(Ax + r), on the mask."""
    f.operator.apply(x, out=out)
    out += f.background
    xp = backend.array_module(out)
    xp.maximum(out, floor, out=out)
    xp.divide(f.b, out, out=out)
    if f.mask is not None:
        out *= f.mask


def mean_activity(p: SplitParts, sensitivity: Array) -> Any:
    """The value of the constant image with the counts b - r, 1 where there are none: a float, or one per sample."""
    D, batched = p.problem.D, p.batch is not None
    counts = D.b if D.mask is None else D.b * D.mask
    signal = p.xp.maximum(D.b - D.background, 0) if D.mask is None else p.xp.maximum(D.b - D.background, 0) * D.mask
    sums = [np.maximum(np.asarray(backend.reduce_sum(v, batched)), 0) for v in (signal, counts, sensitivity)]
    level = np.where(sums[0] > 0, sums[0], sums[1]) / np.where(sums[2] > 0, sums[2], 1)
    level = np.where(level > 0, level, 1.0)
    return level if batched else float(level)


def tell_negative(A: Any, who: str) -> None:
    """Warn of weights that are known to be negative in part, where ratios of counts and means may change sign."""
    if isinstance(A, RayTransform | MatrixOperator) and not A.nonnegative:
        instead = "ip.JosephTransform of the same views" if isinstance(A, RayTransform) else "a matrix without them"
        warn(
            f"A is {A.name}, which has negative weights, with which {who} may diverge; expected {instead}",
            RuntimeWarning,
        )


def sensitivity(p: SplitParts, f: KL) -> Array:
    """A* 1 (on the mask), with an axis of length 1, or one for each sample, in a batch.

    Raises
    ------
    ValueError
        where it is negative, by more than rounding.
    """
    ones = p.xp.ones(tuple(f.operator.dimsd), dtype=p.problem.dtype)
    v = f.operator.apply_adjoint(ones if f.mask is None else ones * f.mask)
    if (least := float(v.min())) < -1e-4 * float(abs(v).max()):
        name = f.operator.name
        raise ValueError(f"A is {name}, whose columns have sums down to {least:g}; expected one without negatives")
    return v[None] if p.batch is not None and v.ndim == len(f.operator.dims) else v
