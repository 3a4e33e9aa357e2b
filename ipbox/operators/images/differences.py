"""Finite differences along one axis, any scheme and boundary: values, adjoint, exact norm, checks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import Array, array_module
from ipbox.checks import check_choice, is_number, shown

# Which part of the difference x[i + 1] - x[i] goes to index i, and which to i + 1.
SHARES = {"forward": (1.0, 0.0), "backward": (0.0, 1.0), "central": (0.5, 0.5)}
BOUNDARIES = ("neumann", "periodic")


def difference(x: Array, out: Array, axis: int, scheme: str, boundary: str, w: float) -> None:
    """out += w times the differences of ``x`` along ``axis`` of the arrays."""
    xp = array_module(x, out)
    x, out = xp.moveaxis(x, axis, -1), xp.moveaxis(out, axis, -1)
    here, there = SHARES[scheme]
    steps = x[..., 1:] - x[..., :-1]
    if here:
        out[..., :-1] += (here * w) * steps
    if there:
        out[..., 1:] += (there * w) * steps
    if boundary == "periodic":
        step = x[..., :1] - x[..., -1:]
        out[..., -1:] += (here * w) * step
        out[..., :1] += (there * w) * step


def difference_adjoint(y: Array, out: Array, axis: int, scheme: str, boundary: str, w: float) -> None:
    """out += the adjoint of `difference`."""
    xp = array_module(y, out)
    y, out = xp.moveaxis(y, axis, -1), xp.moveaxis(out, axis, -1)
    here, there = SHARES[scheme]
    steps = (here * w) * y[..., :-1] + (there * w) * y[..., 1:]
    out[..., 1:] += steps
    out[..., :-1] -= steps
    if boundary == "periodic":
        step = (here * w) * y[..., -1:] + (there * w) * y[..., :1]
        out[..., :1] += step
        out[..., -1:] -= step


def difference_norm(n: int, scheme: str, boundary: str) -> float:
    """The norm of the differences along an axis of n pixels of width 1.

    Neumann: the singular vectors are cos(πk(i + ½)/n), k < n, and the singular values 2 sin(πk/(2n)) for forward and
    backward, sin(πk/n) for central differences.  Periodic: exp(2πi ki/n), with 2 sin(πk/n) and |sin(2πk/n)|.
    """
    k = np.arange(n)
    angle = (np.pi if boundary == "periodic" else np.pi / 2) * k / n
    if scheme != "central":
        return 2 * float(np.sin(angle).max())
    return float(np.abs(np.sin(2 * angle)).max()) if n > 2 or boundary == "neumann" else 0.0


# ---------------------------------------------------------------- checks


def check_scheme(scheme: Any, boundary: Any) -> tuple[str, str]:
    """The two names, if they are known."""
    return check_choice(scheme, "scheme", SHARES), check_choice(boundary, "boundary", BOUNDARIES)


def spread(sizes: tuple[float, ...], axes: tuple[int, ...], nd: int) -> tuple[float, ...]:
    """The voxel sizes of these of nd axes; inf along the others, where differences are then 0."""
    of = dict(zip(axes, sizes, strict=True))
    return tuple(of.get(a, math.inf) for a in range(nd))


def check_spacing(spacing: Any, nd: int) -> tuple[float, ...]:
    """``spacing`` as ``nd`` positive floats; one number stands for all axes."""
    sizes = (spacing,) * nd if is_number(spacing) else tuple(np.atleast_1d(spacing).tolist())
    if len(sizes) != nd or not all(is_number(h) and 0 < h < math.inf for h in sizes):
        what = "one positive number" if nd == 1 else f"a positive number or {nd} of them"
        raise ValueError(f"spacing is {shown(spacing)}; expected {what}")
    return tuple(float(h) for h in sizes)
