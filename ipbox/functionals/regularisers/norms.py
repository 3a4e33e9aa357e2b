"""L1 and the group norm L21."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_integer
from ipbox.functionals.core.base import Functional, Work, indicator


class L1(Functional):
    """‖u‖₁ = Σ|u_i|, real or complex.

    Notes
    -----
    prox_{τf}(x)_i = max(|x_i| - τ, 0) x_i/|x_i|; f* is the indicator of |y_i| <= λ.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.L1().prox(np.array([-3.0, 0.5]), 1.0)
    array([-2.,  0.])
    """

    _form = "‖{u}‖₁"
    has_prox = True
    by_slabs = True

    def _modulus(self, x: Array) -> Array:
        """|x|, in a shape that broadcasts against ``x``."""
        return backend.array_module(x).abs(x)

    def _value(self, x: Array, batch: bool) -> Any:
        return backend.reduce_sum(self._modulus(x), batch)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        xp = backend.array_module(x)
        size = self._modulus(x)
        shrunk = xp.maximum(size - backend.per_sample(t, x), 0)
        size[size == 0] = 1
        xp.multiply(x, shrunk / size, out=out)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = y / max(1, |y|/λ): the projection on |y| <= λ."""
        xp = backend.array_module(y)
        xp.divide(y, xp.maximum(self._modulus(y) / self.weight, 1), out=out)

    def merge(self, other: Functional) -> Functional | None:
        from ipbox.functionals.sets.boxes import Box, L1Box

        return L1Box(self, other) if type(self) is L1 and isinstance(other, Box) else None

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        room = 1 + 8 * np.finfo(backend.real_dtype(y.dtype)).eps  # a projected y may stick out by rounding
        return indicator(self._modulus(y) <= weight * room, batch)


class L21(L1):
    """Σ_i (Σ_a |u_{a,i}|²)^½ over pixels i, for fields of shape (components,) + dims, as ∇ gives them.

    Parameters
    ----------
    ndim : int
        Number of pixel axes (the component axis stands before them).  A flat vector, as PyProximal's solvers hand over,
        is taken for a gradient of such an image: it has as many components.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> round(ip.L21().value(np.full((2, 1, 1), 3.0)), 6)
    4.242641
    """

    _form = "‖{u}‖₂₁"
    by_slabs = False

    def __init__(self, ndim: int = 2) -> None:
        self.ndim = check_integer(ndim, "ndim", 1, 3, ", the number of pixel axes")
        super().__init__()

    def _enter(self, x: Array, batch: bool = False) -> Array:
        x = super()._enter(x, batch)
        if x.ndim > 1 or batch:
            return x
        if x.size % self.ndim:
            raise ValueError(f"x has shape {x.shape}; L21 expects {self.ndim} components of equal size, flattened")
        return x.reshape(self.ndim, *(1,) * (self.ndim - 1), -1)

    def _modulus(self, x: Array) -> Array:
        xp = backend.array_module(x)
        if x.ndim < self.ndim + 1:
            raise ValueError(f"x has shape {x.shape}; L21 expects (components,) + {self.ndim} pixel axes")
        squares = xp.abs(x).astype(np.float64) ** 2  # in single precision they overflow long before the moduli do
        return xp.sqrt(squares.sum(axis=-(self.ndim + 1), keepdims=True)).astype(backend.real_dtype(x.dtype))
