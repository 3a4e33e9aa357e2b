"""GPU twins of cpu.py (numba.cuda), with the same names, arguments and array layouts.

One thread per pixel: threads along x take the columns of a row, threads along y the rows.  The grid-stride
loops run once on a GPU, except where an image has more rows than a grid may have blocks; in Numba's
simulator they let four simulated threads do the whole image.  Indices are 64-bit.  Literals would turn
float32 into float64 arithmetic, so zero and one come as arguments in the dtype of x.
"""

from __future__ import annotations

import math

from numba import cuda

from ipbox.kernels.core.launch import gpu_twin

# ---------------------------------------------------------------- one pixel


@cuda.jit(device=True)
def _adjoint(y, s, i0, i1, j, zero):
    """∇*y at one pixel: y[i-1] - y[i] along each axis, without what lies outside (in the order of cpu.py)."""
    c, n0, n1, n = y.shape[1], y.shape[2], y.shape[3], y.shape[4]
    d = zero
    if j > 0:
        d += y[s, c - 1, i0, i1, j - 1]
    if j < n - 1:
        d -= y[s, c - 1, i0, i1, j]
    if i1 > 0:
        d += y[s, c - 2, i0, i1 - 1, j]
    if i1 < n1 - 1:
        d -= y[s, c - 2, i0, i1, j]
    if c == 3:
        if i0 > 0:
            d += y[s, 0, i0 - 1, i1, j]
        if i0 < n0 - 1:
            d -= y[s, 0, i0, i1, j]
    return d


@cuda.jit(device=True)
def _clip(z, lo, hi):
    """Comparisons are false for NaN, which therefore stays."""
    z = lo if z < lo else z
    return hi if z > hi else z


# ---------------------------------------------------------------- kernels


@cuda.jit
def _gradient(x, y, zero):
    batch, n0, n1, n = x.shape
    c = y.shape[1]
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            here = x[s, i0, i1, j]
            y[s, c - 1, i0, i1, j] = x[s, i0, i1, j + 1] - here if j < n - 1 else zero
            y[s, c - 2, i0, i1, j] = x[s, i0, i1 + 1, j] - here if i1 < n1 - 1 else zero
            if c == 3:
                y[s, 0, i0, i1, j] = x[s, i0 + 1, i1, j] - here if i0 < n0 - 1 else zero


@cuda.jit
def _gradient_adjoint(y, x, add, zero):
    batch, n0, n1, n = x.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            d = _adjoint(y, s, i0, i1, j, zero)
            x[s, i0, i1, j] = x[s, i0, i1, j] + d if add else d


@cuda.jit
def _tv_dual_step(y, x, sigma, radius, unit, isotropic, zero, one):
    batch, n0, n1, n = x.shape
    c = y.shape[1]
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            here = x[s, i0, i1, j]
            y0, y1, y2 = zero, y[s, c - 2, i0, i1, j], y[s, c - 1, i0, i1, j]
            if j < n - 1:
                y2 += sigma * (x[s, i0, i1, j + 1] - here)
            if i1 < n1 - 1:
                y1 += sigma * (x[s, i0, i1 + 1, j] - here)
            if c == 3:
                y0 = y[s, 0, i0, i1, j]
                if i0 < n0 - 1:
                    y0 += sigma * (x[s, i0 + 1, i1, j] - here)
            if isotropic:
                a0, a1, a2, bound = unit * y0, unit * y1, unit * y2, unit * radius
                length = math.sqrt(a0 * a0 + a1 * a1 + a2 * a2)
                scale = one if length <= bound else bound / length
                y0, y1, y2 = y0 * scale, y1 * scale, y2 * scale
            else:
                y0, y1 = _clip(y0, -radius, radius), _clip(y1, -radius, radius)
                y2 = _clip(y2, -radius, radius)
            y[s, c - 2, i0, i1, j] = y1
            y[s, c - 1, i0, i1, j] = y2
            if c == 3:
                y[s, 0, i0, i1, j] = y0


@cuda.jit
def _tv_primal_step(x, y, tau, theta, x_bar, lo, hi, b, has_b, tau_w, one_tau_w, zero):
    batch, n0, n1, n = x.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(row, batch * n0 * n1, rows):
        s, i0, i1 = k // (n0 * n1), k // n1 % n0, k % n1
        for j in range(column, n, columns):
            old = x[s, i0, i1, j]
            z = old - tau * _adjoint(y, s, i0, i1, j, zero)
            if has_b:
                z = (z + tau_w * b[s, i0, i1, j]) / one_tau_w
            z = _clip(z, lo, hi)
            x_bar[s, i0, i1, j] = z + theta * (z - old)
            x[s, i0, i1, j] = z


@cuda.jit
def _primal_step(x, d, tau, theta, x_bar, lo, hi, b, has_b, tau_w, one_tau_w):
    first, row = cuda.grid(2)
    step, _ = cuda.gridsize(2)
    if row > 0:  # a flat image is one row; a block may have more
        return
    for i in range(first, x.shape[0], step):
        z = x[i] - tau * d[i]
        if has_b:
            z = (z + tau_w * b[i]) / one_tau_w
        z = _clip(z, lo, hi)
        x_bar[i] = z + theta * (z - x[i])
        x[i] = z


# ---------------------------------------------------------------- called as the kernels of cpu.py are

gradient = gpu_twin(_gradient, 0)
gradient_adjoint = gpu_twin(_gradient_adjoint, 0)
tv_dual_step = gpu_twin(_tv_dual_step, 0, 1)
tv_primal_step = gpu_twin(_tv_primal_step, 0)
primal_step = gpu_twin(_primal_step)
