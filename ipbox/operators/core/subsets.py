"""Operators whose data can be split along the first axis (views of a scan, rows of a matrix)."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np

from ipbox.checks import check_count

_made: WeakKeyDictionary[Any, dict[int, list[Any]]] = WeakKeyDictionary()
_lock = threading.Lock()


class OrderedSubsets:
    """An operator of some views (or rows) of another: it has ``subset``, or ``_at`` for one, and gets `subsets`."""

    dimsd: tuple[int, ...]
    rows_are: ClassVar[str] = "angles"  # along the first axis of the data; errors name them

    def subset(self, indices: Any) -> Self:
        """The same operator at some of the views: for data ``b``, its data are ``b[indices]``.

        Parameters
        ----------
        indices : slice or array of int
            ``slice(k, None, n)`` gives ordered subsets, of which ``b[k::n]`` is a view.

        Raises
        ------
        ValueError, TypeError
            for no views, an index out of range, or indices that are not integers.
        """
        return self._at(check_subset(indices, self.dimsd[0], self.rows_are))

    def _at(self, chosen: np.ndarray) -> Self:
        """The operator at the views of these indices."""
        raise NotImplementedError("abstract")

    def subsets(self, n: int) -> list[Any]:
        """n operators of every n-th view (or row), as ordered subsets take them; the data of the k-th are ``b[k::n]``.

        They are made once, with what they hold: norms, sensitivities, plans.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> A = ip.JosephTransform((8, 8), np.arange(6) * np.pi / 6)
        >>> u = np.ones((8, 8), "float32")
        >>> b = A.apply(u)
        >>> [np.array_equal(B.apply(u), b[k::3]) for k, B in enumerate(A.subsets(3))]
        [True, True, True]
        """
        n = check_count(n, "n")
        if n > self.dimsd[0]:
            raise ValueError(f"n is {n}; expected at most one subset for each of the {self.dimsd[0]} views (or rows)")
        with _lock:
            made = _made.setdefault(self, {})
            if n not in made:
                made[n] = [self.subset(slice(k, None, n)) for k in range(n)]
            return list(made[n])


def check_subset(indices: Any, n: int, what: str = "angles") -> np.ndarray:
    """The ``indices`` (a slice or integers) of some of n angles (or ``what``), as a vector."""
    if isinstance(indices, slice):
        chosen = np.arange(n)[indices]
    else:
        chosen = np.atleast_1d(np.asarray(indices))
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise TypeError(
                f"indices has shape {chosen.shape} and dtype {chosen.dtype}; expected a slice or a vector of integers"
            )
    if chosen.size == 0:
        raise ValueError(f"indices is {indices!r}, which leaves none of the {n} {what}; expected one or more")
    if chosen.min() < -n or chosen.max() >= n:
        raise ValueError(f"indices reach from {chosen.min()} to {chosen.max()}; expected those of {n} {what}")
    return chosen
