"""Fields of Experts as a functional: Σ_k w_k Σ_i √((c_k∗u)_i² + ν_k²) for given filters, weights and smoothing."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.transfer import correlation_bound
from ipbox.functionals.base import REAL_DTYPES, Functional, Work, buffer
from ipbox.functionals.smoothed_tv import THIRD
from ipbox.kernels.filters import add_columns, columns, experts_influence, experts_linearised, experts_value

CACHE = 1 << 20  # bytes of the windows and of the responses that are in work at a time on the host


class Experts(Functional):
    """R(u) = Σ_k w_k Σ_i √((c_k∗u)_i² + ν_k²) of real images.

    (c∗u)_i = Σ_m c_m u_{i+m-(s-1)/2}, u reflected about its boundary.

    Parameters
    ----------
    dims : tuple of int
        Shape of an image.
    filters : array, shape (K, s, s)
        c_k, s odd.
    weights, nu : array, shape (K,)
        w_k > 0 and ν_k > 0.
    """

    has_grad = True
    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES

    def __init__(self, dims: tuple[int, int], filters: np.ndarray, weights: np.ndarray, nu: np.ndarray) -> None:
        super().__init__(dims)
        self.filters, self.weights, self.nu = filters, weights, nu
        self.size = filters.shape[-1]
        self.margin = self.size // 2

    @functools.cached_property
    def _L(self) -> float:
        return correlation_bound(self.filters, self.weights / self.nu)

    @functools.cached_property
    def _hessian_lipschitz(self) -> float:
        # third derivatives of √(t² + ν²) are at most THIRD/ν², and |(c∗u)_i| <= 2‖c‖‖u‖: a corner has pixels four times
        norms = np.sqrt((self.filters**2).sum(axis=(1, 2)))
        return correlation_bound(self.filters, 2 * THIRD * self.weights / self.nu**2 * norms)

    def hessian_variation(self, q: Array) -> np.ndarray:
        """T = ‖Σ_k THIRD w_k/ν_k² m_k C_kᵀC_k‖, m_k the largest |c_k∗q| in all images."""
        u, m, work = self._extend(q), np.zeros(len(self.weights)), {}
        for part in self._parts(u):
            _, t = self._responses(u[part], self.filters, work)
            m = np.maximum(m, backend.to_host(abs(t).reshape((-1, *t.shape[-2:])).max(axis=(0, 2))).astype(np.float64))
        T = abs(self.weight) * correlation_bound(self.filters, THIRD * self.weights / self.nu**2 * m)
        return np.minimum(T, super().hessian_variation(q))

    # ------------------------------------------------------------ f and its derivatives by u

    def _value(self, x: Array, batch: bool) -> Any:
        u = self._extend(x, np.float64)
        values, work = np.zeros(len(u)), {}
        for part in self._parts(u):
            _, t = self._responses(u[part], self.filters, work)
            values[part[0]] += experts_value(t, self.weights, self.nu).sum(axis=-1)
        return values if batch else float(values.sum())

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        u, work = self._extend(x), {} if work is None else work
        g = backend.array_module(x).zeros_like(u)
        for part in self._parts(u):
            c, t = self._responses(u[part], self.filters, work)
            experts_influence(t, self.weights, self.nu)
            self._spread(t, self.filters, c, g[part])
        out[...] = self._fold(g).reshape(out.shape)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        u, d, work = self._extend(x), self._extend(v), {} if work is None else work
        g = backend.array_module(x).zeros_like(u)
        for part in self._parts(u):
            _, t = self._responses(u[part], self.filters, work)
            c, r = self._responses(d[part], self.filters, work, "along v")
            experts_linearised(t, r, self.weights, self.nu)
            self._spread(r, self.filters, c, g[part])
        out[...] = self._fold(g).reshape(out.shape)

    # ------------------------------------------------------------ derivatives by the parameters

    def mixed(self, u: Array, q: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """<∂∇f(u), q> by log w, by log ν and by the filters: (n, K), (n, K), (n, K, s, s), in float64.

        Sums over the parts of images are in double precision, within them in that of ``u``.
        """
        u, q = self._extend(u), self._extend(q)
        n, K = len(u), len(self.filters)
        by_w, by_nu, by_c = np.zeros((n, K)), np.zeros((n, K)), np.zeros((n, K, self.size**2))
        work: dict[str, Any] = {}
        for part in self._parts(u):
            cu, t = self._responses(u[part], self.filters, work)
            cq, r = self._responses(q[part], self.filters, work, "along v")
            s = buffer(work, f"influence {t.shape[-1]}", t)
            s[...] = t
            experts_influence(s, self.weights, self.nu)
            by_w[part[0]] += _inner(s, r)
            by_c[part[0]] += backend.to_host(s @ cq.swapaxes(-1, -2))
            experts_linearised(t, r, self.weights, self.nu)
            by_nu[part[0]] -= _inner(t, r)
            by_c[part[0]] += backend.to_host(r @ cu.swapaxes(-1, -2))
        return by_w, by_nu, by_c.reshape(n, K, self.size, self.size)

    def mixed_apply(self, u: Array, dw: np.ndarray, dnu: np.ndarray, dc: np.ndarray) -> Array:
        """The change of ∇f(u) with log w, log ν and the filters."""
        shape, u = u.shape, self._extend(u)
        g = backend.array_module(u).zeros_like(u)
        work: dict[str, Any] = {}
        column = [backend.to_device(a.astype(u.dtype)[:, None], backend.array_module(u)) for a in (dw, dnu)]
        for part in self._parts(u):
            c, t = self._responses(u[part], self.filters, work)
            _, r = self._responses(u[part], dc, work, "along v")
            r -= column[1] * t
            experts_linearised(t, r, self.weights, self.nu)
            experts_influence(t, self.weights, self.nu)
            self._spread(t, dc, c, g[part])
            r += column[0] * t
            self._spread(r, self.filters, c, g[part])
        return self._fold(g).reshape(shape)

    # ------------------------------------------------------------ correlations

    def _extend(self, x: Array, dtype: Any = None) -> Array:
        """Images (n, M + s - 1, N + s - 1) by reflection."""
        if x.dtype.kind == "c":
            raise TypeError(f"x has dtype {x.dtype}; expected real images: Fields of Experts do not take complex ones")
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

    def _parts(self, u: Array) -> Iterator[tuple[Any, ...]]:
        """Indices of the parts of extended images that are in work at a time: rows of an image, that fit in cache."""
        if backend.is_device(u):
            yield (slice(None),)
            return
        rows, n = (k - self.size + 1 for k in u.shape[1:])
        step = max(1, CACHE // (self.size**2 * n * u.itemsize))
        step = -(-rows // -(-rows // step))  # parts of about the same size
        for i in range(len(u)):
            for first in range(0, rows, step):
                yield i, slice(first, min(first + step, rows) + self.size - 1)

    def _responses(self, u: Array, filters: np.ndarray, work: dict[str, Any], key: str = "") -> tuple[Array, Array]:
        """The windows of (part of) an image as columns (.., s², P), and the filters' responses (.., K, P)."""
        m, n = (k - self.size + 1 for k in u.shape[-2:])
        batch, taps = u.shape[:-2], self.size**2
        c = buffer(work, f"windows {key}{m}", u, (*batch, taps, m, n))
        t = buffer(work, f"responses {key}{m}", u, (*batch, len(filters), m * n))
        columns(u, self.size, c)
        c = c.reshape((*batch, taps, m * n))
        return c, backend.array_module(u).matmul(self._matrix(filters, u), c, out=t)

    def _spread(self, t: Array, filters: np.ndarray, c: Array, g: Array) -> None:
        """Add Σ_k c_kᵀ t_k to (part of) an image; ``c`` is overwritten."""
        backend.array_module(t).matmul(self._matrix(filters, t).T, t, out=c)
        m, n = (k - self.size + 1 for k in g.shape[-2:])
        add_columns(c.reshape((*c.shape[:-1], m, n)), self.size, g)

    def _matrix(self, filters: np.ndarray, like: Array) -> Array:
        return backend.to_device(filters.reshape(len(filters), -1).astype(like.dtype), backend.array_module(like))


def _inner(s: Array, r: Array) -> np.ndarray:
    """Σ_i s_ki r_ki of every expert, on the host."""
    return backend.to_host(backend.array_module(s).einsum("...kp,...kp->...k", s, r))
