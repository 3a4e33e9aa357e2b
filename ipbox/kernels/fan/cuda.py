"""GPU twin of fan_cpu.py (numba.cuda): one thread a pixel.  Where a ray meets the detector is sought in float64."""

from __future__ import annotations

import math

from numba import cuda

from ipbox.kernels.core.launch import gpu_twin


@cuda.jit
def _backproject(q, views, scale, out, zero, one):
    batch, ny, nx = out.shape
    last = q.shape[2] - 2
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for br in range(row, batch * ny, rows):
        b, r = br // ny, br % ny
        for c in range(column, nx, columns):
            total = zero
            for k in range(views.shape[0]):
                dr, dc = r - views[k, 0], c - views[k, 1]
                inverse = 1.0 / (dc * views[k, 6] - dr * views[k, 7])
                f = (dr * views[k, 5] - dc * views[k, 4]) * inverse + 1.0
                f = 0.0 if f < 0.0 else f
                f = last if f > last else f
                j = int(f)
                w = q.dtype.type(f - j)
                weight = q.dtype.type((scale * inverse) * (scale * inverse))
                total += weight * ((one - w) * q[b, k, j] + w * q[b, k, j + 1])
            out[b, r, c] = total


@cuda.jit
def _backproject_curved(q, views, scale, turn, out, zero, one):
    batch, ny, nx = out.shape
    last = q.shape[2] - 2
    column, row = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for br in range(row, batch * ny, rows):
        b, r = br // ny, br % ny
        for c in range(column, nx, columns):
            total = zero
            for k in range(views.shape[0]):
                dr, dc = r - views[k, 0], c - views[k, 1]
                inverse = 1.0 / (views[k, 6] * views[k, 5] - views[k, 7] * views[k, 4])
                x = (dc * views[k, 6] - dr * views[k, 7]) * inverse
                y = (dr * views[k, 5] - dc * views[k, 4]) * inverse
                f = math.atan2(y, x) / turn + 1.0
                f = 0.0 if f < 0.0 else f
                f = last if f > last else f
                j = int(f)
                w = q.dtype.type(f - j)
                weight = q.dtype.type(scale * scale / (x * x + y * y))
                total += weight * ((one - w) * q[b, k, j] + w * q[b, k, j + 1])
            out[b, r, c] = total


backproject = gpu_twin(_backproject, 0, 1, over=3)
backproject_curved = gpu_twin(_backproject_curved, 0, 1, over=4)
