"""CPU kernels (Numba): the gradient with voxel sizes and the symmetrised gradient, one pass over memory each.

Arrays here are x (batch, n0, n1, n), v (batch, c, n0, n1, n) and q (batch, m, n0, n1, n) with c = 1, 2 or 3 components,
which belong to the last c axes, and m = c (c + 1) / 2: the diagonal, then the pairs a < b in order.  ``w`` are the
reciprocal voxel sizes of the axes n0, n1, n.  Neighbours along a row are ``step`` numbers apart: 1, or 2 where the rows
hold complex numbers as pairs.

Scalars come in the dtype of x, so that float32 stays float32.  Only this file is hashed for Numba's cache: everything a
kernel calls must live in it.
"""

from __future__ import annotations

from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import add_axis_adjoint, add_difference, add_row, component, difference, fill, inline

# ---------------------------------------------------------------- rows


@inline
def _forward(y, x, i0, i1, axis, w, step):
    """y = one row of ∂⁺x along ``axis``: w (x[i+1] - x[i]), and 0 at the last index."""
    n0, n1, n = x.shape
    row = x[i0, i1]
    if axis == 2:
        difference(y[: n - step], row[step:], row[: n - step], w)
        fill(y[n - step :], y.dtype.type(0))
    elif axis == 1 and i1 < n1 - 1:
        difference(y, x[i0, i1 + 1], row, w)
    elif axis == 0 and i0 < n0 - 1:
        difference(y, x[i0 + 1, i1], row, w)
    else:
        fill(y, y.dtype.type(0))


@inline
def _forward_adjoint(x, y, i0, i1, axis, w, step):
    """x += one row of the adjoint of ∂⁺: w (y[i-1] - y[i]), without what lies outside or at the last index."""
    n0, n1, n = y.shape
    row = y[i0, i1]
    if axis == 2:
        if n > step:
            add_row(x[:step], row[:step], -w)
            add_difference(x[step : n - step], row[: n - 2 * step], row[step : n - step], w)
            add_row(x[n - step :], row[n - 2 * step : n - step], w)
    elif axis == 1:
        add_axis_adjoint(x, y[i0, max(i1 - 1, 0)], row, i1, n1, w)
    else:
        add_axis_adjoint(x, y[max(i0 - 1, 0), i1], row, i0, n0, w)


@inline
def _backward(y, x, i0, i1, axis, w, step):
    """y = one row of ∂⁻x along ``axis``: w (x[i] - x[i-1]), and 0 at the first index."""
    n = x.shape[2]
    row = x[i0, i1]
    if axis == 2:
        fill(y[:step], y.dtype.type(0))
        difference(y[step:], row[step:], row[: n - step], w)
    elif axis == 1 and i1 > 0:
        difference(y, row, x[i0, i1 - 1], w)
    elif axis == 0 and i0 > 0:
        difference(y, row, x[i0 - 1, i1], w)
    else:
        fill(y, y.dtype.type(0))


@inline
def _add_backward(y, x, i0, i1, axis, w, step):
    """y += one row of ∂⁻x."""
    n = x.shape[2]
    row = x[i0, i1]
    if axis == 2:
        add_difference(y[step:], row[step:], row[: n - step], w)
    elif axis == 1 and i1 > 0:
        add_difference(y, row, x[i0, i1 - 1], w)
    elif axis == 0 and i0 > 0:
        add_difference(y, row, x[i0 - 1, i1], w)


@inline
def _backward_adjoint(x, y, i0, i1, axis, w, step):
    """x += one row of the adjoint of ∂⁻: w (y[i] - y[i+1]), without what lies outside or at the first index."""
    n0, n1, n = y.shape
    row = y[i0, i1]
    if axis == 2:
        if n > step:
            add_row(x[:step], row[step : 2 * step], -w)
            add_difference(x[step : n - step], row[step : n - step], row[2 * step :], w)
            add_row(x[n - step :], row[n - step :], w)
    elif axis == 1:
        add_axis_adjoint(x, row, y[i0, min(i1 + 1, n1 - 1)], i1, n1, w)
    else:
        add_axis_adjoint(x, row, y[min(i0 + 1, n0 - 1), i1], i0, n0, w)


# ---------------------------------------------------------------- kernels


@twins
def spaced_gradient(x, y, w, step):
    batch, n0, n1, _ = x.shape
    c = y.shape[1]
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for a in range(c):
            _forward(y[s, a, i0, i1], x[s], i0, i1, 3 - c + a, w[3 - c + a], step)


@twins
def spaced_gradient_adjoint(y, x, w, step, add):
    batch, n0, n1, _ = x.shape
    c = y.shape[1]
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        row = x[s, i0, i1]
        if not add:
            fill(row, row.dtype.type(0))
        for a in range(c):
            _forward_adjoint(row, y[s, a], i0, i1, 3 - c + a, w[3 - c + a], step)


@twins
def symmetrised_gradient(v, q, w, half, step):
    """``half`` are the w over √2: q_ab = (∂_a v_b + ∂_b v_a)/√2 for a < b."""
    batch, c, n0, n1, _ = v.shape
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for a in range(c):
            _backward(q[s, a, i0, i1], v[s, a], i0, i1, 3 - c + a, w[3 - c + a], step)
            for b in range(a + 1, c):
                row = q[s, component(a, b, c), i0, i1]
                _backward(row, v[s, a], i0, i1, 3 - c + b, half[3 - c + b], step)
                _add_backward(row, v[s, b], i0, i1, 3 - c + a, half[3 - c + a], step)


@twins
def symmetrised_gradient_adjoint(q, v, w, half, step, add):
    batch, c, n0, n1, _ = v.shape
    for k in prange(batch * n0 * n1):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for a in range(c):
            row = v[s, a, i0, i1]
            if not add:
                fill(row, row.dtype.type(0))
            for b in range(c):
                weight = w[3 - c + b] if a == b else half[3 - c + b]
                _backward_adjoint(row, q[s, component(a, b, c)], i0, i1, 3 - c + b, weight, step)
