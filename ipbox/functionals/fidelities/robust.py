"""Data fidelities that outliers hardly move: the L1 distance and Huber's function."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals.core.base import Functional, Work
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import Fidelity


class _Robust(Fidelity):
    """Σ h(|Au - b|) for h_δ(t) = t²/(2δ) up to δ, t - δ/2 beyond; δ = 0 is the L1 distance."""

    delta = 0.0

    def _difference(self, y: Array) -> Array:
        """y - b in an array of its own."""
        return y.copy() if self.b is None else y - self._data(y)

    def _data_value(self, y: Array, batch: bool) -> Any:
        xp, delta = backend.array_module(y), self.delta
        t = xp.abs(self._difference(y))
        inner = xp.minimum(t, delta)
        return backend.reduce_sum(t - inner + (inner * inner / (2 * delta) if delta else 0.0), batch)

    def _data_prox(self, y: Array, t: Any, out: Array, work: Work) -> None:
        xp, t = backend.array_module(y), backend.per_sample(t, y)
        d = self._difference(y)
        d *= 1 - t / xp.maximum(xp.abs(d), t + self.delta)
        out[...] = d if self.b is None else d + self._data(y)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = the projection of (y - σb)/(1 + σδ/λ) on |y_i| <= λ."""
        xp, sigma = backend.array_module(y), backend.per_sample(sigma, y)
        z = y.copy() if self.b is None else y - sigma * self._data(y)
        if self.delta:
            z /= 1 + sigma * (self.delta / self.weight)
        xp.divide(z, xp.maximum(xp.abs(z) / self.weight, 1), out=out)

    def _data_conj(self, y: Array, weight: float, batch: bool) -> Any:
        xp = backend.array_module(y)
        room = 1 + 8 * np.finfo(backend.real_dtype(y.dtype)).eps  # a projected y may stick out by rounding
        size = xp.abs(y).astype(np.float64)
        terms = size * size * (self.delta / (2 * weight))
        if self.b is not None:
            terms = terms + (y * self._data(y).conj()).real
        return backend.reduce_sum(xp.where(size <= weight * room, terms, np.inf), batch)


class L1Data(_Robust):
    """‖Au - b‖₁ = Σ |(Au - b)_i|: for outliers and impulse noise; without A (None), ‖u - b‖₁.

    Parameters
    ----------
    A : Operator or None
        Anything `as_operator` takes.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or with one leading batch axis; real or complex; kept, not copied.

    Notes
    -----
    Without A: prox_{τf}(x) = b + S_τ(x - b), S the soft threshold; f*(y) = <y, b> for |y_i| <= λ, else inf.

    Raises
    ------
    ValueError, TypeError
        where b has not A's shape or dtype, or is not finite.

    References
    ----------
    Nikolova, J. Math. Imaging Vis. 20 (2004).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.L1Data(None, np.array([1.0, 5.0])).prox(np.array([1.2, 0.0]), 0.5)
    array([1. , 0.5])
    """

    _form = "‖{r}‖₁"

    def __init__(self, A: Any, b: Array, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(A, check_data(b), shape=shape)

    def merge(self, other: Functional) -> Functional | None:
        from ipbox.functionals.sets.boxes import Box, L1Box

        return L1Box(self, other) if self.A is None and isinstance(other, Box) else None


class Huber(_Robust):
    r"""Huber's function of Au - b, quadratic near zero and as the L1 norm beyond; without A of u - b, without b of Au.

    .. math:: \sum_i h_δ(|(Au - b)_i|), \qquad h_δ(t) = t^2/(2δ) \text{ for } t <= δ, \quad t - δ/2 \text{ beyond}

    Parameters
    ----------
    A : Operator, optional
        Anything `as_operator` takes.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array, optional
        Data of shape A.dimsd, or with one leading batch axis; real or complex; kept, not copied.
    delta : float
        δ > 0, in the unit of the data: where the quadratic part ends.

    Notes
    -----
    The Moreau envelope of the L1 norm: h_δ -> |t| as δ -> 0.  ∇ = A*(d/max(|d|, δ)), d = Au - b, L = ‖A‖²/δ.  Without
    A: prox_{τf}(x) = b + (1 - τ/max(|d|, τ + δ)) d, d = x - b; f*(y) = δ/2 ‖y‖² + <y, b> for |y_i| <= 1.
    As a smooth regulariser: ``Huber(delta=0.01) @ Gradient(dims)``.

    Raises
    ------
    ValueError, TypeError
        where delta is not positive, or b has not A's shape or dtype, or is not finite.

    References
    ----------
    Huber, Ann. Math. Statist. 35 (1964).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.Huber(b=np.zeros(2), delta=1.0)
    >>> f.value(np.array([0.5, -3.0])), f.grad(np.array([0.5, -3.0]))
    (2.625, array([ 0.5, -1. ]))
    """

    has_grad = True

    def __init__(
        self, A: Any = None, b: Array | None = None, *, delta: float, shape: tuple[int, ...] | None = None
    ) -> None:
        self.delta = check_positive(delta, "delta")
        super().__init__(A, b, shape=shape)

    @property
    def _data_L(self) -> float:
        return 1 / self.delta

    def _data_grad(self, y: Array, out: Array, work: Work) -> None:
        xp = backend.array_module(y)
        d = self._difference(y)
        xp.divide(d, xp.maximum(xp.abs(d), self.delta), out=out)
