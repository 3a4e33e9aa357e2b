"""GPU twins of lines_cpu.py (numba.cuda): one thread a line, and for the transpose one thread a pixel.

A pixel looks up, in each view, the line that passes it and walks to both sides while lines reach it, so that nothing is
added by two threads at once: results repeat to the last bit.  Positions and weights are computed as on the CPU; where
lines are sought it is in float64, which needs a few operations per pixel and view.
"""

from __future__ import annotations

import math

from numba import cuda

from ipbox.kernels.core.launch import gpu_twin

# ---------------------------------------------------------------- lines


@cuda.jit
def _trace(p, q, L, views, h, aspect, turn):
    """As `lines_cpu.trace`."""
    n_views, n_det = p.shape
    first, view = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for k in range(view, n_views, rows):
        for m in range(first, n_det, columns):
            row, column = views[k, 0] + m * views[k, 2], views[k, 1] + m * views[k, 3]
            along, across = 1.0, float(m)
            if turn > 0.0:
                along, across = math.cos(m * turn), math.sin(m * turn)
            dr, dc = along * views[k, 4] + across * views[k, 6], along * views[k, 5] + across * views[k, 7]
            length = h * math.sqrt(dr * dr + (aspect * dc) * (aspect * dc))
            if abs(dr) >= abs(dc):
                slope = dc / dr
                p[k, m], q[k, m], L[k, m] = column - row * slope + 1, slope, length / abs(dr)
            else:
                slope = dr / dc
                p[k, m], q[k, m], L[k, m] = row - column * slope + 1, slope, -length / abs(dc)


@cuda.jit
def _project(x, p, q, L, out, zero, one):
    batch, ny, nx = x.shape
    n_views, n_det = p.shape
    first, line = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for bk in range(line, batch * n_views, rows):
        b, k = bk // n_views, bk % n_views
        for m in range(first, n_det, columns):
            start, slope, length = p[k, m], q[k, m], L[k, m]
            by_rows = length > zero
            steps, n = (ny, nx) if by_rows else (nx, ny)
            total, i = zero, zero  # i counts in the dtype of x
            for r in range(steps):
                f = start + slope * i
                i += one
                j = int(f) if f >= zero else -1  # in the frame: pixel j - 1 on the left, j on the right
                if 0 <= j <= n:
                    w = f - x.dtype.type(j)
                    if j > 0:
                        total += (one - w) * (x[b, r, j - 1] if by_rows else x[b, j - 1, r])
                    if j < n:
                        total += w * (x[b, r, j] if by_rows else x[b, j, r])
            out[b, k, m] = total * abs(length)


# ---------------------------------------------------------------- pixels


@cuda.jit
def _backproject(y, p, q, L, views, turn, out, zero, one):
    batch, ny, nx = out.shape
    n_views, n_det = p.shape
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for br in range(row, batch * ny, rows):
        b, r = br // ny, br % ny
        for c in range(column, nx, columns):
            total = zero
            for k in range(n_views):
                # the line through the pixel X: (X - P - m P') x (d + m d') = 0, with P' = 0 or d' = 0
                dr, dc = r - views[k, 0], c - views[k, 1]
                numerator = dr * views[k, 5] - dc * views[k, 4]
                denominator = views[k, 2] * views[k, 5] - views[k, 3] * views[k, 4]
                denominator -= dr * views[k, 7] - dc * views[k, 6]
                nearest = numerator / denominator
                if turn > 0.0:  # X - P = |X - P| (cos(m τ) d + sin(m τ) d')
                    side = views[k, 6] * views[k, 5] - views[k, 7] * views[k, 4]
                    nearest = math.atan2(numerator * side, denominator * side) / turn
                middle = -1 if nearest < 0.0 else n_det - 1 if nearest > n_det - 1 else int(nearest)
                for side in range(2):
                    m, step = (middle, -1) if side == 0 else (middle + 1, 1)
                    reached = True
                    while reached and 0 <= m < n_det:
                        start, slope, length = p[k, m], q[k, m], L[k, m]
                        i, j = (r, c) if length > zero else (c, r)
                        f = start + slope * p.dtype.type(i)
                        left = int(f)  # in the frame: pixel j is at j + 1
                        w = f - p.dtype.type(left)
                        weight = zero
                        if f >= zero and left == j:
                            weight = w
                        elif left == j + 1:
                            weight = one - w
                        reached = weight > zero
                        if reached:
                            total += weight * (y[b, k, m] * abs(length))
                        m += step
            out[b, r, c] = total


# ---------------------------------------------------------------- called by front.py

trace = gpu_twin(_trace)
project = gpu_twin(_project, 0, 1, over=4)
backproject = gpu_twin(_backproject, 0, 1, over=6)
