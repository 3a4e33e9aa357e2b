"""Data fidelities with further arrays of the data's shape: weights, a background, a mask; weighted least squares."""

from __future__ import annotations

import math
import numbers
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.checks import as_dtype, check_float
from ipbox.functionals.core.base import Work
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import Fidelity


class PointwiseFidelity(Fidelity):
    """Base of D(y) = Σ_i d_i(y_i) whose d_i depend on b_i and on the entries of the attributes ``data_arrays``.

    Each of those is a number, None, or an array of b's shape, without its batch axis where all samples share it; parts
    of the data take the same parts of them.  ``_settle`` derives from them what is known of D (``_data_L`` ...).
    """

    data_arrays: ClassVar[tuple[str, ...]] = ()
    _data_curvature: float | None = None

    @property
    def curvature(self) -> float:
        """The mean second derivative of D where the data are met, times ‖A‖²; L where it is that."""
        if self._data_curvature is None:
            return self.L
        return abs(self.weight) * self._data_curvature * (1.0 if self.A is None else self.A.norm() ** 2)

    def __init__(self, A: Any, b: Array, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(A, check_data(b), shape=shape)

    def _settle(self) -> None:
        """Derive constants from the data; called again for a part of them."""

    def _with_data(self, A: Any, part: Any) -> Fidelity:
        f = super()._with_data(A, part)
        if part is not ...:
            for name in self.data_arrays:
                a = getattr(f, name)
                # samples, an array of indices, are parts of b alone where one array goes with all of them
                if backend.is_array(a) and (isinstance(part, tuple) or a.ndim == self.b.ndim):
                    setattr(f, name, a[part])
        f._settle()
        return f

    def _entries(self, name: str, y: Array) -> Any:
        """An attribute in the shape of ``y``, or the number it is."""
        a = getattr(self, name)
        return self._shaped(a, y) if backend.is_array(a) else a

    def _check_entries(self, value: Any, name: str, number: bool = True, positive: bool = False) -> Any:
        """A non-negative number or array that goes with b.

        Raises
        ------
        TypeError, ValueError
            for another shape, dtype or library, and for entries that are negative or not finite.
        """
        sign = "positive" if positive else "non-negative"
        if isinstance(value, numbers.Real) and number:
            value = check_float(value, name)
            if not (math.isfinite(value) and (value > 0 if positive else value >= 0)):
                raise ValueError(f"{name} is {value:g}; expected a {sign} number or array")
            return value
        backend.check_array(value, name, f"{'a number or ' * number}an array as b")
        self._check_like_b(value, name)
        if value.dtype != (dtype := backend.real_dtype(self.b.dtype)):
            advice = as_dtype(name, value.dtype, dtype, "")
            raise TypeError(f"{name} has dtype {value.dtype}; expected {dtype}, as b{advice}")
        check_data(value, name)
        lowest = float(value.min())
        if not (lowest > 0 if positive else lowest >= 0):
            raise ValueError(f"{name} has entries down to {lowest:g}; expected {sign} ones")
        return value

    def _check_real(self) -> None:
        if self.b.dtype.kind == "c":
            raise TypeError(f"b has dtype {self.b.dtype}; {type(self).__name__} expects real counts")

    def _check_counts(self) -> None:
        if bool((self.b < 0).any()):
            least = float(self.b.min())
            raise ValueError(f"b has negative entries, down to {least:g}; {type(self).__name__} expects counts >= 0")

    def _check_like_b(self, value: Array, name: str) -> None:
        backend.array_module(self.b, value)
        one = self.b.shape[1:] if self.A is None else tuple(self.A.dimsd)
        if value.shape not in (self.b.shape, one):
            raise ValueError(f"{name} has shape {value.shape}; expected that of b, {self.b.shape}")


class WeightedL2(PointwiseFidelity):
    """½ Σ_i w_i |(Au - b)_i|²; without A (None) of u itself.

    Parameters
    ----------
    A : Operator or None
        Anything `as_operator` takes.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or with one leading batch axis; real or complex.
    weights : array
        w >= 0, real, in b's shape and precision (or without its batch axis): inverse variances of the data.

    Notes
    -----
    ∇ = A*(w(Au - b)), L = max w ‖A‖².  Without A: μ = min w, prox_{τf}(x) = (x + τwb)/(1 + τw) and
    f*(y) = ½ Σ |y_i|²/w_i + <y, b>, infinite where y_i ≠ 0 = w_i.

    Raises
    ------
    ValueError, TypeError
        where b has not A's shape or dtype, or the weights are negative or do not go with b.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.WeightedL2(None, np.array([1.0, 2.0]), np.array([4.0, 1.0])).value(np.zeros(2))
    4.0
    """

    _form = "½‖{r}‖²_W"
    has_grad = True
    hessian_needs_x = False
    data_arrays = ("weights",)

    def __init__(self, A: Any, b: Array, weights: Array, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(A, b, shape=shape)
        self.weights = self._check_entries(weights, "weights", number=False)
        self._settle()

    def _settle(self) -> None:
        with shares.shared_by(self.ranks):
            self._data_L, self._data_mu = backend.largest(self.weights), backend.smallest(self.weights)
        self.finite_conj = self.A is None and self._data_mu > 0

    def _data_value(self, y: Array, batch: bool) -> Any:
        d = backend.array_module(y).abs(y - self._data(y))
        return 0.5 * backend.reduce_sum(self._entries("weights", y) * d * d, batch)

    def _data_grad(self, y: Array, out: Array, work: Work) -> None:
        backend.array_module(y).subtract(y, self._data(y), out=out)
        out *= self._entries("weights", y)

    def _data_hessian(self, y: Array, v: Array, work: Work) -> None:
        v *= self._entries("weights", v)

    def _data_prox(self, y: Array, t: Any, out: Array, work: Work) -> None:
        tw = backend.per_sample(t, y) * self._entries("weights", y)
        out[...] = (y + tw * self._data(y)) / (1 + tw)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = (y - σb) λw/(λw + σ)."""
        sigma = backend.per_sample(sigma, y)
        w = self.weight * self._entries("weights", y)
        backend.array_module(y).multiply(y - sigma * self._data(y), w / (w + sigma), out=out)

    def _data_conj(self, y: Array, weight: float, batch: bool) -> Any:
        xp = backend.array_module(y)
        w = self._entries("weights", y)
        used, size = w > 0, xp.abs(y).astype(np.float64)
        squares = xp.where(used, size**2 / xp.where(used, w, 1), xp.where(size > 0, np.inf, 0.0))
        return backend.reduce_sum(squares / (2 * weight) + (y * self._data(y).conj()).real, batch)
