"""The kernels as readable compositions of array functions: what the fused ones are tested against.

Same signatures as in `ipbox.kernels`, where they are documented.
"""

from __future__ import annotations

import math
from typing import Any

from ipbox.backend import Array, array_module


def _component(y: Array, a: int, ndim: int) -> Array:
    """y_a, the component of a vector field along axis a of the image."""
    return y[(Ellipsis, a) + (slice(None),) * ndim]


def _along(x: Array, a: int, ndim: int) -> Array:
    """A view of ``x`` with axis a of the image last."""
    return array_module(x).moveaxis(x, x.ndim - ndim + a, -1)


def gradient(x: Array, out: Array, ndim: int) -> None:
    for a in range(ndim):
        xa, da = _along(x, a, ndim), _along(_component(out, a, ndim), a, ndim)
        da[..., :-1] = xa[..., 1:] - xa[..., :-1]
        da[..., -1:] = 0


def gradient_adjoint(y: Array, out: Array, ndim: int, add: bool = False) -> None:
    if not add:
        out[...] = 0
    for a in range(ndim):
        ya, da = _along(_component(y, a, ndim), a, ndim), _along(out, a, ndim)
        da[..., 1:] += ya[..., :-1]
        da[..., :-1] -= ya[..., :-1]


def tv_dual_step(y: Array, x_bar: Array, sigma: float, radius: float, ndim: int, isotropic: bool = True) -> None:
    xp = array_module(y, x_bar)
    step = xp.empty_like(y)
    gradient(x_bar, step, ndim)
    y += sigma * step
    if isotropic:
        tiny = float(xp.finfo(y.dtype).tiny)  # where the length is 0 it is within every radius
        length = xp.sqrt(xp.sum(y * y, axis=y.ndim - ndim - 1, keepdims=True))
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
    x: Array,
    y: Array,
    tau: float,
    theta: float,
    x_bar: Array,
    ndim: int,
    lo: float = -math.inf,
    hi: float = math.inf,
    b: Array | None = None,
    w: float = 0.0,
) -> None:
    d = array_module(x, y).empty_like(x)
    gradient_adjoint(y, d, ndim)
    primal_step(x, d, tau, theta, x_bar, lo, hi, b, w)


def tv_value(x: Array, ndim: int, isotropic: bool = True) -> Any:
    xp = array_module(x)
    x = x.astype(xp.float64)
    batch = x.shape[: x.ndim - ndim]
    y = xp.empty(batch + (ndim,) + x.shape[len(batch) :])
    gradient(x, y, ndim)
    size = xp.sqrt(xp.sum(y * y, axis=len(batch))) if isotropic else xp.sum(xp.abs(y), axis=len(batch))
    return xp.sum(size, axis=tuple(range(len(batch), size.ndim)))
