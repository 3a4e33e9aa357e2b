"""Functionals of whole images: bases for those whose prox couples the pixels, and for the indicators of sets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import is_integer, shown
from ipbox.functionals.core.base import Functional, Work
from ipbox.operators.core.base import check_dims


class ImageFunctional(Functional):
    """Base: a subclass works on ``z`` of shape (samples,) + dims.

    It gives ``_values(z)`` (one float64 for each sample, on the host), ``_proxes(z, t)`` (a new array), and
    ``_conjugates(z, weight)`` as ``_values``.
    """

    dims: tuple[int, ...]
    has_prox = True

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__(check_dims(dims, "dims"))

    def _values(self, z: Array) -> np.ndarray:
        raise TypeError(f"{self.name} has no value")

    def _proxes(self, z: Array, t: Any) -> Array:
        raise TypeError(f"{self.name} has no prox")

    def _conjugates(self, z: Array, weight: float) -> np.ndarray:
        raise TypeError(f"{self.name} has no conjugate")

    def _samples(self, x: Array) -> Array:
        return x.reshape((-1, *self.dims))

    def _value(self, x: Array, batch: bool) -> Any:
        return self._values(self._samples(x))

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        z = self._samples(x)
        out.reshape(z.shape)[...] = self._proxes(z, backend.per_sample(t, z))

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        return self._conjugates(self._samples(y), weight)


class ConvexSet(ImageFunctional):
    """Base of indicators, worth 0 in the set and inf outside; multiplied by a positive number they stay what they are.

    A subclass gives ``_inside(z)`` (one bool for each sample), ``_project(z)`` and ``_support(z)``: sup <u, z>.
    """

    def scaled(self, c: float) -> Functional:
        return self if 0 < c < math.inf else super().scaled(c)

    def _inside(self, z: Array) -> Array:
        raise NotImplementedError("abstract")

    def _project(self, z: Array) -> Array:
        raise NotImplementedError("abstract")

    def _support(self, z: Array) -> np.ndarray:
        raise NotImplementedError("abstract")

    def _values(self, z: Array) -> np.ndarray:
        return np.where(backend.to_host(self._inside(z)), 0.0, math.inf)

    def _proxes(self, z: Array, t: Any) -> Array:
        return self._project(z)

    def _conjugates(self, z: Array, weight: float) -> np.ndarray:
        return self._support(z)


class Vectors:
    """Images cut into vectors along some of their axes (all of them by default).

    Attributes
    ----------
    axes, others : tuple of int
        The axes of the vectors, and those that count them.
    """

    def __init__(self, dims: tuple[int, ...], axis: Any = None) -> None:
        nd = len(dims)
        axes = tuple(range(nd)) if axis is None else tuple(axis) if np.iterable(axis) else (axis,)
        if not axes or not all(is_integer(a) and -nd <= a < nd for a in axes):
            raise ValueError(f"axis is {shown(axis)}; expected axes of an image of shape {dims}")
        self.axes = tuple(int(a) % nd for a in axes)
        if len(set(self.axes)) < len(axes):
            raise ValueError(f"axis is {shown(axis)}; expected each axis once")
        self.others = tuple(a for a in range(nd) if a not in self.axes)
        self._order = (0, *(1 + a for a in self.others + self.axes))
        self._back = tuple(self._order.index(a) for a in range(nd + 1))
        self._shape = tuple(dims[a] for a in self.others + self.axes)
        self.count = math.prod(dims[a] for a in self.others)
        self.length = math.prod(dims[a] for a in self.axes)

    def of(self, z: Array) -> Array:
        """(samples,) + dims -> (samples, count, length)."""
        return z.transpose(self._order).reshape((len(z), self.count, self.length))

    def images(self, v: Array) -> Array:
        """The inverse of `of`."""
        return v.reshape((len(v), *self._shape)).transpose(self._back)


def room(x: Array, terms: int = 1) -> float:
    """The relative error that rounding may leave in a norm or a sum of so many terms."""
    return (8 + math.sqrt(terms)) * float(np.finfo(x.dtype).eps)
