"""CPU kernels (Numba): the steps of primal-dual TGV, one pass over memory each.

Arrays are u (batch, n0, n1, n), v (batch, c, n0, n1, n) and y (batch, c + m, n0, n1, n), c = 2 or 3, m = c (c + 1)/2:
p (c components), then q (the diagonal, then the pairs a < b in order, times √2).  v_a and p_a exist where ∂_a⁺u does,
not at the last index of axis a, where they stay 0.  J_ab = ∂_b⁻v_a exists where both its entries of v_a do.  ``w`` are
the reciprocal voxel sizes of the axes n0, n1, n.

Only this file is hashed for Numba's cache: everything a kernel calls must live in it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import add_difference, add_row, fill, inline, sum_in_order

# ---------------------------------------------------------------- rows


@inline
def _add_difference_less(y, a, b, k, v, sigma):
    for j in range(y.shape[0]):
        y[j] += k * (a[j] - b[j]) - sigma * v[j]


@inline
def _lengths(g, y, unit):
    """g = Σ_k (unit y_k)² over the components."""
    fill(g, g.dtype.type(0))
    for k in range(y.shape[0]):
        row = y[k]
        for j in range(g.shape[0]):
            g[j] += (unit * row[j]) * (unit * row[j])


@inline
def _project(y, g, radius, unit, one):
    """Each pixel's vector y (components, n) onto the ball of ``radius``; NaN stays.

    Lengths in units of the radius (a power of two, ``unit`` its reciprocal): squares of float32 overflow beyond 2^64.
    """
    _lengths(g, y, unit)
    radius = unit * radius
    for j in range(g.shape[0]):
        length = math.sqrt(g[j])
        g[j] = one if length <= radius else radius / length
    for k in range(y.shape[0]):
        row = y[k]
        for j in range(g.shape[0]):
            row[j] *= g[j]


# ---------------------------------------------------------------- K(u, v) = (∇u - v, E v), and its adjoint


@inline
def _size(axis, n0, n1, n):
    return n0 if axis == 0 else (n1 if axis == 1 else n)


@inline
def _add_jacobian(out, v, a, b, i0, i1, k, first):
    """out += k J_ab on one row; v is the field (c, n0, n1, n), ``first`` the axis of its first component."""
    n0, n1, n = v.shape[1:]
    i = i0 if a == 0 else i1
    length = n - 1 if a == 2 else n
    if a != 2 and i >= _size(a, n0, n1, n) - 1:
        return
    row = v[a - first, i0, i1]
    if b == 2:
        add_difference(out[1:length], row[1:length], row[: length - 1], k)
    elif b == 1:
        if i1 > 0:
            add_difference(out[:length], row[:length], v[a - first, i0, i1 - 1, :length], k)
    elif i0 > 0:
        add_difference(out[:length], row[:length], v[a - first, i0 - 1, i1, :length], k)


@inline
def _add_jacobian_adjoint(out, q, a, b, i0, i1, k):
    """out += one row of k J_ab* q, for q (n0, n1, n); ``out`` is a row of v_a, which exists there."""
    n0, n1, n = q.shape
    length = n - 1 if a == 2 else n
    row = q[i0, i1]
    if b == 2:
        add_row(out[1:length], row[1:length], k)
        add_row(out[: length - 1], row[1:length], -k)
        return
    i, size = (i1, n1) if b == 1 else (i0, n0)
    if i > 0:
        add_row(out[:length], row[:length], k)
    if i + 1 < (size - 1 if a == b else size):
        after = q[i0, i1 + 1] if b == 1 else q[i0 + 1, i1]
        add_row(out[:length], after[:length], -k)


@inline
def _add_gradient_less(p, u, v, i0, i1, w0, w1, w2, sigma):
    """p += σ(∇u - v) on one row."""
    c, n0, n1, n = v.shape
    row = u[i0, i1]
    _add_difference_less(p[c - 1, : n - 1], row[1:], row[: n - 1], sigma * w2, v[c - 1, i0, i1, : n - 1], sigma)
    if i1 < n1 - 1:
        _add_difference_less(p[c - 2], u[i0, i1 + 1], row, sigma * w1, v[c - 2, i0, i1], sigma)
    if c == 3 and i0 < n0 - 1:
        _add_difference_less(p[0], u[i0 + 1, i1], row, sigma * w0, v[0, i0, i1], sigma)


@inline
def _add_symmetrised(q, v, i0, i1, w0, w1, w2, h0, h1, h2, sigma):
    """q += σ E v on one row; h = w √½."""
    if v.shape[0] == 2:
        _add_jacobian(q[0], v, 1, 1, i0, i1, sigma * w1, 1)
        _add_jacobian(q[1], v, 2, 2, i0, i1, sigma * w2, 1)
        _add_jacobian(q[2], v, 1, 2, i0, i1, sigma * h2, 1)
        _add_jacobian(q[2], v, 2, 1, i0, i1, sigma * h1, 1)
    else:
        _add_jacobian(q[0], v, 0, 0, i0, i1, sigma * w0, 0)
        _add_jacobian(q[1], v, 1, 1, i0, i1, sigma * w1, 0)
        _add_jacobian(q[2], v, 2, 2, i0, i1, sigma * w2, 0)
        _add_jacobian(q[3], v, 0, 1, i0, i1, sigma * h1, 0)
        _add_jacobian(q[3], v, 1, 0, i0, i1, sigma * h0, 0)
        _add_jacobian(q[4], v, 0, 2, i0, i1, sigma * h2, 0)
        _add_jacobian(q[4], v, 2, 0, i0, i1, sigma * h0, 0)
        _add_jacobian(q[5], v, 1, 2, i0, i1, sigma * h2, 0)
        _add_jacobian(q[5], v, 2, 1, i0, i1, sigma * h1, 0)


@inline
def _symmetrised_adjoint(out, q, a, i0, i1, w0, w1, w2, h0, h1, h2):
    """out = one row of (E* q)_a, without what does not exist; q is (m, n0, n1, n)."""
    m, n0, n1, n = q.shape
    fill(out, out.dtype.type(0))
    if a == 1 and i1 >= n1 - 1 or a == 0 and i0 >= n0 - 1:
        return
    if m == 3:
        if a == 1:
            _add_jacobian_adjoint(out, q[0], 1, 1, i0, i1, w1)
            _add_jacobian_adjoint(out, q[2], 1, 2, i0, i1, h2)
        else:
            _add_jacobian_adjoint(out, q[1], 2, 2, i0, i1, w2)
            _add_jacobian_adjoint(out, q[2], 2, 1, i0, i1, h1)
    elif a == 0:
        _add_jacobian_adjoint(out, q[0], 0, 0, i0, i1, w0)
        _add_jacobian_adjoint(out, q[3], 0, 1, i0, i1, h1)
        _add_jacobian_adjoint(out, q[4], 0, 2, i0, i1, h2)
    elif a == 1:
        _add_jacobian_adjoint(out, q[1], 1, 1, i0, i1, w1)
        _add_jacobian_adjoint(out, q[3], 1, 0, i0, i1, h0)
        _add_jacobian_adjoint(out, q[5], 1, 2, i0, i1, h2)
    else:
        _add_jacobian_adjoint(out, q[2], 2, 2, i0, i1, w2)
        _add_jacobian_adjoint(out, q[4], 2, 0, i0, i1, h0)
        _add_jacobian_adjoint(out, q[5], 2, 1, i0, i1, h1)


@inline
def _add_gradient_adjoint(out, p, i0, i1, w0, w1, w2):
    """out += one row of ∇*p; p is 0 where it does not exist."""
    c, n0, n1, n = p.shape
    row = p[c - 1, i0, i1]
    add_row(out[: n - 1], row[: n - 1], -w2)
    add_row(out[1:], row[: n - 1], w2)
    if i1 < n1 - 1:
        add_row(out, p[c - 2, i0, i1], -w1)
    if i1 > 0:
        add_row(out, p[c - 2, i0, i1 - 1], w1)
    if c == 3:
        if i0 < n0 - 1:
            add_row(out, p[0, i0, i1], -w0)
        if i0 > 0:
            add_row(out, p[0, i0 - 1, i1], w0)


# ---------------------------------------------------------------- kernels


@twins
def tgv_forward(u, v, y, w0, w1, w2, h0, h1, h2, one):
    """y = K(u, v)."""
    batch, c, n0, n1, n = v.shape
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for a in range(y.shape[1]):
            fill(y[s, a, i0, i1], y.dtype.type(0))
        _add_gradient_less(y[s, :c, i0, i1], u[s], v[s], i0, i1, w0, w1, w2, one)
        _add_symmetrised(y[s, c:, i0, i1], v[s], i0, i1, w0, w1, w2, h0, h1, h2, one)


@inline
def _relax(y, old, rho, rest):
    """y = ρ y + (1 - ρ) old."""
    for k in range(y.shape[0]):
        row, before = y[k], old[k]
        for j in range(row.shape[0]):
            row[j] = rho * row[j] + rest * before[j]


@twins
def tgv_dual_step(y, u, v, sigma, radius_p, radius_q, unit_p, unit_q, rho, w0, w1, w2, h0, h1, h2, one):
    """y = (1 - ρ) y + ρ P(y + σ K(u, v)), P onto |p| <= radius_p and |q| <= radius_q in every pixel."""
    batch, c, n0, n1, n = v.shape
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        p, q = y[s, :c, i0, i1], y[s, c:, i0, i1]
        g, old = np.empty(n, y.dtype), np.empty((y.shape[1], n), y.dtype)
        if rho != one:
            old[:] = y[s, :, i0, i1]
        _add_gradient_less(p, u[s], v[s], i0, i1, w0, w1, w2, sigma)
        _project(p, g, radius_p, unit_p, one)
        _add_symmetrised(q, v[s], i0, i1, w0, w1, w2, h0, h1, h2, sigma)
        _project(q, g, radius_q, unit_q, one)
        if rho != one:
            _relax(p, old[:c], rho, one - rho)
            _relax(q, old[c:], rho, one - rho)


BLOCK = 2048  # numbers of a flat array treated as one row


@twins
def relaxed_step(x, d, x_bar, b, has_b, tau, tau_w, one_tau_w, rho):
    """z = prox of w/2 ‖· - b‖² at x - τ d, x̄ = 2z - x, x = (1 - ρ) x + ρ z."""
    for k in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        for j in range(k * BLOCK, min((k + 1) * BLOCK, x.shape[0])):
            z = x[j] - tau * d[j]
            if has_b:
                z = (z + tau_w * b[j]) / one_tau_w
            step = z - x[j]
            x_bar[j] = z + step
            x[j] += rho * step


@twins
def tgv_adjoint(y, u, v, w0, w1, w2, h0, h1, h2, add):
    """u = ∇*p, or u += with ``add``, and v = E*q - p."""
    batch, c, n0, n1, n = v.shape
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        p, q = y[s, :c], y[s, c:]
        if not add:
            fill(u[s, i0, i1], u.dtype.type(0))
        _add_gradient_adjoint(u[s, i0, i1], p, i0, i1, w0, w1, w2)
        for a in range(c):
            out, axis = v[s, a, i0, i1], a + 3 - c
            _symmetrised_adjoint(out, q, axis, i0, i1, w0, w1, w2, h0, h1, h2)
            if axis == 2:
                add_row(out[: n - 1], p[a, i0, i1, : n - 1], u.dtype.type(-1))
            elif (i1 if axis == 1 else i0) < _size(axis, n0, n1, n) - 1:
                add_row(out, p[a, i0, i1], u.dtype.type(-1))


@twins
def tgv_sizes(u, v, w0, w1, w2, h0, h1, h2):
    """‖∇u - v‖_{2,1} and ‖E v‖_{2,1} of every sample, in float64."""
    batch, c, n0, n1, n = v.shape
    m = c * (c + 1) // 2
    rows = np.empty((2, batch * n0 * n1))
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        y, g = np.zeros((c + m, n)), np.empty(n)
        _add_gradient_less(y[:c], u[s], v[s], i0, i1, np.float64(w0), np.float64(w1), np.float64(w2), 1.0)
        _add_symmetrised(
            y[c:], v[s], i0, i1, np.float64(w0), np.float64(w1), np.float64(w2),
            np.float64(h0), np.float64(h1), np.float64(h2), 1.0,
        )  # fmt: skip
        for part in range(2):
            _lengths(g, y[:c] if part == 0 else y[c:], 1.0)
            for j in range(n):
                g[j] = math.sqrt(g[j])
            rows[part, k] = sum_in_order(g)
    values = np.empty((2, batch))
    for s in range(batch):
        values[0, s] = sum_in_order(rows[0, s * n0 * n1 : (s + 1) * n0 * n1])
        values[1, s] = sum_in_order(rows[1, s * n0 * n1 : (s + 1) * n0 * n1])
    return values
