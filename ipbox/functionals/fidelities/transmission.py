"""Photon counts behind an attenuating object: the Poisson likelihood of computed tomography."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.functionals.core.base import REAL_DTYPES, Work
from ipbox.functionals.fidelities.weighted import PointwiseFidelity


class PoissonTransmission(PointwiseFidelity):
    r"""Kullback-Leibler divergence of the counts b from m = I₀ exp(-Au) + r, the law of Beer and Lambert.

    .. math:: D(Au, b) = \sum_i m_i - b_i \log m_i + \text{const}, \qquad m_i = I_{0,i}\, e^{-(Au)_i} + r_i

    Parameters
    ----------
    A : Operator or None
        Anything `as_operator` takes: line integrals, without unit.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Counts b >= 0 of shape A.dimsd, or with one leading batch axis.
    I0 : float or array
        I₀ > 0: expected counts without the object, in b's shape and precision (or without its batch axis).
    background : float or array, optional
        r >= 0: expected counts that do not pass the object (scatter, dark current); 0 by default.

    Attributes
    ----------
    is_convex, has_prox : bool
        Convex only without background; the prox is known there, and without A.
    L : float
        ‖A‖² times the largest |second derivative| of a term, which holds on {u : Au >= 0}.

    Notes
    -----
    The constant makes D >= 0, with 0 at m = b.  ∇ = A*(s(b/m - 1)), s = I₀ exp(-Au).  The second derivative
    s(1 - br/m²) is at most I₀(1 - br/(I₀ + r)²) for Au >= 0 (Erdoğan and Fessler) and at least -b/4.  Without A and r:
    prox_{τf}(x) = x - τb + ω, ω + log ω = log(τI₀) - x + τb (Lambert's W, by Newton's method), and
    f*(y) = Σ q log(q/I₀) - q + b + b log(I₀/b), q = b - y >= 0.

    Raises
    ------
    ValueError, TypeError
        where b or r is negative, I0 not positive, or one of them complex, not finite or of another shape than b.

    References
    ----------
    Erdoğan and Fessler, Monotonic algorithms for transmission tomography, IEEE Trans. Med. Imaging 18 (1999).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.PoissonTransmission(None, np.array([50.0]), I0=100.0)
    >>> f.grad(np.array([np.log(2.0)])).round(12) + 0.0, f.L
    (array([0.]), 100.0)
    """

    _form = "KL(b, I₀ exp(-{m}))"
    dtypes = REAL_DTYPES
    has_grad = True
    data_arrays = ("I0", "background")
    L_holds_on = "Au >= 0"

    def __init__(
        self,
        A: Any,
        b: Array,
        I0: float | Array,
        background: float | Array | None = None,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(A, b, shape=shape)
        self._check_real()
        self._check_counts()
        self.I0 = self._check_entries(I0, "I0", positive=True)
        self.background = self._check_entries(0.0 if background is None else background, "background")
        self._settle()

    def _settle(self) -> None:
        xp, b, r = backend.array_module(self.b), self.b.astype(np.float64), self.background
        first = self.I0 * (1 - b * r / (self.I0 + r) ** 2)
        with shares.shared_by(self.ranks):
            self.data_has_prox = not backend.some(r > 0) if backend.is_array(r) else r == 0
            bounds = xp.maximum(first, xp.where(b > r, b / 4, 0.0) if not self.data_has_prox else 0.0)
            self._data_L = backend.largest(bounds)
            self._data_curvature = backend.mean(b) or math.inf  # without background the second derivative is b at m = b
        self.has_prox = self.A is None and self.data_has_prox

    @property
    def is_convex(self) -> bool:
        return self.weight >= 0 and self.data_has_prox

    @property
    def has_conj(self) -> bool:
        """Whether `conj` is known: without A and background."""
        return super().has_conj and self.data_has_prox

    def residual(self, x: Array, out: Array | None = None) -> Array:
        """I₀ exp(-Au) + r - b."""
        y = self._enter(x) if self.A is None else self.A.apply(x, out=out)
        s, r = self._transmitted(y)
        return backend.array_module(y).subtract(s + r, self._data(y), out=out)

    def _transmitted(self, y: Array) -> tuple[Array, Any]:
        """I₀ exp(-y) and the background."""
        s = backend.array_module(y).exp(-y)
        s *= self._entries("I0", y)
        return s, self._entries("background", y)

    def _data_value(self, y: Array, batch: bool) -> Any:
        xp = backend.array_module(y)
        y, b = y.astype(np.float64), self._data(y).astype(np.float64)
        s, r = self._transmitted(y)
        if self.data_has_prox:  # -log m, also where exp(-y) underflows
            logs = y - xp.log(self._entries("I0", y))
        else:
            logs = -xp.log(xp.maximum(s + r, np.finfo(np.float64).tiny))
        counted = b > 0
        return backend.reduce_sum(s + r - b + b * (logs + xp.log(xp.where(counted, b, 1))), batch)

    def _data_grad(self, y: Array, out: Array, work: Work) -> None:
        s, r = self._transmitted(y)
        b = self._data(y)
        if self.data_has_prox:
            backend.array_module(y).subtract(b, s, out=out)
        else:
            m = s + r
            m[m == 0] = 1  # s = 0 there, so the product below is 0
            out[...] = s * (b / m) - s

    def _root(self, y: Array, t: Any) -> tuple[Array, Array]:
        """x = y - tb, and ω = prox - x."""
        if not self.data_has_prox:
            raise TypeError(f"{self.name} has no prox: with a background it is not convex; expected background 0")
        xp = backend.array_module(y)
        x = y - t * self._data(y)
        return x, wright_omega(xp.log(t * self._entries("I0", y) * xp.ones_like(x)) - x)

    def _data_prox(self, y: Array, t: Any, out: Array, work: Work) -> None:
        x, omega = self._root(y, backend.per_sample(t, y))
        backend.array_module(y).add(x, omega, out=out)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """prox_{σf*}(y) = λb - σω, ω + log ω = log(λI₀/σ) - y/σ + λb/σ."""
        sigma = backend.per_sample(sigma, y)
        _, omega = self._root(y / sigma, self.weight / sigma)
        backend.array_module(y).subtract(self.weight * self._data(y), sigma * omega, out=out)

    def _data_conj(self, y: Array, weight: float, batch: bool) -> Any:
        if not self.data_has_prox:
            raise TypeError(f"the conjugate of {self.name} is not known: with a background it is not convex")
        xp, eps = backend.array_module(y), float(np.finfo(y.dtype).eps)
        y, b = y.astype(np.float64) / weight, self._data(y).astype(np.float64)
        q, I0 = b - y, self._entries("I0", y)
        positive, counted = q > 0, b > 0
        terms = xp.maximum(q, 0) * (xp.log(xp.where(positive, q, 1) / I0) - 1)
        terms += b * (1 - xp.log(xp.where(counted, b, 1) / I0))
        # a projected y may stick out by rounding
        return weight * backend.reduce_sum(xp.where(q >= -8 * eps * (b + 1), terms, np.inf), batch)


def wright_omega(a: Array) -> Array:
    """The ω > 0 with ω + log ω = a, for real a: Lambert's W of exp(a), without its overflow.

    Newton's method: ω + log ω is concave, so after the first step the iterates rise to the root; from this start five
    steps are enough.  A last step for ω exp(ω) = exp(a) takes back the rounding of log ω where ω is small.
    """
    xp, tiny = backend.array_module(a), float(np.finfo(a.dtype).tiny)
    large, x = a > 1, xp.exp(xp.minimum(a, 1))
    omega = xp.where(large, a - xp.log(xp.where(large, a, 1)), x / (1 + x))  # both below the root
    for _ in range(5):
        omega = xp.maximum(omega, tiny)
        omega *= (1 + a - xp.log(omega)) / (1 + omega)
    return xp.where(large, omega, omega - (omega - x * xp.exp(-omega)) / (1 + omega))
