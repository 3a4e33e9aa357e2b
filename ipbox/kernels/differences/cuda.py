"""GPU twins of derivatives_cpu.py (numba.cuda), with the same names, arguments and array layouts.

One thread per pixel, as in cuda.py.
"""

from __future__ import annotations

from numba import cuda

from ipbox.kernels.core.launch import gpu_twin
from ipbox.kernels.core.pixels import at, component, of_axis


@cuda.jit(device=True)
def _forward(x, i0, i1, j, axis, w, step, zero):
    """∂⁺x at one pixel: w (x[i+1] - x[i]), and 0 at the last index of the axis."""
    one = of_axis(axis, 1, 1, step)
    inside = of_axis(axis, i0, i1, j) < x.shape[axis] - one
    return w * (at(x, i0, i1, j, axis, one) - x[i0, i1, j]) if inside else zero


@cuda.jit(device=True)
def _forward_adjoint(y, i0, i1, j, axis, w, step, zero):
    """w (y[i-1] - y[i]), without what lies outside or at the last index of the axis."""
    one, i, d = of_axis(axis, 1, 1, step), of_axis(axis, i0, i1, j), zero
    if i >= one:
        d += at(y, i0, i1, j, axis, -one)
    if i < y.shape[axis] - one:
        d -= y[i0, i1, j]
    return w * d


@cuda.jit(device=True)
def _backward(x, i0, i1, j, axis, w, step, zero):
    """∂⁻x at one pixel: w (x[i] - x[i-1]), and 0 at the first index of the axis."""
    one = of_axis(axis, 1, 1, step)
    inside = of_axis(axis, i0, i1, j) >= one
    return w * (x[i0, i1, j] - at(x, i0, i1, j, axis, -one)) if inside else zero


@cuda.jit(device=True)
def _backward_adjoint(y, i0, i1, j, axis, w, step, zero):
    """w (y[i] - y[i+1]), without what lies outside or at the first index of the axis."""
    one, i, d = of_axis(axis, 1, 1, step), of_axis(axis, i0, i1, j), zero
    if i >= one:
        d += y[i0, i1, j]
    if i < y.shape[axis] - one:
        d -= at(y, i0, i1, j, axis, one)
    return w * d


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
                y[s, a, i0, i1, j] = _forward(x[s], i0, i1, j, axis, of_axis(axis, w0, w1, w2), step, zero)


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
                d += _forward_adjoint(y[s, a], i0, i1, j, axis, of_axis(axis, w0, w1, w2), step, zero)
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
                weight = of_axis(axis, w0, w1, w2)
                q[s, a, i0, i1, j] = _backward(v[s, a], i0, i1, j, axis, weight, step, zero)
                for b in range(a + 1, c):
                    other = 3 - c + b
                    d = _backward(v[s, a], i0, i1, j, other, of_axis(other, h0, h1, h2), step, zero)
                    d += _backward(v[s, b], i0, i1, j, axis, of_axis(axis, h0, h1, h2), step, zero)
                    q[s, component(a, b, c), i0, i1, j] = d


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
                    weight = of_axis(axis, w0, w1, w2) if a == b else of_axis(axis, h0, h1, h2)
                    d += _backward_adjoint(q[s, component(a, b, c)], i0, i1, j, axis, weight, step, zero)
                v[s, a, i0, i1, j] = d


# ---------------------------------------------------------------- called as the kernels of derivatives_cpu.py are

spaced_gradient = gpu_twin(_spaced_gradient, 0)
spaced_gradient_adjoint = gpu_twin(_spaced_gradient_adjoint, 0)
symmetrised_gradient = gpu_twin(_symmetrised_gradient, 0)
symmetrised_gradient_adjoint = gpu_twin(_symmetrised_gradient_adjoint, 0)
