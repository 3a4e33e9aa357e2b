"""Group sparsity: the sum of the lengths of groups of entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import shown
from ipbox.functionals.core.base import Work
from ipbox.functionals.core.images import ImageFunctional, Vectors, room
from ipbox.operators.core.held import HeldArray


class GroupSparsity(ImageFunctional):
    """Σ_g w_g ‖u_g‖ over disjoint groups of entries: few groups are not zero; real or complex.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    axis : int or tuple of int, optional
        A group is what lies along these axes: channels, coils, times.
    groups : array of int of shape dims, or sequence of index arrays, optional
        Instead of ``axis``: the number of each entry's group, from 0, with -1 for entries that are in none; or for each
        group the flat indices of its entries.
    weights : sequence of float, optional
        w_g >= 0, in the order of the groups (with ``axis``: of the other axes' indices); 1 by default.

    Notes
    -----
    prox_{τf}(x)_g = max(1 - τw_g/‖x_g‖, 0) x_g; f* is the indicator of ‖y_g‖ <= w_g.  Groups that overlap are refused:
    their prox has no closed form.

    Raises
    ------
    ValueError, TypeError
        unless one of axis and groups is given; for overlapping groups, indices out of range, negative weights.

    References
    ----------
    Yuan and Lin, J. R. Stat. Soc. B 68 (2006).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.GroupSparsity((4,), groups=[[0, 1], [2, 3]])
    >>> f.prox(np.array([3.0, 4.0, 0.6, 0.8]), 1.0)
    array([2.4, 3.2, 0. , 0. ])
    """

    _form = "Σ_g w_g‖{u}_g‖"

    def __init__(
        self,
        dims: tuple[int, ...],
        axis: Any = None,
        groups: np.ndarray | Sequence[Any] | None = None,
        weights: Any = None,
    ) -> None:
        super().__init__(dims)
        if (axis is None) == (groups is None):
            raise ValueError("axis and groups: expected one of them, to say which entries form a group")
        if axis is None:
            labels = group_labels(groups, self.dims)
            count = int(labels.max()) + 1
        else:
            self.vectors, labels = Vectors(self.dims, axis), None
            count = self.vectors.count
        if count == 0:
            raise ValueError("groups has no group; expected at least one")
        weights = np.ones(count) if weights is None else np.asarray(weights)
        if weights.dtype.kind not in "fiu":
            raise TypeError(f"weights has dtype {weights.dtype}; expected numbers")
        weights = weights.astype(np.float64)
        if weights.shape != (count,):
            raise ValueError(f"weights has shape {weights.shape}; expected a number for each of {count} groups")
        if not ((weights >= 0) & np.isfinite(weights)).all():
            raise ValueError(f"weights goes from {weights.min():g} to {weights.max():g}; expected finite numbers >= 0")
        if labels is not None:  # one more group, without weight, for the entries that are in none
            labels, weights = np.where(labels < 0, count, labels), np.append(weights, 0.0)
        self._labels, self._weights = labels if labels is None else HeldArray(labels), HeldArray(weights)

    def _norms(self, z: Array) -> tuple[Array, Array]:
        """‖z_g‖ in float64, shape (samples, groups), and w."""
        xp = backend.array_module(z)
        squares = abs(z).astype(np.float64) ** 2
        if self._labels is None:
            sums = self.vectors.of(squares).sum(axis=-1)
        else:
            labels, count = self._labels.like(z), self._weights.host.size
            places = (labels + count * xp.arange(len(z))[:, None]).reshape(-1)
            sums = xp.bincount(places, weights=squares.reshape(-1), minlength=count * len(z))
            sums = sums.reshape((len(z), count))
        return xp.sqrt(sums), self._weights.like(z)

    def _times(self, z: Array, factor: Array) -> Array:
        """Every group times its entry of ``factor``."""
        factor = factor.astype(backend.real_dtype(z.dtype))
        if self._labels is None:
            return self.vectors.images(self.vectors.of(z) * factor[..., None])
        return z * factor[:, self._labels.like(z)].reshape(z.shape)

    def _values(self, z: Array) -> np.ndarray:
        norms, w = self._norms(z)
        return backend.reduce_sum(norms * w, True)

    def _proxes(self, z: Array, t: Any) -> Array:
        xp = backend.array_module(z)
        norms, w = self._norms(z)
        t = t * w if isinstance(t, float) else t.reshape((-1, 1)) * w
        return self._times(z, 1 - t / xp.maximum(xp.maximum(norms, t), np.finfo(np.float64).tiny))

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y): the projection on ‖y_g‖ <= λw_g."""
        xp, z = backend.array_module(y), self._samples(y)
        norms, w = self._norms(z)
        bound = self.weight * w + 0 * norms
        factor = bound / xp.maximum(xp.maximum(norms, bound), np.finfo(np.float64).tiny)
        out[...] = self._times(z, xp.where(norms > bound, factor, 1)).reshape(out.shape)

    def _conjugates(self, z: Array, weight: float) -> np.ndarray:
        norms, w = self._norms(z)
        inside = (norms <= weight * w * (1 + room(z, z[0].size))).all(axis=1)
        return np.where(backend.to_host(inside), 0.0, np.inf)


def group_labels(groups: Any, dims: tuple[int, ...]) -> np.ndarray:
    """The number of each entry's group, flat, -1 for none."""
    size = int(np.prod(dims))
    if backend.is_array(groups):
        if groups.dtype.kind not in "iu" or groups.shape != dims:
            raise ValueError(f"groups has dtype {groups.dtype} and shape {groups.shape}; expected integers, {dims}")
        labels = backend.to_host(groups).reshape(-1).astype(np.int64)
        if labels.min() < -1 or labels.max() >= size:
            raise ValueError(
                f"groups has entries from {labels.min()} to {labels.max()}; expected numbers from 0 to {size - 1}, "
                f"or -1 for no group"
            )
        return labels
    if not np.iterable(groups):
        raise TypeError(f"groups is {type(groups).__name__}; expected an array of int, or a sequence of index arrays")
    labels = np.full(size, -1, dtype=np.int64)
    for g, indices in enumerate(groups):
        indices = np.atleast_1d(backend.to_host(indices) if backend.is_array(indices) else np.asarray(indices))
        if indices.ndim != 1 or indices.size == 0 or indices.dtype.kind not in "iu":
            raise ValueError(f"groups has {shown(indices.tolist())} as number {g}; expected a sequence of flat indices")
        if indices.min() < 0 or indices.max() >= size:
            raise ValueError(f"groups has indices from {indices.min()} to {indices.max()}; expected 0 to {size - 1}")
        if (labels[indices] >= 0).any() or len(set(indices.tolist())) < indices.size:
            raise ValueError(f"groups overlap in group {g}; expected disjoint ones, whose prox has a closed form")
        labels[indices] = g
    return labels
