"""CPU kernels (Numba): finite differences and the steps of primal-dual TV, one pass over memory each.

Arrays here are x (batch, n0, n1, n) and y (batch, c, n0, n1, n).  c = 3 components belong to the axes n0,
n1, n; c = 2 (images) to n1, n, and then n0 = 1.  Work is dealt out row by row, a row being contiguous along
n.  A row is touched by several short loops (few pointers each, so that they vectorise) while it sits in the
first-level cache. Along n a difference is one of two shifted views of a row, which leaves no branch in an
inner loop.

Both steps in one pass are in sweep.py.

Scalars come in the dtype of x, so that float32 stays float32.  Only cpu.py is hashed for Numba's cache:
everything a kernel calls must live in this file.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import add_axis_adjoint, add_difference, difference, fill, inline, sum_in_order
from ipbox.kernels.tv.sweep import tv_dual_change, tv_step

__all__ = [
    "gradient",
    "gradient_adjoint",
    "primal_step",
    "tv_dual_change",
    "tv_dual_size",
    "tv_dual_step",
    "tv_primal_step",
    "tv_step",
    "tv_value",
]

# ---------------------------------------------------------------- rows


@inline
def _clip(y, radius):
    # Comparisons are false for NaN, which therefore stays.
    for j in range(y.shape[0]):
        v = radius if y[j] > radius else y[j]
        y[j] = -radius if v < -radius else v


# Lengths are compared in units of the radius (a power of two, ``unit`` its reciprocal): squares of float32 overflow
# beyond 2^64.


@inline
def _project2(y0, y1, radius, unit, one):
    for j in range(y0.shape[0]):
        a, b = unit * y0[j], unit * y1[j]
        length = math.sqrt(a * a + b * b)
        scale = one if length <= radius else radius / length
        y0[j] *= scale
        y1[j] *= scale


@inline
def _project3(y0, y1, y2, radius, unit, one):
    for j in range(y0.shape[0]):
        a, b, c = unit * y0[j], unit * y1[j], unit * y2[j]
        length = math.sqrt(a * a + b * b + c * c)
        scale = one if length <= radius else radius / length
        y0[j] *= scale
        y1[j] *= scale
        y2[j] *= scale


@inline
def _row_adjoint(out, y, add):
    """out (+)= the part of ∇*y along the row."""
    n = out.shape[0]
    if not add:
        fill(out, out.dtype.type(0))
    if n > 1:
        out[0] -= y[0]
        add_difference(out[1:-1], y[:-2], y[1:-1], out.dtype.type(1))
        out[n - 1] += y[n - 2]


@inline
def _adjoint(out, y, i0, i1, add):
    """One row of ∇*y from the vector field y (c, n0, n1, n) of one sample."""
    c, n0, n1 = y.shape[0], y.shape[1], y.shape[2]
    _row_adjoint(out, y[c - 1, i0, i1], add)
    add_axis_adjoint(out, y[c - 2, i0, max(i1 - 1, 0)], y[c - 2, i0, i1], i1, n1, out.dtype.type(1))
    if c == 3:
        add_axis_adjoint(out, y[0, max(i0 - 1, 0), i1], y[0, i0, i1], i0, n0, out.dtype.type(1))


@inline
def _descend(x, x_bar, tau, theta, lo, hi):
    """The primal step on a row; x_bar holds d on entry (one pointer less, and no scratch)."""
    for j in range(x.shape[0]):
        z = x[j] - tau * x_bar[j]
        z = lo if z < lo else z
        z = hi if z > hi else z
        x_bar[j] = z + theta * (z - x[j])
        x[j] = z


@inline
def _descend_l2(x, x_bar, tau, theta, lo, hi, b, tau_w, one_tau_w):
    """The same with the data term w/2 ||x - b||^2."""
    for j in range(x.shape[0]):
        z = (x[j] - tau * x_bar[j] + tau_w * b[j]) / one_tau_w
        z = lo if z < lo else z
        z = hi if z > hi else z
        x_bar[j] = z + theta * (z - x[j])
        x[j] = z


# ---------------------------------------------------------------- kernels


@twins
def gradient(x, y):
    batch, n0, n1, _ = x.shape
    c = y.shape[1]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        row = x[s, i0, i1]
        last = y[s, c - 1, i0, i1]
        difference(last[:-1], row[1:], row[:-1], one)
        last[last.shape[0] - 1] = zero
        if i1 < n1 - 1:
            difference(y[s, c - 2, i0, i1], x[s, i0, i1 + 1], row, one)
        else:
            fill(y[s, c - 2, i0, i1], zero)
        if c == 3:
            if i0 < n0 - 1:
                difference(y[s, 0, i0, i1], x[s, i0 + 1, i1], row, one)
            else:
                fill(y[s, 0, i0, i1], zero)


@twins
def gradient_adjoint(y, x, add):
    batch, n0, n1, _ = x.shape
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        _adjoint(x[s, i0, i1], y[s], i0, i1, add)


@twins
def tv_dual_step(y, x, sigma, radius, unit, isotropic):
    batch, n0, n1, _ = x.shape
    c = y.shape[1]
    one = x.dtype.type(1)
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        row = x[s, i0, i1]
        y1, y2 = y[s, c - 2, i0, i1], y[s, c - 1, i0, i1]
        add_difference(y2[:-1], row[1:], row[:-1], sigma)
        if i1 < n1 - 1:
            add_difference(y1, x[s, i0, i1 + 1], row, sigma)
        if c == 3 and i0 < n0 - 1:
            add_difference(y[s, 0, i0, i1], x[s, i0 + 1, i1], row, sigma)
        if not isotropic:
            for a in range(c):
                _clip(y[s, a, i0, i1], radius)
        elif c == 3:
            _project3(y[s, 0, i0, i1], y1, y2, unit * radius, unit, one)
        else:
            _project2(y1, y2, unit * radius, unit, one)


@twins
def tv_primal_step(x, y, tau, theta, x_bar, lo, hi, b, has_b, tau_w, one_tau_w):
    batch, n0, n1, _ = x.shape
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        _adjoint(x_bar[s, i0, i1], y[s], i0, i1, False)
        if has_b:
            _descend_l2(x[s, i0, i1], x_bar[s, i0, i1], tau, theta, lo, hi, b[s, i0, i1], tau_w, one_tau_w)
        else:
            _descend(x[s, i0, i1], x_bar[s, i0, i1], tau, theta, lo, hi)


BLOCK = 2048  # pixels of a flat image treated as one row: three to four blocks fit the first-level cache


@twins
def primal_step(x, d, tau, theta, x_bar, lo, hi, b, has_b, tau_w, one_tau_w):
    for k in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        start, stop = k * BLOCK, min((k + 1) * BLOCK, x.shape[0])
        x_bar[start:stop] = d[start:stop]
        if has_b:
            _descend_l2(x[start:stop], x_bar[start:stop], tau, theta, lo, hi, b[start:stop], tau_w, one_tau_w)
        else:
            _descend(x[start:stop], x_bar[start:stop], tau, theta, lo, hi)


# ---------------------------------------------------------------- value


@inline
def _add_size(g, a, b, isotropic):
    # In float64 whatever the dtype of the image: the value then does not feel the rounding of float32.
    if isotropic:
        for j in range(g.shape[0]):
            d = np.float64(a[j]) - np.float64(b[j])
            g[j] += d * d
    else:
        for j in range(g.shape[0]):
            g[j] += abs(np.float64(a[j]) - np.float64(b[j]))


@twins
def tv_value(x, c, isotropic):
    batch, n0, n1, n = x.shape
    rows = np.empty(batch * n0 * n1)
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        row = x[s, i0, i1]
        g = np.zeros(n)
        _add_size(g[:-1], row[1:], row[:-1], isotropic)
        if i1 < n1 - 1:
            _add_size(g, x[s, i0, i1 + 1], row, isotropic)
        if c == 3 and i0 < n0 - 1:
            _add_size(g, x[s, i0 + 1, i1], row, isotropic)
        if isotropic:
            for j in range(n):
                g[j] = math.sqrt(g[j])
        rows[k] = sum_in_order(g)
    values = np.empty(batch)
    for s in range(batch):
        values[s] = sum_in_order(rows[s * n0 * n1 : (s + 1) * n0 * n1])
    return values


@inline
def _largest(g):
    """The largest entry, NaN where there is one."""
    largest = 0.0
    for j in range(g.shape[0]):
        largest = g[j] if g[j] > largest or g[j] != g[j] else largest
    return largest


@twins
def tv_dual_size(y, isotropic):
    batch, c, n0, n1, n = y.shape
    rows = np.empty(batch * n0 * n1)
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        g = np.zeros(n)
        for a in range(c):
            row = y[s, a, i0, i1]
            if isotropic:
                for j in range(n):
                    g[j] += np.float64(row[j]) ** 2
            else:
                for j in range(n):
                    v = abs(np.float64(row[j]))
                    g[j] = g[j] if g[j] >= v or g[j] != g[j] else v
        rows[k] = math.sqrt(_largest(g)) if isotropic else _largest(g)
    values = np.empty(batch)
    for s in range(batch):
        values[s] = _largest(rows[s * n0 * n1 : (s + 1) * n0 * n1])
    return values
