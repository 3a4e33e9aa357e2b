"""The relative difference prior of emission tomography: edges count by their height relative to the activity."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_dims, check_not_negative, check_positive
from ipbox.functionals.core.base import REAL_DTYPES, Functional, Work
from ipbox.operators.core.held import HeldArray, host_array
from ipbox.operators.images.differences import check_spacing

Part = tuple[slice, ...]


class RelativeDifference(Functional):
    r"""Relative difference prior of an image u >= 0: convex, twice differentiable, of the degree 1 of the likelihood.

    .. math:: R(u) = \sum_{\{j,k\}} w_{jk} κ_j κ_k \frac{(u_j - u_k)^2}{u_j + u_k + γ |u_j - u_k| + ε}

    over the pairs of neighbours, each once: a pixel has 3ⁿ - 1 of them in n dimensions, with w = h/|distance| for the
    smallest voxel width h, so 1 for the nearest.

    Parameters
    ----------
    dims : tuple of int
        Image shape, one to three axes.
    eps : float
        ε > 0, in units of u, well below the activities that matter: it keeps R differentiable at u = 0.
    gamma : float
        γ >= 0: edges that are high relative to the activity cost less than their square, the less the larger γ is.
    kappa : array, optional
        κ >= 0 of shape ``dims``, 1 by default; √(A*(1/b)) evens out the resolution over the image.
    spacing : float or tuple of float
        Voxel size, or one for each axis.

    Notes
    -----
    With t = (u_j - u_k)/s, s the denominator, the derivative by u_j of a pair's term is t(2 - t - γ|t|), by u_k
    -t(2 + t - γ|t|), and its Hessian (2/s) q qᵀ, q = (1 - t - γ|t|, -1 - t + γ|t|).  On u >= 0 that is at most 4/ε, so
    L = (4/ε) max_j Σ_k w_jk κ_j κ_k.  The value is infinite, and the gradient NaN, where a denominator is not
    positive; no prox.

    Raises
    ------
    ValueError, TypeError
        for other dims or spacings, ε that is not positive, a negative γ or κ, or κ of another shape.

    References
    ----------
    Nuyts, Bequé, Dupont and Mortelmans, A concave prior penalizing relative differences for maximum-a-posteriori
    reconstruction in emission tomography, IEEE Trans. Nucl. Sci. 49 (2002).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f, u = ip.RelativeDifference((2,), eps=1.0, gamma=2.0), np.array([3.0, 1.0])
    >>> round(f.value(u), 4), f.grad(u).round(4)  # 2²/(3 + 1 + 2·2 + 1)
    (0.4444, array([ 0.2963, -0.3951]))
    """

    _L: float
    dims: tuple[int, ...]
    dtypes = REAL_DTYPES
    has_grad = True
    L_holds_on = "u >= 0"

    def __init__(
        self,
        dims: tuple[int, ...],
        eps: float,
        gamma: float = 2.0,
        kappa: Array | None = None,
        spacing: float | tuple[float, ...] = 1.0,
    ) -> None:
        super().__init__(check_dims(dims, "dims"))
        if len(self.dims) > 3:
            raise ValueError(f"dims is {self.dims}; expected one to three axes")
        self.eps, self.gamma = check_positive(eps, "eps"), check_not_negative(gamma, "gamma")
        self.spacing = check_spacing(spacing, len(self.dims))
        self.kappa = None if kappa is None else HeldArray(self._checked(kappa))
        self._pairs = list(_neighbours(self.dims, self.spacing))
        degrees = np.zeros(self.dims)
        for w, here, there in self._pairs:
            share = w if self.kappa is None else w * self.kappa.host[here] * self.kappa.host[there]
            degrees[here] += share
            degrees[there] += share
        self._L = 4 / self.eps * float(degrees.max())

    def _checked(self, kappa: Array) -> np.ndarray:
        host = host_array(kappa, "kappa", "an array of factors")
        if host.shape != self.dims:
            raise ValueError(f"kappa has shape {host.shape}; expected {self.dims}, the shape of the image")
        if (host < 0).any():
            raise ValueError(f"kappa has negative entries, down to {host.min():g}; expected factors >= 0")
        return host

    # ------------------------------------------------------------ pair by pair

    def _terms(self, x: Array) -> Iterator[tuple[Any, Array, Array, Part, Part]]:
        """w κ_j κ_k, t, s (NaN where it is not positive) and the two places of the pairs, direction by direction."""
        xp, z = backend.array_module(x), x.reshape((-1, *self.dims))
        for w, here, there in self._pairs:
            here, there = (slice(None), *here), (slice(None), *there)
            d = z[here] - z[there]
            s = z[here] + z[there]
            s += self.gamma * abs(d)
            s += self.eps
            s = xp.where(s > 0, s, xp.asarray(np.nan, dtype=s.dtype))
            d /= s
            yield self._share(w, z, here, there), d, s, here, there

    def _share(self, w: float, z: Array, here: Part, there: Part) -> Any:
        if self.kappa is None:
            return w
        k = self.kappa.like(z)[None]
        return (w * k[here] * k[there]).astype(z.dtype)

    def _value(self, x: Array, batch: bool) -> Any:
        values = 0.0
        for w, t, s, _, _ in self._terms(x):
            values = values + backend.reduce_sum(w * t * t * s, True)
        return np.where(np.isnan(values), math.inf, values)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        g = self._zeros(x)
        for w, t, _, here, there in self._terms(x):
            flat = 2 - self.gamma * abs(t)
            g[here] += w * t * (flat - t)
            g[there] -= w * t * (flat + t)
        out[...] = g.reshape(out.shape)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        g, v = self._zeros(x), v.reshape((-1, *self.dims))
        for w, t, s, here, there in self._terms(x):
            flat = 1 - self.gamma * abs(t)
            slope = 2 * w / s * ((flat - t) * v[here] - (flat + t) * v[there])
            g[here] += slope * (flat - t)
            g[there] -= slope * (flat + t)
        out[...] = g.reshape(out.shape)

    def diagonal_bound(self, x: Array, times: Any = 1.0) -> Array:
        """``times`` · d, ∇²f(x) <= diag(d) at x >= 0: (2/s) q qᵀ is at most (2/s) ‖q‖₁ diag(|q|) for each pair."""
        d = self._zeros(x)
        for w, t, s, here, there in self._terms(x):
            flat = 1 - self.gamma * abs(t)
            size = 4 * w * flat / s  # q has one sign in each place
            d[here] += size * (flat - t)
            d[there] += size * (flat + t)
        return abs(self.weight) * (d.reshape(x.shape) * times)  # d alone may leave single precision

    def _zeros(self, x: Array) -> Array:
        return backend.array_module(x).zeros((x.size // math.prod(self.dims), *self.dims), dtype=x.dtype)


def _neighbours(dims: tuple[int, ...], spacing: tuple[float, ...]) -> Iterator[tuple[float, Part, Part]]:
    """Weight and places of the pairs of neighbours, direction by direction, each pair once."""
    for steps in itertools.product((-1, 0, 1), repeat=len(dims)):
        if steps > (0,) * len(dims) and all(abs(k) < n for k, n in zip(steps, dims, strict=True)):
            distance = math.sqrt(sum((k * h) ** 2 for k, h in zip(steps, spacing, strict=True)))
            here = tuple(slice(max(-k, 0), n - max(k, 0)) for k, n in zip(steps, dims, strict=True))
            there = tuple(slice(max(k, 0), n - max(-k, 0)) for k, n in zip(steps, dims, strict=True))
            yield min(spacing) / distance, here, there
