"""GPU twins of cone/cpu.py (numba.cuda): one thread a ray, and for the transpose one thread a voxel.

The panel's pixels that may reach a voxel lie in the shadow of the cube of the voxels around it; each of them says with
which weight it does, so that nothing is added by two threads at once: results repeat to the last bit.
"""

from __future__ import annotations

import math

from numba import cuda

from ipbox.kernels.core.launch import gpu_twin
from ipbox.kernels.core.pixels import of_axis


@cuda.jit(device=True)
def _main(dz, dy, dx):
    """The axis of (slice, row, column) along which a ray steps."""
    plane = max(abs(dy), abs(dx))
    return 0 if abs(dz) > plane else (1 if abs(dy) >= abs(dx) else 2)


@cuda.jit
def _project(x, views, h, out, zero, one):
    """As `cpu.project`, of volumes (batch, nz, ny, nx) without a frame."""
    batch, nz, ny, nx = x.shape
    n_views, n_v, n_u = out.shape[1:]
    first, line = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for bkr in range(line, batch * n_views * n_v, rows):
        b, k, r = bkr // (n_views * n_v), bkr // n_v % n_views, bkr % n_v
        for c in range(first, n_u, columns):
            v = views[k]
            dz = v[3] + r * v[9] + c * v[6] - v[0]
            dy = v[4] + r * v[10] + c * v[7] - v[1]
            dx = v[5] + r * v[11] + c * v[8] - v[2]
            main = _main(dz, dy, dx)
            i, j = (1 if main != 1 else 2), (0 if main != 0 else 2)
            n_i, n_j = of_axis(i, nz, ny, nx), of_axis(j, nz, ny, nx)
            d = of_axis(main, dz, dy, dx)
            total = zero
            for m in range(of_axis(main, nz, ny, nx)):
                at = (m - v[main]) / d
                p, q = v[i] + at * of_axis(i, dz, dy, dx) + 1.0, v[j] + at * of_axis(j, dz, dy, dx) + 1.0
                if at > 0.0 and 0.0 <= p < n_i + 1 and 0.0 <= q < n_j + 1:
                    n, f = int(p), int(q)
                    for a in range(2):
                        for e in range(2):
                            s, t = n - 1 + a, f - 1 + e
                            if 0 <= s < n_i and 0 <= t < n_j:
                                w, z = x.dtype.type(p - n), x.dtype.type(q - f)
                                w, z = (w if a else one - w), (z if e else one - z)
                                if main == 0:
                                    total += w * z * x[b, m, s, t]
                                elif main == 1:
                                    total += w * z * x[b, t, m, s]
                                else:
                                    total += w * z * x[b, t, s, m]
            length = math.sqrt((h[0] * dz) ** 2 + (h[1] * dy) ** 2 + (h[2] * dx) ** 2) / abs(d)
            out[b, k, r, c] = total * x.dtype.type(length)


@cuda.jit(device=True)
def _weight(v, h, r, c, z, y, x):
    """Of the voxel (z, y, x) in the reading of the pixel (r, c)."""
    dz = v[3] + r * v[9] + c * v[6] - v[0]
    dy = v[4] + r * v[10] + c * v[7] - v[1]
    dx = v[5] + r * v[11] + c * v[8] - v[2]
    main = _main(dz, dy, dx)
    i, j = (1 if main != 1 else 2), (0 if main != 0 else 2)
    d = of_axis(main, dz, dy, dx)
    at = (of_axis(main, z, y, x) - v[main]) / d
    p = abs(v[i] + at * of_axis(i, dz, dy, dx) - of_axis(i, z, y, x))
    q = abs(v[j] + at * of_axis(j, dz, dy, dx) - of_axis(j, z, y, x))
    if at <= 0.0 or p >= 1.0 or q >= 1.0:
        return 0.0
    return (1.0 - p) * (1.0 - q) * math.sqrt((h[0] * dz) ** 2 + (h[1] * dy) ** 2 + (h[2] * dx) ** 2) / abs(d)


@cuda.jit
def _backproject(y, views, inverses, h, out, zero):
    """The transpose; ``inverses`` hold the matrix (n_views, 9) that takes X - S to (c, r, 1) times a factor."""
    batch, nz, ny, nx = out.shape
    n_views, n_v, n_u = y.shape[1:]
    first, line = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for bzy in range(line, batch * nz * ny, rows):
        b, s, t = bzy // (nz * ny), bzy // ny % nz, bzy % ny
        for i in range(first, nx, columns):
            total = zero
            for k in range(n_views):
                v, M = views[k], inverses[k]
                c0, c1, r0, r1 = float(n_u), -1.0, float(n_v), -1.0
                for corner in range(8):
                    z = s - v[0] + (1.0 if corner & 1 else -1.0)
                    e = t - v[1] + (1.0 if corner & 2 else -1.0)
                    x = i - v[2] + (1.0 if corner & 4 else -1.0)
                    depth = M[6] * z + M[7] * e + M[8] * x
                    if depth > 1e-9:
                        c, r = (M[0] * z + M[1] * e + M[2] * x) / depth, (M[3] * z + M[4] * e + M[5] * x) / depth
                        c0, c1, r0, r1 = min(c0, c), max(c1, c), min(r0, r), max(r1, r)
                    else:  # beside the source: any pixel may
                        c0, c1, r0, r1 = 0.0, float(n_u), 0.0, float(n_v)
                for r in range(int(max(r0, 0.0)), int(min(r1, n_v - 1.0)) + 1):
                    for c in range(int(max(c0, 0.0)), int(min(c1, n_u - 1.0)) + 1):
                        total += y.dtype.type(_weight(v, h, r, c, s, t, i)) * y[b, k, r, c]
            out[b, s, t, i] = total


@cuda.jit
def _backproject_weighted(q, inverses, scale, out, zero, one):
    """As `cpu.backproject_weighted`, one thread a voxel."""
    batch, ny, nx, nz = out.shape
    top_c, top_r = q.shape[2] - 1, q.shape[3] - 1
    first, line = cuda.grid(2)
    columns, rows = cuda.gridsize(2)
    for byx in range(line, batch * ny * nx, rows):
        b, y, x = byx // (ny * nx), byx // nx % ny, byx % nx
        for z in range(first, nz, columns):
            total = zero
            for k in range(inverses.shape[0]):
                M = inverses[k]
                depth = M[7] * y + M[8] * x - M[11]
                p = (M[1] * y + M[2] * x - M[9]) / depth + 1.0
                s = (M[3] * z + M[4] * y + M[5] * x - M[10]) / depth + 1.0
                if 0.0 <= p < top_c and 0.0 <= s < top_r:
                    c, r = int(p), int(s)
                    v, w = out.dtype.type(s - r), out.dtype.type(p - c)
                    left = (one - v) * q[b, k, c, r] + v * q[b, k, c, r + 1]
                    right = (one - v) * q[b, k, c + 1, r] + v * q[b, k, c + 1, r + 1]
                    total += ((one - w) * left + w * right) * out.dtype.type(1.0 / (scale * depth) ** 2)
            out[b, y, x, z] = total


# ---------------------------------------------------------------- called by front.py

project = gpu_twin(_project, 0, 1, over=3)
backproject = gpu_twin(_backproject, 0, over=4)
backproject_weighted = gpu_twin(_backproject_weighted, 0, 1, over=3)
