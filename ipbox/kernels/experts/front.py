"""What Fields of Experts need besides products of matrices: windows of images as columns, and the experts' functions.

Responses t are (..., K, m, n), one image for each filter.  The experts are w √(t² + ν²) - v √(t² + η²); the rows of
``p`` (4, K), float64 on the host, are w, ν², v and η².  The second part of the experts, which is not convex, counts in
the pixels ``inside`` = (i0, i1, j0, j1) alone.
"""

from __future__ import annotations

import numpy as np

from ipbox.backend import Array, array_module, is_device, to_device, to_host
from ipbox.kernels.core.launch import Kernels

__all__ = ["add_columns", "columns", "experts_change", "experts_influence", "experts_linearised", "experts_sums"]
__all__ += ["experts_value"]

KERNELS = Kernels("experts")
Inside = tuple[int, int, int, int]


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
        KERNELS.run("columns", out, u, size, out, work=out.size // 8)
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
        KERNELS.run("add_columns", c, c, size, out, work=c.size // 8)
        return
    m, n = c.shape[-2:]
    for tap in range(size * size):
        a, b = divmod(tap, size)
        out[..., a : a + m, b : b + n] += c[..., tap, :, :]


def experts_value(t: Array, p: np.ndarray, inside: Inside) -> np.ndarray:
    """Σ w √(t² + ν²) - v √(t² + η²) of every expert: float64 on the host, shape (..., K)."""
    if not is_device(t):
        return KERNELS.run("value", t, t, p, inside, work=4 * t.size)
    f, g, _, _ = _parts(t.astype(np.float64), p, inside)
    t2 = t.astype(np.float64) ** 2
    nu2, eta2 = (_images(a, f) for a in p[[1, 3]])
    return to_host((f * (t2 + nu2) - g * (t2 + eta2)).sum(axis=(-1, -2)))


def experts_influence(t: Array, p: np.ndarray, inside: Inside) -> None:
    """t <- w t/s - v t/σ, s = √(t² + ν²), σ = √(t² + η²), in place."""
    if not is_device(t):
        KERNELS.run("influence", t, t, p.astype(t.dtype), inside, work=4 * t.size)
        return
    f, g, _, _ = _parts(t, p, inside)
    t *= f - g


def experts_linearised(t: Array, r: Array, p: np.ndarray, inside: Inside) -> None:
    """r <- (w ν²/s³ - v η²/σ³) r, in place: the derivative of the influence along r."""
    if not is_device(t):
        KERNELS.run("linearised", t, t, r, p.astype(t.dtype), inside, work=4 * t.size)
        return
    f, g, h, k = _parts(t, p, inside)
    r *= f * h - g * k


def experts_sums(t: Array, r: Array, p: np.ndarray, inside: Inside) -> np.ndarray:
    """Σ r times the derivatives of the influence by log w, log ν, log v, log η: float64 on the host, (..., 4, K)."""
    if not is_device(t):
        return KERNELS.run("sums", t, t, r, p.astype(t.dtype), inside, work=4 * t.size)
    t, r = t.astype(np.float64), r.astype(np.float64)
    f, g, h, k = _parts(t, p, inside)
    y = t * r
    parts = [(y * a).sum(axis=(-1, -2)) for a in (f, -f * h, -g, g * k)]
    return to_host(array_module(t).stack(parts, axis=-2))


def experts_change(t: Array, r: Array, d: np.ndarray, p: np.ndarray, inside: Inside) -> None:
    """r <- (w ν²/s³ - v η²/σ³) r + the derivative of the influence along d = (dlog w, dlog ν, dlog v, dlog η).

    t becomes its influence.
    """
    if not is_device(t):
        KERNELS.run("change", t, t, r, d.astype(t.dtype), p.astype(t.dtype), inside, work=4 * t.size)
        return
    f, g, h, k = _parts(t, p, inside)
    dw, dnu, dv, deta = (_images(a, t) for a in d)
    r *= f * h - g * k
    r += (f * (dw - dnu * h) - g * (dv - deta * k)) * t
    t *= f - g


def _parts(t: Array, p: np.ndarray, inside: Inside) -> tuple[Array, Array, Array, Array]:
    """w/s, v/σ, ν²/s² and η²/σ², by array functions."""
    xp = array_module(t)
    w, nu2, v, eta2 = (_images(a, t) for a in p)
    mask = xp.zeros(t.shape[-2:], dtype=t.dtype)
    mask[inside[0] : inside[1], inside[2] : inside[3]] = 1
    s2, sigma2 = t * t + nu2, t * t + eta2
    return w / xp.sqrt(s2), v * mask / xp.sqrt(sigma2), nu2 / s2, eta2 / sigma2


def _images(a: np.ndarray, like: Array) -> Array:
    """A number for each expert, ready to multiply responses."""
    return to_device(a.astype(like.dtype)[:, None, None], array_module(like))
