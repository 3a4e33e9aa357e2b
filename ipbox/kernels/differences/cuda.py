"""GPU twins of derivatives_cpu.py (numba.cuda), with the same names, arguments and array layouts.

One thread per pixel, as in cuda.py.
"""

from __future__ import annotations

from numba import cuda

from ipbox.kernels.core.launch import gpu_twin


@cuda.jit(device=True)
def _forward(x, i0, i1, j, axis, w, step, zero):
    """∂⁺x at one pixel: w (x[i+1] - x[i]), and 0 at the last index of the axis."""
    n0, n1, n = x.shape
    if axis == 0 and i0 < n0 - 1:
        return w * (x[i0 + 1, i1, j] - x[i0, i1, j])
    if axis == 1 and i1 < n1 - 1:
        return w * (x[i0, i1 + 1, j] - x[i0, i1, j])
    if axis == 2 and j < n - step:
        return w * (x[i0, i1, j + step] - x[i0, i1, j])
    return zero


@cuda.jit(device=True)
def _forward_adjoint(y, i0, i1, j, axis, w, step, zero):
    """w (y[i-1] - y[i]), without what lies outside or at the last index of the axis."""
    n0, n1, n = y.shape
    d = zero
    if axis == 0:
        if i0 > 0:
            d += y[i0 - 1, i1, j]
        if i0 < n0 - 1:
            d -= y[i0, i1, j]
    elif axis == 1:
        if i1 > 0:
            d += y[i0, i1 - 1, j]
        if i1 < n1 - 1:
            d -= y[i0, i1, j]
    else:
        if j >= step:
            d += y[i0, i1, j - step]
        if j < n - step:
            d -= y[i0, i1, j]
    return w * d


@cuda.jit(device=True)
def _backward(x, i0, i1, j, axis, w, step, zero):
    """∂⁻x at one pixel: w (x[i] - x[i-1]), and 0 at the first index of the axis."""
    if axis == 0 and i0 > 0:
        return w * (x[i0, i1, j] - x[i0 - 1, i1, j])
    if axis == 1 and i1 > 0:
        return w * (x[i0, i1, j] - x[i0, i1 - 1, j])
    if axis == 2 and j >= step:
        return w * (x[i0, i1, j] - x[i0, i1, j - step])
    return zero


@cuda.jit(device=True)
def _backward_adjoint(y, i0, i1, j, axis, w, step, zero):
    """w (y[i] - y[i+1]), without what lies outside or at the first index of the axis."""
    n0, n1, n = y.shape
    d = zero
    if axis == 0:
        if i0 > 0:
            d += y[i0, i1, j]
        if i0 < n0 - 1:
            d -= y[i0 + 1, i1, j]
    elif axis == 1:
        if i1 > 0:
            d += y[i0, i1, j]
        if i1 < n1 - 1:
            d -= y[i0, i1 + 1, j]
    else:
        if j >= step:
            d += y[i0, i1, j]
        if j < n - step:
            d -= y[i0, i1, j + step]
    return w * d


@cuda.jit(device=True)
def _of_axis(axis, w0, w1, w2):
    if axis == 0:
        return w0
    return w1 if axis == 1 else w2


@cuda.jit(device=True)
def _pair(a, b, c):
    """Where the component q_ab of a symmetric tensor is."""
    if a == b:
        return a
    lo, hi = min(a, b), max(a, b)
    return c + lo * (2 * c - lo - 1) // 2 + hi - lo - 1


# ---------------------------------------------------------------- kernels


@cuda.jit
def _spaced_gradient(x, y, w, step, zero):
    w0, w1, w2 = w
    batch, n0, n1, n = x.shape
    c = y.shape[1]
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            for a in range(c):
                axis = 3 - c + a
                y[s, a, i0, i1, j] = _forward(x[s], i0, i1, j, axis, _of_axis(axis, w0, w1, w2), step, zero)


@cuda.jit
def _spaced_gradient_adjoint(y, x, w, step, add, zero):
    w0, w1, w2 = w
    batch, n0, n1, n = x.shape
    c = y.shape[1]
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            d = x[s, i0, i1, j] if add else zero
            for a in range(c):
                axis = 3 - c + a
                d += _forward_adjoint(y[s, a], i0, i1, j, axis, _of_axis(axis, w0, w1, w2), step, zero)
            x[s, i0, i1, j] = d


@cuda.jit
def _symmetrised_gradient(v, q, w, half, step, zero):
    (w0, w1, w2), (h0, h1, h2) = w, half
    batch, c, n0, n1, n = v.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            for a in range(c):
                axis = 3 - c + a
                weight = _of_axis(axis, w0, w1, w2)
                q[s, a, i0, i1, j] = _backward(v[s, a], i0, i1, j, axis, weight, step, zero)
                for b in range(a + 1, c):
                    other = 3 - c + b
                    d = _backward(v[s, a], i0, i1, j, other, _of_axis(other, h0, h1, h2), step, zero)
                    d += _backward(v[s, b], i0, i1, j, axis, _of_axis(axis, h0, h1, h2), step, zero)
                    q[s, _pair(a, b, c), i0, i1, j] = d


@cuda.jit
def _symmetrised_gradient_adjoint(q, v, w, half, step, add, zero):
    (w0, w1, w2), (h0, h1, h2) = w, half
    batch, c, n0, n1, n = v.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            for a in range(c):
                d = v[s, a, i0, i1, j] if add else zero
                for b in range(c):
                    axis = 3 - c + b
                    weight = _of_axis(axis, w0, w1, w2) if a == b else _of_axis(axis, h0, h1, h2)
                    d += _backward_adjoint(q[s, _pair(a, b, c)], i0, i1, j, axis, weight, step, zero)
                v[s, a, i0, i1, j] = d


# ---------------------------------------------------------------- called as the kernels of derivatives_cpu.py are

spaced_gradient = gpu_twin(_spaced_gradient, 0)
spaced_gradient_adjoint = gpu_twin(_spaced_gradient_adjoint, 0)
symmetrised_gradient = gpu_twin(_symmetrised_gradient, 0)
symmetrised_gradient_adjoint = gpu_twin(_symmetrised_gradient_adjoint, 0)
