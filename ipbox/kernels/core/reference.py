"""The kernels as readable compositions of array functions: what the fused ones are tested against.

Same signatures as in `ipbox.kernels`, where they are documented.
"""

from __future__ import annotations

import math
from typing import Any

from ipbox.backend import Array, array_module, to_host
from ipbox.kernels.core.layout import unit_of


def _component(y: Array, a: int, ndim: int) -> Array:
    """y_a, the component of a vector field along axis a of the image."""
    return y[(Ellipsis, a) + (slice(None),) * ndim]


def _along(x: Array, a: int, ndim: int) -> Array:
    """A view of ``x`` with axis a of the image last."""
    return array_module(x).moveaxis(x, x.ndim - ndim + a, -1)


def gradient(x: Array, out: Array, ndim: int) -> None:
    spaced_gradient(x, out, (1.0,) * ndim)


def gradient_adjoint(y: Array, out: Array, ndim: int, add: bool = False) -> None:
    spaced_gradient_adjoint(y, out, (1.0,) * ndim, add)


def tv_dual_step(y: Array, x_bar: Array, sigma: float, radius: float, ndim: int, isotropic: bool = True) -> None:
    xp = array_module(y, x_bar)
    step = xp.empty_like(y)
    gradient(x_bar, step, ndim)
    y += sigma * step
    if isotropic:
        tiny = float(xp.finfo(y.dtype).tiny)  # where the length is 0 it is within every radius
        unit = unit_of(radius, y.dtype.type)
        length, radius = xp.sqrt(xp.sum((unit * y) ** 2, axis=y.ndim - ndim - 1, keepdims=True)), unit * radius
        y *= xp.where(length <= radius, 1.0, radius / xp.maximum(length, tiny))
    else:
        y[...] = xp.minimum(xp.maximum(y, -radius), radius)


def primal_step(
    x: Array,
    d: Array,
    tau: float,
    theta: float,
    x_bar: Array,
    lo: float = -math.inf,
    hi: float = math.inf,
    b: Array | None = None,
    w: float = 0.0,
) -> None:
    xp = array_module(x, d, x_bar)
    z = x - tau * d
    if b is not None:
        z = (z + (tau * w) * b) / (1.0 + tau * w)
    z = xp.minimum(xp.maximum(z, lo), hi)
    x_bar[...] = z + theta * (z - x)
    x[...] = z


def tv_primal_step(
    x: Array, y: Array, tau: float, theta: float, x_bar: Array, ndim: int, *bounds: float, **data: Any
) -> None:
    d = array_module(x, y).empty_like(x)
    gradient_adjoint(y, d, ndim)
    primal_step(x, d, tau, theta, x_bar, *bounds, **data)


def tv_step(
    x: Array,
    x_bar: Array,
    y: Array,
    sigma: float,
    radius: float,
    tau: float,
    theta: float,
    ndim: int,
    isotropic: bool = True,
    *bounds: float,
    d: Array | None = None,
    rho: float = 1.0,
    **data: Any,
) -> None:
    y_before = y.copy()
    tv_dual_step(y, x_bar, sigma, radius, ndim, isotropic)
    if rho != 1:
        x[...] = (2 - rho) * x + (rho - 1) * x_bar  # u + ρ(x - u) of u = 2x - x̄
        y[...] = y_before + rho * (y - y_before)
    total = array_module(x).zeros_like(x) if d is None else d.copy()
    gradient_adjoint(y, total, ndim, add=True)
    primal_step(x, total, tau, theta, x_bar, *bounds, **data)


def tv_dual_change(
    y: Array, x: Array, sigma: float, radius: float, ndim: int, isotropic: bool = True
) -> tuple[Any, Any]:
    xp, axes = array_module(y, x), tuple(range(-ndim - 1, 0))
    new = y.copy()
    tv_dual_step(new, x, sigma, radius, ndim, isotropic)
    wide = new.astype(xp.float64)
    return tuple(to_host(xp.sum(v * v, axis=axes)) for v in (wide - y, wide))


def tv_value(x: Array, ndim: int, isotropic: bool = True) -> Any:
    xp = array_module(x)
    x = x.astype(xp.float64)
    batch = x.shape[: x.ndim - ndim]
    y = xp.empty(batch + (ndim,) + x.shape[len(batch) :])
    gradient(x, y, ndim)
    size = xp.sqrt(xp.sum(y * y, axis=len(batch))) if isotropic else xp.sum(xp.abs(y), axis=len(batch))
    return xp.sum(size, axis=tuple(range(len(batch), size.ndim)))


def tv_dual_size(y: Array, ndim: int, isotropic: bool = True) -> Any:
    xp = array_module(y)
    size, axis = xp.abs(y.astype(xp.float64)), y.ndim - ndim - 1
    size = xp.sqrt(xp.sum(size**2, axis=axis)) if isotropic else xp.max(size, axis=axis)
    if size.size == 0:
        return xp.zeros(size.shape[:axis])
    return xp.max(size, axis=tuple(range(axis, size.ndim)))


# ---------------------------------------------------------------- with voxel sizes (`ipbox.kernels.differences.front`)


def _differences(x: Array, a: int, ndim: int, h: float) -> Array:
    """(x[i + e_a] - x[i]) / h between neighbours, as a view with axis a last."""
    xa = _along(x, a, ndim)
    return (xa[..., 1:] - xa[..., :-1]) / h


def spaced_gradient(x: Array, out: Array, spacing: tuple[float, ...]) -> None:
    nd = len(spacing)
    out[...] = 0
    for a, h in enumerate(spacing):
        _along(_component(out, a, nd), a, nd)[..., :-1] = _differences(x, a, nd, h)


def spaced_gradient_adjoint(y: Array, out: Array, spacing: tuple[float, ...], add: bool = False) -> None:
    nd = len(spacing)
    if not add:
        out[...] = 0
    for a, h in enumerate(spacing):
        ya, da = _along(_component(y, a, nd), a, nd)[..., :-1] / h, _along(out, a, nd)
        da[..., 1:] += ya
        da[..., :-1] -= ya


def _tensor_components(nd: int) -> list[tuple[int, int, float]]:
    """(a, b, factor) of every component of a symmetric tensor: q_ab = factor (∂_a v_b + ∂_b v_a)."""
    diagonal = [(a, a, 0.5) for a in range(nd)]
    return diagonal + [(a, b, math.sqrt(0.5)) for a in range(nd) for b in range(a + 1, nd)]


def symmetrised_gradient(v: Array, out: Array, spacing: tuple[float, ...]) -> None:
    nd = len(spacing)
    out[...] = 0
    for i, (a, b, factor) in enumerate(_tensor_components(nd)):
        for axis, other in ((a, b), (b, a)):
            q = _along(_component(out, i, nd), axis, nd)
            q[..., 1:] += factor * _differences(_component(v, other, nd), axis, nd, spacing[axis])


def symmetrised_gradient_adjoint(q: Array, out: Array, spacing: tuple[float, ...], add: bool = False) -> None:
    nd = len(spacing)
    if not add:
        out[...] = 0
    for i, (a, b, factor) in enumerate(_tensor_components(nd)):
        for axis, other in ((a, b), (b, a)):
            qi = _along(_component(q, i, nd), axis, nd)[..., 1:] * (factor / spacing[axis])
            va = _along(_component(out, other, nd), axis, nd)
            va[..., 1:] += qi
            va[..., :-1] -= qi
