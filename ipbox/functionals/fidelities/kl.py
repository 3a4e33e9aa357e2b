"""The Kullback-Leibler divergence: the negative logarithm of the likelihood of Poisson counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.functionals.core.base import REAL_DTYPES, Work
from ipbox.functionals.fidelities.deviance import expected_deviance
from ipbox.functionals.fidelities.weighted import PointwiseFidelity


class KL(PointwiseFidelity):
    r"""Kullback-Leibler divergence of the counts b from their expectation m = Au + r.

    .. math:: D(Au, b) = \sum_i m_i - b_i + b_i \log(b_i/m_i), \qquad 0 \log 0 = 0

    over the i in the mask; infinite where some m_i < 0, or m_i = 0 < b_i.

    Parameters
    ----------
    A : Operator or None
        Anything `as_operator` takes; without it m = u + r.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Counts b >= 0 of shape A.dimsd, or with one leading batch axis.
    background : float or array, optional
        r >= 0 in b's shape and precision (or without its batch axis): expected counts that do not come from u.  By
        default the operator's own where it has one (`PET`), else 0.
    mask : array of bool, optional
        Data that count; the others may be anything finite, change neither value nor gradient, and are 0 in ``f.b``.

    Attributes
    ----------
    has_grad : bool
        Whether r > 0 wherever b > 0: elsewhere the gradient is not bounded near the edge of the domain.
    L : float
        max b/r² ‖A‖², which holds on {u : Au >= 0} (without a bound from below no constant does).

    Notes
    -----
    ∇ = A*(1 - b/m), NaN outside the domain.  Without A, with m⁺ the positive root of m² - (x + r - τ)m = τb,
    prox_{τf}(x) = m⁺ - r; f*(y) = -<r, y> - Σ b_i log(1 - y_i) for y <= 1.

    Raises
    ------
    ValueError, TypeError
        where b or r is negative, complex, not finite or of another shape, or the mask is not a bool array of b's shape.

    References
    ----------
    Csiszár, Ann. Statist. 19 (1991); Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.KL(None, np.array([2.0, 0.0]), background=1.0)
    >>> f.value(np.array([1.0, 0.0])), f.grad(np.array([3.0, 0.0])), f.L
    (1.0, array([0.5, 1. ]), 2.0)
    """

    dtypes = REAL_DTYPES
    data_arrays = ("background", "mask")
    L_holds_on = "Au >= 0"
    why_no_grad = (
        "its background is 0 where b > 0, so its gradient has no Lipschitz constant; "
        "expected background > 0 there, or a solver that takes it as a prox or dual term"
    )

    def __init__(
        self,
        A: Any,
        b: Array,
        background: float | Array | None = None,
        mask: Array | None = None,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(A, b, shape=shape)
        self._check_real()
        if mask is not None:
            if not backend.is_array(mask) or mask.dtype != bool:
                kind = mask.dtype if backend.is_array(mask) else type(mask).__name__
                raise TypeError(f"mask is {kind}; expected an array of bool")
            self._check_like_b(mask, "mask")
            self.b = b = backend.array_module(b).where(mask, b, b.dtype.type(0))
        self.mask = mask
        if background is None:
            background = None if self.A is None else self.A.background_like(b)
        self._form = "KL(b, {m})" if background is None else "KL(b, {m} + r)"  # type: ignore[misc]  # else a class's
        self.background = self._check_entries(0.0 if background is None else background, "background")
        self._check_counts()
        self._settle()

    def _settle(self) -> None:
        xp, b, r = backend.array_module(self.b), self.b, self.background
        r = xp.full(b.shape[-1:], r, dtype=b.dtype) if isinstance(r, float) else r
        needed = b > 0
        bounds = xp.where(needed, b / xp.where(r > 0, r, 1).astype(np.float64) ** 2, 0.0)
        with shares.shared_by(self.ranks):
            self.has_grad = not backend.some(needed & (r == 0))
            mean = backend.mean(b)  # the second derivative is 1/b at m = b, and often far from its bound
            self._data_L = backend.largest(bounds) if self.has_grad else math.inf
        self._data_curvature = 1 / mean if mean > 0 else math.inf

    def _counted(self, values: Array, y: Array) -> Array:
        """``values`` with zeros outside the mask."""
        if self.mask is None:
            return values
        return backend.array_module(values).where(self._entries("mask", y), values, values.dtype.type(0))

    def residual(self, x: Array, out: Array | None = None) -> Array:
        """Au + r - b, zero outside the mask."""
        d = super().residual(x, out)
        d += self._entries("background", d)
        if self.mask is not None:
            d *= self._entries("mask", d)
        return d

    def _mean(self, y: Array) -> Array:
        return y + self._entries("background", y)

    def _data_value(self, y: Array, batch: bool) -> Any:
        xp = backend.array_module(y)
        b, m = self._data(y).astype(np.float64), self._mean(y).astype(np.float64)
        both = (m > 0) & (b > 0)
        terms = m - b + b * xp.log(xp.where(both, b, 1) / xp.where(both, m, 1))
        terms = xp.where(both | ((b == 0) & (m >= 0)), terms, np.inf)
        return backend.reduce_sum(self._counted(terms, y), batch)

    def expected_value(self, x: Array, batch: bool = False) -> Any:
        """What `value` is on average where the counts have the mean Au + r: about half their number, if they are many.

        Discrepancy principles compare the value with it.
        """
        y = self._enter(x) if self.A is None else self.A.apply(self._enter(x))
        terms = self._counted(expected_deviance(self._mean(y)), y)
        with shares.shared_by(self.ranks):
            return 0.5 * self.weight * backend.reduce_sum(terms, batch)

    def _data_grad(self, y: Array, out: Array, work: Work) -> None:
        if not self.has_grad:
            raise TypeError(f"{self.name} has no gradient: {self.why_no_grad}")
        xp, b, m = backend.array_module(y), self._data(y), self._mean(y)
        share = xp.where((b == 0) & (m >= 0), 0, b / xp.where(m > 0, m, np.nan))
        out[...] = self._counted(1 - share, y)

    def _data_prox(self, y: Array, t: Any, out: Array, work: Work) -> None:
        xp, t = backend.array_module(y), backend.per_sample(t, y)
        z, c = self._mean(y) - t, t * self._data(y)
        # the larger root of m² - zm = c, without cancellation
        root = xp.sqrt(z * z + 4 * c)
        m = xp.where(z < 0, 2 * c / xp.where(z < 0, root - z, 1), (z + root) / 2)
        m -= self._entries("background", y)
        out[...] = m if self.mask is None else xp.where(self._entries("mask", y), m, y)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = ½(λ + w - √((w - λ)² + 4σλb)), w = y + σr; 0 outside the mask."""
        xp, sigma = backend.array_module(y), backend.per_sample(sigma, y)
        w = y + sigma * self._entries("background", y)
        w -= self.weight
        c = sigma * self.weight * self._data(y)
        root = xp.sqrt(w * w + 4 * c)
        # λ - y⁺, the positive root of d² + (w - λ)d = σλb, without cancellation
        d = xp.where(w > 0, 2 * c / xp.where(w > 0, w + root, 1), (root - w) / 2)
        out[...] = self._counted(self.weight - d, y)

    def _data_conj(self, y: Array, weight: float, batch: bool) -> Any:
        xp, eps = backend.array_module(y), float(np.finfo(y.dtype).eps)
        b, v = self._data(y), y.astype(np.float64) / weight
        # a v < 1 that was rounded to 1 is read as the largest number below
        logs = b * xp.log(xp.maximum(1 - v, eps / 2))
        terms = xp.where(v <= 1 + 8 * eps, -self._entries("background", y) * v - logs, np.inf)
        if self.mask is not None:
            terms = xp.where(self._entries("mask", y), terms, xp.where(v == 0, 0.0, np.inf))
        return weight * backend.reduce_sum(terms, batch)
