"""The balls of the Euclidean and of the maximum norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive, counted
from ipbox.functionals.core.base import Functional, Work, indicator
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.core.images import ConvexSet, Vectors, room
from ipbox.functionals.fidelities.l2 import check_like


class L2Ball(ConvexSet):
    """The indicator of ‖u - c‖ <= r, over all pixels or along some axes; real or complex.

    ``L2Ball(A.dimsd, noise_level, b) @ A`` is the constraint ‖Au - b‖ <= δ.

    Parameters
    ----------
    dims : tuple of int
        Image shape.
    radius : float
        r > 0.
    centre : array, optional
        c of shape dims, or with one leading batch axis; 0 by default.
    axis : int or tuple of int, optional
        Axes over which the norm is taken, one ball for each index of the others; by default all pixels together.

    Notes
    -----
    The projection is c + min(1, r/‖x - c‖)(x - c); f*(y) = r‖y‖ + <c, y>.

    Raises
    ------
    ValueError, TypeError
        for a radius that is not positive, a centre of another shape or not finite, or an axis that the image has not.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.L2Ball((2,), radius=1.0).prox(np.array([3.0, -4.0]), 1.0)
    array([ 0.6, -0.8])
    """

    finite_conj = True

    def __init__(
        self, dims: tuple[int, ...], radius: float = 1.0, centre: Array | None = None, axis: Any = None
    ) -> None:
        super().__init__(dims)
        self.radius, self.vectors = check_positive(radius, "radius"), Vectors(self.dims, axis)
        if centre is not None and self.dims not in (check_data(centre, "centre").shape, centre.shape[1:]):
            raise ValueError(f"centre has shape {centre.shape}; expected {self.dims}, or with one batch axis")
        self.centre = centre

    def _formula(self, u: str) -> str:
        return f"ι(‖{u}{'' if self.centre is None else ' - c'}‖ ≤ {self.radius:g})"

    def take(self, index: np.ndarray) -> Functional:
        if self.centre is None or self.centre.ndim == len(self.dims):
            return self
        return L2Ball(self.dims, self.radius, self.centre[index], self.vectors.axes)

    def _centre_of(self, z: Array) -> Array:
        """c, which has to go with ``z``."""
        c: Array = self.centre
        check_like(c, z, type(self).__name__, "centre")
        if c.ndim == z.ndim and len(c) != len(z):
            raise ValueError(
                f"x has {counted(len(z), 'sample')}; L2Ball with a centre of shape {c.shape} expects {len(c)}"
            )
        return c

    def _from_centre(self, z: Array) -> Array:
        return self.vectors.of(z if self.centre is None else z - self._centre_of(z))

    def _norms(self, d: Array) -> Array:
        xp = backend.array_module(d)
        return xp.sqrt((abs(d).astype(np.float64) ** 2).sum(axis=-1, keepdims=True))

    def _inside(self, z: Array) -> Array:
        allowed = self.radius * (1 + room(z, self.vectors.length))
        if self.centre is not None:
            allowed += room(z) * float(backend.norm(self.centre))  # u - c of a rounded u
        return (self._norms(self._from_centre(z)) <= allowed).all(axis=(1, 2))

    def _project(self, z: Array) -> Array:
        xp, d = backend.array_module(z), self._from_centre(z)
        norms = self._norms(d)
        factor = (self.radius / xp.maximum(norms, self.radius)).astype(backend.real_dtype(z.dtype))
        p = self.vectors.images(d * factor)
        if self.centre is None:
            return p
        inside = self.vectors.images(xp.broadcast_to(norms <= self.radius, d.shape))
        return xp.where(inside, z, p + self.centre)  # a point of the set stays as it is

    def _support(self, z: Array) -> np.ndarray:
        value = self.radius * backend.reduce_sum(self._norms(self.vectors.of(z)), True)
        return value if self.centre is None else value + backend.reduce_sum((z * self._centre_of(z).conj()).real, True)


class LinfBall(Functional):
    """The indicator of |u_i| <= r for all i; real or complex.

    Parameters
    ----------
    radius : float
        r > 0.

    Notes
    -----
    The projection is x_i/max(1, |x_i|/r); f*(y) = r‖y‖₁.  For real images the same as ``Box(-r, r)``.

    Raises
    ------
    ValueError
        for a radius that is not positive.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.LinfBall(1.0).prox(np.array([3 - 4j, 0.5]), 1.0)
    array([0.6-0.8j, 0.5+0.j ])
    """

    _form = "ι(|{u}| ≤ {f.radius:g})"
    has_prox = True
    finite_conj = True

    def __init__(self, radius: float = 1.0) -> None:
        self.radius = check_positive(radius, "radius")
        super().__init__()

    def scaled(self, c: float) -> Functional:
        return self if 0 < c < math.inf else super().scaled(c)

    def _value(self, x: Array, batch: bool) -> Any:
        size = backend.array_module(x).abs(x)
        return indicator(size <= self.radius * (1 + room(size)), batch)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        xp = backend.array_module(x)
        xp.divide(x, xp.maximum(xp.abs(x) / self.radius, 1), out=out)

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        return self.radius * backend.reduce_sum(backend.array_module(y).abs(y), batch)
