"""The simplex and the L1 ball: projections by sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals.core.base import REAL_DTYPES
from ipbox.functionals.core.images import ConvexSet, Vectors, room


class Simplex(ConvexSet):
    """The indicator of {u >= 0, Σ u = s}, over all pixels or along some axes.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    total : float
        s > 0.
    axis : int or tuple of int, optional
        Axes over which the sum is taken, one simplex for each index of the others: labels of a segmentation, or
        materials.  By default all pixels together.

    Notes
    -----
    The projection is max(x - θ, 0) with the θ that gives the sum s, found by sorting; f*(y) = s max y.  A point is in
    the set where its sum is s up to rounding.

    Raises
    ------
    ValueError
        for a total that is not positive, or an axis that the image has not.
    TypeError
        for complex images.

    References
    ----------
    Held, Wolfe and Crowder, Validation of subgradient optimization, Math. Program. 6 (1974).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.Simplex((3,)).prox(np.array([1.0, 0.5, -2.0]), 1.0)
    array([0.75, 0.25, 0.  ])
    """

    _form = "ι({u} ≥ 0, Σ{u} = {f.total:g})"
    dtypes = REAL_DTYPES
    finite_conj = True

    def __init__(self, dims: tuple[int, ...], total: float = 1.0, axis: Any = None) -> None:
        super().__init__(dims)
        self.total, self.vectors = check_positive(total, "total"), Vectors(self.dims, axis)

    def _inside(self, z: Array) -> Array:
        v = self.vectors.of(z)
        error = abs(v.sum(axis=-1, dtype=np.float64) - self.total)
        return (error <= room(z, self.vectors.length) * self.total).all(axis=1) & (v >= 0).all(axis=(1, 2))

    def _project(self, z: Array) -> Array:
        return self.vectors.images(shrink_to(self.vectors.of(z), self.total)[0])

    def _support(self, z: Array) -> np.ndarray:
        return self.total * backend.reduce_sum(self.vectors.of(z).max(axis=-1), True)


class L1Ball(ConvexSet):
    """The indicator of ‖u‖₁ <= r, over all pixels or along some axes; real or complex.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    radius : float
        r > 0.
    axis : int or tuple of int, optional
        Axes over which the norm is taken, one ball for each index of the others; by default all pixels together.

    Notes
    -----
    The projection is a soft threshold, at 0 inside the ball and else where the norm becomes r, found by sorting;
    f*(y) = r max|y|.

    Raises
    ------
    ValueError
        for a radius that is not positive, or an axis that the image has not.

    References
    ----------
    Duchi, Shalev-Shwartz, Singer and Chandra, Efficient projections onto the l1-ball, ICML 2008.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.L1Ball((2,), radius=1.0).prox(np.array([-2.0, 1.5]), 1.0)
    array([-0.75,  0.25])
    """

    _form = "ι(‖{u}‖₁ ≤ {f.radius:g})"
    finite_conj = True

    def __init__(self, dims: tuple[int, ...], radius: float = 1.0, axis: Any = None) -> None:
        super().__init__(dims)
        self.radius, self.vectors = check_positive(radius, "radius"), Vectors(self.dims, axis)

    def _norms(self, z: Array) -> Array:
        return abs(self.vectors.of(z)).sum(axis=-1, keepdims=True, dtype=np.float64)

    def _inside(self, z: Array) -> Array:
        return (self._norms(z) <= self.radius * (1 + room(z, self.vectors.length))).all(axis=(1, 2))

    def _project(self, z: Array) -> Array:
        xp, v = backend.array_module(z), self.vectors.of(z)
        size = abs(v)
        shrunk, _ = shrink_to(size, self.radius)
        factor = shrunk / xp.where(size > 0, size, 1)
        return self.vectors.images(v * xp.where(self._norms(z) <= self.radius, 1, factor))

    def _support(self, z: Array) -> np.ndarray:
        return self.radius * backend.reduce_sum(abs(self.vectors.of(z)).max(axis=-1), True)


def shrink_to(v: Array, total: float) -> tuple[Array, Array]:
    """max(v - θ, 0) with the sum ``total`` along the last axis, and θ.

    With d = v - max v in descending order, θ - max v is the mean of the first k of (d_1 - s, d_2, ...) for the last k
    that it is still below d_k.
    """
    xp, n = backend.array_module(v), v.shape[-1]
    top = v.max(axis=-1, keepdims=True)
    d = v - top  # its largest entries, the only ones that matter, are exact
    ordered = xp.sort(d, axis=-1)[..., ::-1]
    counts = xp.arange(1, n + 1)
    means = (xp.cumsum(ordered, axis=-1, dtype=np.float64) - total) / counts
    k = (ordered > means).sum(axis=-1, keepdims=True)
    theta = xp.take_along_axis(means, xp.maximum(k - 1, 0), axis=-1)
    shrunk = xp.maximum(d - theta.astype(v.dtype), 0)
    shrunk *= (total / shrunk.sum(axis=-1, keepdims=True, dtype=np.float64)).astype(v.dtype)  # of rounding
    return shrunk, theta + top
