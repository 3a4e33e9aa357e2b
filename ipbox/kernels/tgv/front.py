"""The steps of primal-dual TGV: one name each for the Numba kernel of the CPU and for that of the GPU.

TGV² of an image u with the vector field v is α1 ‖∇u - v‖_{2,1} + α0 ‖E v‖_{2,1}: ∇ by forward differences, v_a where
∂_a⁺u exists (not at the last index of axis a, where v_a and p_a are 0), E v = ½(J + Jᵀ) with J_ab = ∂_b⁻v_a where both
of its entries exist.  So affine images cost nothing.  The dual variable y = (p, q) holds c components of p and then
those of the symmetric q: the diagonal, and √2 times the pairs a < b, so that |q| is the Frobenius norm.

Arrays are float32, float64 or complex (by real and imaginary parts, which the moduli of p and q couple; for these there
are no fused kernels), C-contiguous, of one library: u batch + dims, v batch + (c,) + dims, y batch + (c + m,) +
dims with c = 2 or 3 image axes and m = c (c + 1)/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox.backend import Array, array_module, is_array, is_device, to_host
from ipbox.kernels.core.launch import Kernels
from ipbox.kernels.core.layout import check_arrays, check_distinct, check_same_shape, fields, images, unit_of

KERNELS = Kernels("tgv")


def components(c: int) -> int:
    """Number of components of y: 5 in two dimensions, 9 in three.

    Examples
    --------
    >>> components(2), components(3)
    (5, 9)
    """
    return c + c * (c + 1) // 2


def tgv_forward(u: Array, v: Array, out: Array, spacing: tuple[float, ...]) -> None:
    """Write K(u, v) = (∇u - v, E v).

    Raises
    ------
    TypeError, ValueError
        if an array is not what the module's first lines ask for.

    Examples
    --------
    >>> import numpy as np
    >>> u, v = np.add.outer(2.0 * np.arange(3), np.arange(4.0)), np.zeros((2, 3, 4))
    >>> v[0, :-1], v[1, :, :-1] = 2.0, 1.0
    >>> K = np.empty((5, 3, 4))
    >>> tgv_forward(u, v, K, spacing=(1.0, 1.0))
    >>> float(abs(K).max())  # nothing is left of an affine image
    0.0
    """
    if _is_complex(u):
        _by_parts(lambda u, v, out: tgv_forward(u, v, out, spacing), [u, v], [out])
        return
    _check(("out",), spacing, u=u, v=v, y=out)
    KERNELS.run("tgv_forward", u, *_views(spacing, u, v, out), *_weights(u, spacing), u.dtype.type(1))


def tgv_adjoint(y: Array, u: Array, v: Array, spacing: tuple[float, ...], add: bool = False) -> None:
    """Write K*(p, q) = (∇*p, E*q - p); with ``add`` the image is added to ``u``.

    Examples
    --------
    >>> import numpy as np
    >>> y, u, v = np.zeros((5, 2, 2)), np.empty((2, 2)), np.empty((2, 2, 2))
    >>> y[0, 0, 0] = 1.0
    >>> tgv_adjoint(y, u, v, spacing=(1.0, 1.0))
    >>> u.tolist(), v[0].tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[-1.0, 0.0], [0.0, 0.0]])
    """
    if _is_complex(u):
        _by_parts(lambda y, u, v: tgv_adjoint(y, u, v, spacing, add), [y], [u, v])
        return
    _check(("u", "v"), spacing, u=u, v=v, y=y)
    u_, v_, y_ = _views(spacing, u, v, y)
    KERNELS.run("tgv_adjoint", u, y_, u_, v_, *_weights(u, spacing), bool(add))


def tgv_dual_step(
    y: Array,
    u_bar: Array,
    v_bar: Array,
    sigma: float,
    radius_p: float,
    radius_q: float,
    spacing: tuple[float, ...],
    rho: float = 1.0,
) -> None:
    """y ← (1 - ρ) y + ρ P(y + σ K(ū, v̄)), with P the projection on |p| <= radius_p, |q| <= radius_q in every pixel.

    Examples
    --------
    >>> import numpy as np
    >>> y, u, v = np.zeros((5, 1, 3)), np.array([[0.0, 3.0, 3.5]]), np.zeros((2, 1, 3))
    >>> tgv_dual_step(y, u, v, 1.0, 2.0, 1.0, spacing=(1.0, 1.0))
    >>> y[1].tolist()
    [[2.0, 0.5, 0.0]]
    """
    if not _is_complex(y):
        _check(("y",), spacing, u=u_bar, v=v_bar, y=y)
    if not (radius_p >= 0 and radius_q >= 0):
        raise ValueError(f"radius_p is {radius_p} and radius_q {radius_q}; expected numbers that are not negative")
    if _is_complex(y):
        _complex_dual_step(y, u_bar, v_bar, sigma, (radius_p, radius_q), spacing, rho)
        return
    u_, v_, y_ = _views(spacing, u_bar, v_bar, y)
    real = u_bar.dtype.type
    units = unit_of(radius_p, real), unit_of(radius_q, real)
    steps = (real(sigma), real(radius_p), real(radius_q), *units, real(rho))
    KERNELS.run("tgv_dual_step", u_bar, y_, u_, v_, *steps, *_weights(u_bar, spacing), real(1))


def tgv_sizes(u: Array, v: Array, spacing: tuple[float, ...]) -> np.ndarray:
    """‖∇u - v‖_{2,1} and ‖E v‖_{2,1} of every sample, float64, shape (2, samples).

    Examples
    --------
    >>> import numpy as np
    >>> tgv_sizes(np.array([[0.0, 3.0], [4.0, 0.0]]), np.zeros((2, 2, 2)), (1.0, 1.0)).tolist()
    [[12.0], [0.0]]
    """
    if not _is_complex(u):
        _check((), spacing, u=u, v=v)
    u_, v_ = _views(spacing, u, v)
    if not is_device(u) and not _is_complex(u):
        sizes = KERNELS.run("tgv_sizes", u, u_, v_, *_weights(u, spacing))
        return np.zeros((2, len(u_))) if sizes is None else sizes
    c = len(spacing)
    xp, y = array_module(u), array_module(u).empty(v.shape[: v.ndim - c - 1] + (components(c),) + u.shape[-c:], u.dtype)
    tgv_forward(u, v, y, spacing)
    y = y.reshape((len(u_), components(c)) + u.shape[-c:])
    y = y.astype(np.complex128 if _is_complex(y) else np.float64)
    parts = [xp.sqrt((abs(part) ** 2).sum(axis=1)).reshape(len(u_), -1).sum(axis=1) for part in (y[:, :c], y[:, c:])]
    return to_host(xp.stack(parts))


def relaxed_step(
    x: Array, d: Array, tau: float, rho: float, x_bar: Array, b: Array | None = None, w: float = 1.0
) -> None:
    """z = prox_{τ w/2 ‖· - b‖²}(x - τd), x̄ = 2z - x, x ← (1 - ρ) x + ρ z: Condat's over-relaxed primal step.

    Without ``b`` there is no data term.

    References
    ----------
    L. Condat, A primal-dual splitting method for convex optimization involving Lipschitzian, proximable and linear
    composite terms, J. Optim. Theory Appl. 158 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> x, x_bar = np.array([1.0]), np.empty(1)
    >>> relaxed_step(x, np.array([1.0]), 0.5, 1.5, x_bar)
    >>> x.tolist(), x_bar.tolist()
    ([0.25], [0.0])
    """
    check_arrays(("x", "x_bar"), x=x, d=d, x_bar=x_bar, **({} if b is None else {"b": b}))
    check_same_shape("x", x, d=d, x_bar=x_bar, **({} if b is None else {"b": b}))
    check_distinct(x, x_bar)
    real = x.dtype.type
    flat = [a.reshape(-1) for a in (x, d, x_bar, x if b is None else b)]
    KERNELS.run("relaxed_step", x, *flat, b is not None, real(tau), real(tau * w), real(1 + tau * w), real(rho))


# ---------------------------------------------------------------- complex images


def _is_complex(a: Array) -> bool:
    return is_array(a) and a.dtype.kind == "c"


def _by_parts(run: Callable[..., None], of: list[Array], out: list[Array]) -> None:
    """A map that is linear over the reals, of real and imaginary parts; what it adds to is read."""
    xp = array_module(*of)
    for part in ("real", "imag"):
        results = [xp.ascontiguousarray(_part(a, part)) for a in out]
        run(*(xp.ascontiguousarray(_part(a, part)) for a in of), *results)
        for a, result in zip(out, results, strict=True):
            _part(a, part)[...] = result


def _part(a: Array, part: str) -> Array:
    return a.real if part == "real" else a.imag


def _complex_dual_step(
    y: Array, u_bar: Array, v_bar: Array, sigma: float, radii: tuple[float, ...], spacing: tuple[float, ...], rho: float
) -> None:
    """The step, whose balls couple real and imaginary parts, array by array."""
    xp, c = array_module(y), len(spacing)
    z = xp.empty_like(y)
    tgv_forward(u_bar, v_bar, z, spacing)
    z *= y.real.dtype.type(sigma)
    z += y
    axis = y.ndim - c - 1
    for part, radius in ((slice(0, c), radii[0]), (slice(c, None), radii[1])):
        field = z[(slice(None),) * axis + (part,)]
        size = xp.sqrt((field.real**2 + field.imag**2).sum(axis=axis, keepdims=True))
        field /= xp.maximum(size / radius, 1) if radius > 0 else xp.inf
    y *= y.real.dtype.type(1 - rho)
    z *= y.real.dtype.type(rho)
    y += z


# ---------------------------------------------------------------- checks, views


def _check(written: tuple[str, ...], spacing: tuple[float, ...], u: Array, v: Array, y: Array | None = None) -> None:
    arrays = {"u": u, "v": v} | ({} if y is None else {"out" if "out" in written else "y": y})
    check_arrays(written, **arrays)
    c = len(spacing)
    if c not in (2, 3) or not all(h > 0 for h in spacing):
        raise ValueError(f"spacing is {spacing}; expected two or three positive numbers")
    if u.ndim < c:
        raise ValueError(f"u has shape {u.shape}; expected at least {c} axes")
    batch, dims = u.shape[: u.ndim - c], u.shape[u.ndim - c :]
    for name, a, m in (("v", v, c), ("y", y, components(c))):
        if a is not None and a.shape != batch + (m,) + dims:
            raise ValueError(f"{name} has shape {a.shape}; expected {batch + (m,) + dims} for u of shape {u.shape}")


def _views(spacing: tuple[float, ...], u: Array, *of: Array) -> list[Array]:
    """u as (batch, n0, n1, n), the fields as (batch, components, n0, n1, n)."""
    return [images(u, len(spacing)), *(fields(a, len(spacing)) for a in of)]


def _weights(u: Array, spacing: tuple[float, ...]) -> tuple[Any, ...]:
    """1/h of the axes n0, n1, n, and √½ of them."""
    w = [1.0 / h for h in (1.0,) * (3 - len(spacing)) + tuple(spacing)]
    return tuple(u.dtype.type(k) for k in (*w, *(math.sqrt(0.5) * k for k in w)))
