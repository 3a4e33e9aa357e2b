"""Fields of Experts as a functional, for given filters and experts."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import REAL_DTYPES, Functional, Work, buffer, shared
from ipbox.functionals.regularisers.filter_bounds import correlation_bound
from ipbox.functionals.total_variation.smoothed_norm import THIRD
from ipbox.kernels.experts import front as kernels

CACHE = 1 << 20  # bytes of the windows, and of the responses, that are in work at a time on the host


class Experts(Functional):
    """R(u) = Σ_k Σ_i w_k √((c_k∗u)_i² + ν_k²) - v_k √((c_k∗u)_i² + η_k²) of real images.

    (c∗u)_i = Σ_m c_m u_{i+m} over the window centred at i, u reflected about its boundary.  The second sum has only
    those i whose windows lie in the image.

    Parameters
    ----------
    dims : tuple of int
        Shape of an image.
    filters : array, shape (K, s, s)
        c_k, s odd.
    weights, nu : array, shape (K,)
        w_k > 0 and ν_k > 0.
    v, eta : array, shape (K,), optional
        v_k >= 0 and η_k > 0; without them R is convex.
    """

    dims: tuple[int, ...]
    has_grad = True
    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES

    def __init__(
        self,
        dims: tuple[int, ...],
        filters: np.ndarray,
        weights: np.ndarray,
        nu: np.ndarray,
        v: np.ndarray | None = None,
        eta: np.ndarray | None = None,
    ) -> None:
        super().__init__(dims)
        self.filters, self.weights, self.nu, self.v, self.eta = filters, weights, nu, v, eta
        self.size = filters.shape[-1]
        self.margin = self.size // 2
        none = np.zeros_like(weights)
        self._p = np.stack([weights, nu**2, *((none, none + 1) if v is None else (v, np.square(eta)))])

    @functools.cached_property
    def _L(self) -> float:
        return max(correlation_bound(self.filters, self.weights / self.nu), -self._mu)

    @functools.cached_property
    def _mu(self) -> float:
        """Minus the modulus of weak convexity: the second derivative of √(t² + η²) is at most 1/η."""
        return 0.0 if self.v is None else -correlation_bound(self.filters, self.v / self.eta, symmetric=False)

    @property
    def is_convex(self) -> bool:
        return self.weight >= 0 and self._mu >= 0

    @functools.cached_property
    def _hessian_lipschitz(self) -> float:
        # third derivatives of √(t² + ν²) are at most THIRD/ν², and |(c∗u)_i| <= 2‖c‖‖u‖: a corner has pixels four times
        return correlation_bound(self.filters, 2 * self._third * np.sqrt((self.filters**2).sum(axis=(1, 2))))

    @property
    def _third(self) -> np.ndarray:
        """Largest third derivative of every expert."""
        return THIRD * (self.weights / self.nu**2 + (0.0 if self.v is None else self.v / np.square(self.eta)))

    def hessian_variation(self, q: Array) -> np.ndarray:
        """‖Σ_k h_k C_kᵀC_k‖, h_k the largest third derivative of expert k times the largest |(c_k∗q)_i|."""
        u = self._extend(q)
        work: dict[str, Any] = {}
        s = np.zeros((len(u), len(self.filters)))
        for part, _ in self._parts(u):
            t = self._responses(u[part], self.filters, work)[1]
            s[part[0]] = np.maximum(s[part[0]], backend.to_host(abs(t).max(axis=(-1, -2))))
        largest = s.max(axis=0)  # of all samples, since the bound takes milliseconds
        share = np.divide(s, largest, out=np.zeros_like(s), where=largest > 0).max(axis=1)
        bound = abs(self.weight) * correlation_bound(self.filters, self._third * largest)
        return np.minimum(bound * share, super().hessian_variation(q))

    # ------------------------------------------------------------ f and its derivatives by u

    def _value(self, x: Array, batch: bool) -> Any:
        u = self._extend(x, np.float64)
        work: dict[str, Any] = {}
        values = np.zeros(len(u))
        for part, inside in self._parts(u):
            t = self._responses(u[part], self.filters, work)[1]
            values[part[0]] += kernels.experts_value(t, self._p, inside).sum(axis=-1)
        return values

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        u, work = self._extend(x), shared(work)
        g = backend.array_module(x).zeros_like(u)
        for part, inside in self._parts(u):
            c, t = self._responses(u[part], self.filters, work)
            kernels.experts_influence(t, self._p, inside)
            self._spread(t, self.filters, c, g[part])
        out[...] = self._fold(g).reshape(out.shape)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        u, d, work = self._extend(x), self._extend(v), shared(work)
        g = backend.array_module(x).zeros_like(u)
        for part, inside in self._parts(u):
            t = self._responses(u[part], self.filters, work)[1]
            c, r = self._responses(d[part], self.filters, work, "along v")
            kernels.experts_linearised(t, r, self._p, inside)
            self._spread(r, self.filters, c, g[part])
        out[...] = self._fold(g).reshape(out.shape)

    # ------------------------------------------------------------ derivatives by the parameters

    def mixed(self, u: Array, q: Array) -> tuple[np.ndarray, np.ndarray]:
        """<∂∇f(u), q> by log w, log ν, log v, log η (n, 4, K) and by the filters (n, K, s, s), in float64.

        Within a part of an image, products are summed in the precision of ``u``.
        """
        u, q = self._extend(u), self._extend(q)
        n, K = len(u), len(self.filters)
        by_p, by_c = np.zeros((n, 4, K)), np.zeros((n, K, self.size**2))
        work: dict[str, Any] = {}
        for part, inside in self._parts(u):
            cu, t = self._responses(u[part], self.filters, work)
            cq, r = self._responses(q[part], self.filters, work, "along v")
            by_p[part[0]] += kernels.experts_sums(t, r, self._p, inside)
            kernels.experts_change(t, r, np.zeros((4, K)), self._p, inside)
            by_c[part[0]] += backend.to_host(_flat(t) @ _flat(cq).swapaxes(-1, -2))
            by_c[part[0]] += backend.to_host(_flat(r) @ _flat(cu).swapaxes(-1, -2))
        return by_p, by_c.reshape(n, K, self.size, self.size)

    def mixed_apply(self, u: Array, dp: np.ndarray, dc: np.ndarray) -> Array:
        """The change of ∇f(u) with (log w, log ν, log v, log η), shape (4, K), and with the filters."""
        shape, u = u.shape, self._extend(u)
        g = backend.array_module(u).zeros_like(u)
        work: dict[str, Any] = {}
        for part, inside in self._parts(u):
            c, t = self._responses(u[part], self.filters, work)
            r = self._responses(u[part], dc, work, "along v")[1]
            kernels.experts_change(t, r, dp, self._p, inside)
            self._spread(t, dc, c, g[part])
            self._spread(r, self.filters, c, g[part])
        return self._fold(g).reshape(shape)

    # ------------------------------------------------------------ correlations

    def _extend(self, x: Array, dtype: Any = None) -> Array:
        """Images (n, M + s - 1, N + s - 1) by reflection."""
        xp, m = backend.array_module(x), self.margin
        x = x.reshape((-1, *self.dims)).astype(x.dtype if dtype is None else dtype, copy=False)
        return xp.pad(x, ((0, 0), (m, m), (m, m)), mode="symmetric")

    def _fold(self, g: Array) -> Array:
        """The adjoint of `_extend`; overwrites ``g``."""
        m = self.margin
        g[:, m : 2 * m] += g[:, :m][:, ::-1]
        g[:, -2 * m : -m] += g[:, -m:][:, ::-1]
        g[:, :, m : 2 * m] += g[:, :, :m][:, :, ::-1]
        g[:, :, -2 * m : -m] += g[:, :, -m:][:, :, ::-1]
        return g[:, m:-m, m:-m]

    def _parts(self, u: Array) -> Iterator[tuple[tuple[Any, ...], kernels.Inside]]:
        """Indices of the parts of extended images that are in work at a time: rows of an image, that fit in cache.

        With them, where windows lie in the image.
        """
        margin, (rows, n) = self.margin, (k - self.size + 1 for k in u.shape[1:])
        across = (margin, n - margin) if self.v is not None else (0, 0)
        if backend.is_device(u):
            yield (slice(None),), (margin, rows - margin, *across)
            return
        step = max(1, CACHE // (self.size**2 * n * u.itemsize))
        step = -(-rows // -(-rows // step))  # parts of about the same size
        for i in range(len(u)):
            for first in range(0, rows, step):
                last = min(first + step, rows)
                inside = max(margin - first, 0), max(min(last, rows - margin) - first, 0), *across
                yield (i, slice(first, last + self.size - 1)), inside

    def _responses(self, u: Array, filters: np.ndarray, work: Work, key: str = "") -> tuple[Array, Array]:
        """The windows of (part of) an image as columns (.., s², m, n), and the filters' responses (.., K, m, n)."""
        m, n = (k - self.size + 1 for k in u.shape[-2:])
        batch = u.shape[:-2]
        c = buffer(work, f"windows {key}{m}", u, (*batch, self.size**2, m, n))
        t = buffer(work, f"responses {key}{m}", u, (*batch, len(filters), m, n))
        kernels.columns(u, self.size, c)
        backend.array_module(u).matmul(self._matrix(filters, u), _flat(c), out=_flat(t))
        return c, t

    def _spread(self, t: Array, filters: np.ndarray, c: Array, g: Array) -> None:
        """Add Σ_k c_kᵀ t_k to (part of) an image; ``c`` is overwritten."""
        backend.array_module(t).matmul(self._matrix(filters, t).T, _flat(t), out=_flat(c))
        kernels.add_columns(c, self.size, g)

    def _matrix(self, filters: np.ndarray, like: Array) -> Array:
        return backend.to_device(filters.reshape(len(filters), -1).astype(like.dtype), backend.array_module(like))


def _flat(t: Array) -> Array:
    """The view (..., K, m n)."""
    return t.reshape((*t.shape[:-2], -1))
