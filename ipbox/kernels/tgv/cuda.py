"""GPU twins of tgv_cpu.py (numba.cuda), with the same names, arguments and array layouts.

One thread per pixel, as in cuda.py.
"""

from __future__ import annotations

import math

from numba import cuda

from ipbox.kernels.core.launch import gpu_twin
from ipbox.kernels.core.pixels import at, component, of_axis


@cuda.jit(device=True)
def _jacobian(va, a, b, i0, i1, j, weight, zero):
    """weight (∂_b⁻v_a), where it exists."""
    exists = of_axis(a, i0, i1, j) < va.shape[a] - 1 and of_axis(b, i0, i1, j) > 0
    return weight * (va[i0, i1, j] - at(va, i0, i1, j, b, -1)) if exists else zero


@cuda.jit(device=True)
def _jacobian_adjoint(q, a, b, i0, i1, j, weight, zero):
    """Its adjoint at a pixel where v_a exists."""
    i = of_axis(b, i0, i1, j)
    d = weight * q[i0, i1, j] if i > 0 else zero
    last = q.shape[b] - 1 if a == b else q.shape[b]
    return d - weight * at(q, i0, i1, j, b, 1) if i + 1 < last else d


@cuda.jit(device=True)
def _gradient_less(u, va, axis, i0, i1, j, w, zero):
    if of_axis(axis, i0, i1, j) >= u.shape[axis] - 1:
        return zero
    return w * (at(u, i0, i1, j, axis, 1) - u[i0, i1, j]) - va[i0, i1, j]


@cuda.jit(device=True)
def _symmetrised(v, a, b, i0, i1, j, w0, w1, w2, h0, h1, h2, zero):
    """(E v)_ab, times √2 off the diagonal."""
    c = v.shape[0]
    p, q = a + 3 - c, b + 3 - c
    if a == b:
        return _jacobian(v[a], p, p, i0, i1, j, of_axis(p, w0, w1, w2), zero)
    d = _jacobian(v[a], p, q, i0, i1, j, of_axis(q, h0, h1, h2), zero)
    return d + _jacobian(v[b], q, p, i0, i1, j, of_axis(p, h0, h1, h2), zero)


@cuda.jit
def _tgv_forward(u, v, y, w0, w1, w2, h0, h1, h2, one, zero):
    batch, c, n0, n1, n = v.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            for a in range(c):
                axis = a + 3 - c
                y[s, a, i0, i1, j] = _gradient_less(u[s], v[s, a], axis, i0, i1, j, of_axis(axis, w0, w1, w2), zero)
                for b in range(a, c):
                    y[s, c + component(a, b, c), i0, i1, j] = _symmetrised(
                        v[s], a, b, i0, i1, j, w0, w1, w2, h0, h1, h2, zero
                    )


@cuda.jit
def _tgv_dual_step(y, u, v, sigma, radius_p, radius_q, unit_p, unit_q, rho, w0, w1, w2, h0, h1, h2, one, zero):
    batch, c, n0, n1, n = v.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            size_p, size_q = zero, zero
            for a in range(c):  # first the lengths: K is cheap to take twice, and y is not touched before
                axis = a + 3 - c
                d = _gradient_less(u[s], v[s, a], axis, i0, i1, j, of_axis(axis, w0, w1, w2), zero)
                z = unit_p * (y[s, a, i0, i1, j] + sigma * d)
                size_p += z * z
                for b in range(a, c):
                    d = _symmetrised(v[s], a, b, i0, i1, j, w0, w1, w2, h0, h1, h2, zero)
                    z = unit_q * (y[s, c + component(a, b, c), i0, i1, j] + sigma * d)
                    size_q += z * z
            length_p, length_q = math.sqrt(size_p), math.sqrt(size_q)
            bound_p, bound_q = unit_p * radius_p, unit_q * radius_q
            scale_p = one if length_p <= bound_p else bound_p / length_p
            scale_q = one if length_q <= bound_q else bound_q / length_q
            for a in range(c):
                axis = a + 3 - c
                d = _gradient_less(u[s], v[s, a], axis, i0, i1, j, of_axis(axis, w0, w1, w2), zero)
                old = y[s, a, i0, i1, j]
                y[s, a, i0, i1, j] = rho * scale_p * (old + sigma * d) + (one - rho) * old
                for b in range(a, c):
                    m = c + component(a, b, c)
                    d = _symmetrised(v[s], a, b, i0, i1, j, w0, w1, w2, h0, h1, h2, zero)
                    old = y[s, m, i0, i1, j]
                    y[s, m, i0, i1, j] = rho * scale_q * (old + sigma * d) + (one - rho) * old


@cuda.jit
def _tgv_adjoint(y, u, v, w0, w1, w2, h0, h1, h2, add, zero):
    batch, c, n0, n1, n = v.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            total = u[s, i0, i1, j] if add else zero
            for a in range(c):
                axis, p = a + 3 - c, y[s, a]
                i, weight = of_axis(axis, i0, i1, j), of_axis(axis, w0, w1, w2)
                if i > 0:
                    total += weight * at(p, i0, i1, j, axis, -1)
                d = zero
                if i < u.shape[1 + axis] - 1:
                    total -= weight * p[i0, i1, j]
                    for b in range(c):
                        other, q = b + 3 - c, y[s, c + component(a, b, c)]
                        h = of_axis(other, w0, w1, w2) if a == b else of_axis(other, h0, h1, h2)
                        d += _jacobian_adjoint(q, axis, other, i0, i1, j, h, zero)
                    d -= p[i0, i1, j]
                v[s, a, i0, i1, j] = d
            u[s, i0, i1, j] = total


@cuda.jit
def _relaxed_step(x, d, x_bar, b, has_b, tau, tau_w, one_tau_w, rho):
    first, row = cuda.grid(2)
    columns, _ = cuda.gridsize(2)
    if row > 0:  # flat arrays are one row; a block may have more
        return
    for j in range(first, x.shape[0], columns):
        z = x[j] - tau * d[j]
        if has_b:
            z = (z + tau_w * b[j]) / one_tau_w
        step = z - x[j]
        x_bar[j] = z + step
        x[j] += rho * step


# ---------------------------------------------------------------- called as the kernels of tgv_cpu.py are

tgv_forward = gpu_twin(_tgv_forward, 0)
tgv_dual_step = gpu_twin(_tgv_dual_step, 0)
tgv_adjoint = gpu_twin(_tgv_adjoint, 0)
relaxed_step = gpu_twin(_relaxed_step)
