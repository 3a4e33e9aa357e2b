"""What Fields of Experts need besides products of matrices: windows of images as columns, and the experts' functions."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np

from ipbox.backend import Array, array_module, is_device, reduce_sum, to_device

__all__ = ["add_columns", "columns", "experts_influence", "experts_linearised", "experts_value"]


def columns(u: Array, size: int, out: Array) -> Array:
    """out[.., (a, b), i, j] = u[.., i + a, j + b]: the windows of images, one to a column.

    Parameters
    ----------
    u : array, shape (..., M, N)
    size : int
        Pixels a side of a window.
    out : array, shape (..., size², M - size + 1, N - size + 1)
        Overwritten, and returned.  On the host both are single images.

    Examples
    --------
    >>> import numpy as np
    >>> columns(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 2, np.empty((4, 1, 2)))[:, 0].tolist()
    [[1.0, 2.0], [2.0, 3.0], [4.0, 5.0], [5.0, 6.0]]
    """
    if not is_device(u):
        _cpu().columns.run(out.size // 8, u, size, out)
        return out
    m, n = out.shape[-2:]
    for tap in range(size * size):
        a, b = divmod(tap, size)
        out[..., tap, :, :] = u[..., a : a + m, b : b + n]
    return out


def add_columns(c: Array, size: int, out: Array) -> None:
    """The adjoint of `columns`, added to ``out``.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.zeros((2, 3))
    >>> add_columns(np.ones((4, 1, 2)), 2, u)
    >>> u.tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    if not is_device(c):
        _cpu().add_columns.run(c.size // 8, c, size, out)
        return
    m, n = c.shape[-2:]
    for tap in range(size * size):
        a, b = divmod(tap, size)
        out[..., a : a + m, b : b + n] += c[..., tap, :, :]


def experts_value(t: Array, w: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """w_k Σ √(t_k² + ν_k²), float64 on the host, shape (..., K), for responses t (..., K, P)."""
    if not is_device(t):
        return _cpu().value.run(t.size, t, w, nu * nu)
    xp = array_module(t)
    s = xp.sqrt(t.astype(np.float64) ** 2 + _column(nu * nu, t, np.float64))
    return w * reduce_sum(s.reshape(-1, s.shape[-1]), True).reshape(t.shape[:-1])


def experts_influence(t: Array, w: np.ndarray, nu: np.ndarray) -> None:
    """t <- w t/√(t² + ν²), in place."""
    if not is_device(t):
        w, nu2 = w.astype(t.dtype), (nu * nu).astype(t.dtype)
        _cpu().influence.run(4 * t.size, t, w, nu2)
        return
    t *= _column(w, t) / array_module(t).sqrt(t * t + _column(nu * nu, t))


def experts_linearised(t: Array, v: Array, w: np.ndarray, nu: np.ndarray) -> None:
    """v <- w ν² v/√(t² + ν²)³, in place: the derivative of the influence along v."""
    if not is_device(t):
        w, nu2 = w.astype(t.dtype), (nu * nu).astype(t.dtype)
        _cpu().linearised.run(4 * t.size, t, v, w, nu2)
        return
    r = t * t + _column(nu * nu, t)
    v *= _column(w * nu * nu, t) / (r * array_module(t).sqrt(r))


def _column(a: np.ndarray, like: Array, dtype: object = None) -> Array:
    """A number for each expert, ready to multiply responses."""
    return to_device(a.astype(like.dtype if dtype is None else dtype)[:, None], array_module(like))


@functools.cache
def _cpu() -> ModuleType:
    from ipbox.kernels import filters_cpu

    return filters_cpu
