"""The CPU kernel (Numba) of both steps of primal-dual TV in one pass over memory.

Arrays are x, x̄ (batch, n0, n1, n) and y (batch, c, n0, n1, n); the first component of y belongs to the axis n0, the
last to n, and the second of three to n1; with two, n1 = 1.

With a relaxation ρ other than 1 (and θ = 1) what is stepped from is u, y + ρ(u⁺, y⁺) of the step before; u is never
stored: x̄ = 2x - u tells it from x = u⁺.

A row of x needs y⁺ in the rows before it, and y⁺ there x̄ as it was in this one: so both steps can go through memory
row by row, in place.  Rows are named by their indices and not by views: all threads would count the references to those
in one place, and wait for one another.

Only this file is hashed for Numba's cache: everything a kernel calls must live here.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import inline

# ---------------------------------------------------------------- the dual step on a row


@inline
def _ascend(y, s, i0, i1, x, t, k0, k1, z, u, m0, below, beyond, sigma):
    """y += σ∇x̄ in the row (i0, i1) of sample s, where x̄ is that of x in its row (k0, k1) of sample t.

    ``below``: whether there is a row k1 + 1; ``beyond``: whether there is a next slab, m0 of sample u in z.
    """
    c, n = y.shape[1], y.shape[4]
    for j in range(n - 1):
        y[s, c - 1, i0, i1, j] += sigma * (x[t, k0, k1, j + 1] - x[t, k0, k1, j])
    if c == 3 and below:
        for j in range(n):
            y[s, 1, i0, i1, j] += sigma * (x[t, k0, k1 + 1, j] - x[t, k0, k1, j])
    if beyond:
        for j in range(n):
            y[s, 0, i0, i1, j] += sigma * (z[u, m0, k1, j] - x[t, k0, k1, j])


@inline
def _project(y, s, i0, i1, radius, unit, isotropic, one):
    """As in cpu.py: lengths are compared in units of the radius, and NaN stays."""
    c, n = y.shape[1], y.shape[4]
    if not isotropic:
        for a in range(c):
            for j in range(n):
                v = radius if y[s, a, i0, i1, j] > radius else y[s, a, i0, i1, j]
                y[s, a, i0, i1, j] = -radius if v < -radius else v
    elif c == 3:
        for j in range(n):
            v, w, z = unit * y[s, 0, i0, i1, j], unit * y[s, 1, i0, i1, j], unit * y[s, 2, i0, i1, j]
            length = math.sqrt(v * v + w * w + z * z)
            scale = one if length <= unit * radius else unit * radius / length
            y[s, 0, i0, i1, j] *= scale
            y[s, 1, i0, i1, j] *= scale
            y[s, 2, i0, i1, j] *= scale
    else:
        for j in range(n):
            v, w = unit * y[s, 0, i0, i1, j], unit * y[s, 1, i0, i1, j]
            length = math.sqrt(v * v + w * w)
            scale = one if length <= unit * radius else unit * radius / length
            y[s, 0, i0, i1, j] *= scale
            y[s, 1, i0, i1, j] *= scale


@inline
def _relax(y, s, i0, i1, z, u, m0, m1, rho, one_rho):
    """y = ρy + (1 - ρ) z in the row (i0, i1) of sample s, where z is in the row (m0, m1) of sample u."""
    c, n = y.shape[1], y.shape[4]
    for a in range(c):
        for j in range(n):
            y[s, a, i0, i1, j] = rho * y[s, a, i0, i1, j] + one_rho * z[u, a, m0, m1, j]


# ---------------------------------------------------------------- the primal step on a row


@inline
def _adjoint(d, y, s, i0, i1):
    """d += what the components along n and, of three, along n1 have in ∇*y."""
    c, n1, n = y.shape[1], y.shape[3], y.shape[4]
    if n > 1:
        d[0] -= y[s, c - 1, i0, i1, 0]
        for j in range(1, n - 1):
            d[j] += y[s, c - 1, i0, i1, j - 1] - y[s, c - 1, i0, i1, j]
        d[n - 1] += y[s, c - 1, i0, i1, n - 2]
    if c == 3 and 0 < i1 < n1 - 1:
        for j in range(n):
            d[j] += y[s, 1, i0, i1 - 1, j] - y[s, 1, i0, i1, j]
    elif c == 3 and i1 > 0:
        for j in range(n):
            d[j] += y[s, 1, i0, i1 - 1, j]
    elif c == 3 and n1 > 1:
        for j in range(n):
            d[j] -= y[s, 1, i0, i1, j]


@inline
def _add_first(d, y, s, i0, i1, z, u, m0):
    """d += what the first component has: y[m0] of sample u in z is that of the slab before."""
    n0, n = y.shape[2], y.shape[4]
    if 0 < i0 < n0 - 1:
        for j in range(n):
            d[j] += z[u, 0, m0, i1, j] - y[s, 0, i0, i1, j]
    elif i0 > 0:
        for j in range(n):
            d[j] += z[u, 0, m0, i1, j]
    elif n0 > 1:
        for j in range(n):
            d[j] -= y[s, 0, i0, i1, j]


@inline
def _descend(x, x_bar, s, i0, i1, d, tau, theta, lo, hi, b, has_b, tau_w, one_tau_w):
    if has_b:
        for j in range(d.shape[0]):
            z = (x[s, i0, i1, j] - tau * d[j] + tau_w * b[s, i0, i1, j]) / one_tau_w
            z = lo if z < lo else z
            d[j] = hi if z > hi else z
    else:
        for j in range(d.shape[0]):
            z = x[s, i0, i1, j] - tau * d[j]
            z = lo if z < lo else z
            d[j] = hi if z > hi else z
    for j in range(d.shape[0]):
        x_bar[s, i0, i1, j] = d[j] + theta * (d[j] - x[s, i0, i1, j])
        x[s, i0, i1, j] = d[j]


# ---------------------------------------------------------------- the kernel


@twins
def tv_step(
    x,
    x_bar,
    y,
    sigma,
    radius,
    unit,
    isotropic,
    tau,
    theta,
    lo,
    hi,
    b,
    has_b,
    tau_w,
    one_tau_w,
    more,
    has_more,
    old_x,
    new_y,
    relaxed,
    rho,
    one_rho,
):
    """The slabs (all rows at one of n0) are dealt out in runs, each of which sweeps through its own.

    There are as many as ``old_x`` (1, runs, n1, n) and ``new_y`` (1, c, runs, n1, n) have slabs: what belongs to two
    runs, x̄ in the first slab and y⁺ in the one before it, is kept there beforehand.
    """
    n0, n1, n, c = x.shape[1], x.shape[2], x.shape[3], y.shape[1]
    runs, slabs, zero, one = old_x.shape[1], x.shape[0] * n0, x.dtype.type(0), x.dtype.type(1)
    for k in prange(1, runs):
        r = np.int64(k)
        first = r * slabs // runs
        s, i0 = first // n0, first % n0
        for i1 in range(n1):
            for j in range(n):
                old_x[0, r, i1, j] = x_bar[s, i0, i1, j]
            if i0 > 0:
                for a in range(c):
                    for j in range(n):
                        new_y[0, a, r, i1, j] = y[s, a, i0 - 1, i1, j]
                _ascend(new_y, 0, r, i1, x_bar, s, i0 - 1, i1, x_bar, s, i0, i1 < n1 - 1, True, sigma)
                _project(new_y, 0, r, i1, radius, unit, isotropic, one)
                if relaxed:
                    _relax(new_y, 0, r, i1, y, s, i0 - 1, i1, rho, one_rho)
    for k in prange(runs):
        r = np.int64(k)
        first, end = r * slabs // runs, (r + 1) * slabs // runs
        d, old_y = np.empty(n, x.dtype), np.empty((1, c, 1, 1, n), x.dtype)
        for slab in range(first, end):
            s, i0 = slab // n0, slab % n0
            for i1 in range(n1):
                if relaxed:
                    for a in range(c):
                        for j in range(n):
                            old_y[0, a, 0, 0, j] = y[s, a, i0, i1, j]
                if slab < end - 1:
                    _ascend(y, s, i0, i1, x_bar, s, i0, i1, x_bar, s, i0 + 1, i1 < n1 - 1, i0 < n0 - 1, sigma)
                else:
                    _ascend(y, s, i0, i1, x_bar, s, i0, i1, old_x, 0, r + 1, i1 < n1 - 1, i0 < n0 - 1, sigma)
                _project(y, s, i0, i1, radius, unit, isotropic, one)
                if relaxed:
                    _relax(y, s, i0, i1, old_y, 0, 0, 0, rho, one_rho)
                    for j in range(n):  # of x = u⁺ and x̄ = 2u⁺ - u: u + ρ(u⁺ - u)
                        x[s, i0, i1, j] = (one + one_rho) * x[s, i0, i1, j] - one_rho * x_bar[s, i0, i1, j]
                for j in range(n):
                    d[j] = more[s, i0, i1, j] if has_more else zero
                _adjoint(d, y, s, i0, i1)
                if slab > first:
                    _add_first(d, y, s, i0, i1, y, s, i0 - 1)
                else:
                    _add_first(d, y, s, i0, i1, new_y, 0, r)
                _descend(x, x_bar, s, i0, i1, d, tau, theta, lo, hi, b, has_b, tau_w, one_tau_w)


@twins
def tv_dual_change(y, x, sigma, radius, unit, isotropic):
    """(batch, 2): ‖y⁺ - y‖² and ‖y⁺‖² for y⁺ = P(y + σ∇x), of which no more than a row is there at a time."""
    batch, n0, n1, n = x.shape
    c, one = y.shape[1], x.dtype.type(1)
    sums = np.empty((batch * n0 * n1, 2))
    for k in prange(batch * n0 * n1):
        r = np.int64(k)
        s, i0, i1 = r // (n0 * n1), r // n1 % n0, r % n1
        new, moved, size = np.empty((1, c, 1, 1, n), x.dtype), 0.0, 0.0
        for a in range(c):
            for j in range(n):
                new[0, a, 0, 0, j] = y[s, a, i0, i1, j]
        _ascend(new, 0, 0, 0, x, s, i0, i1, x, s, min(i0 + 1, n0 - 1), i1 < n1 - 1, i0 < n0 - 1, sigma)
        _project(new, 0, 0, 0, radius, unit, isotropic, one)
        for a in range(c):
            for j in range(n):
                v = np.float64(new[0, a, 0, 0, j])
                moved += (v - y[s, a, i0, i1, j]) ** 2
                size += v * v
        sums[r, 0], sums[r, 1] = moved, size
    values = np.zeros((batch, 2))
    for r in range(batch * n0 * n1):
        values[r // (n0 * n1)] += sums[r]
    return values
