"""CPU kernels (Numba) of Joseph's line integrals from point sources to flat panels, and their transposes.

A view is 12 numbers in index coordinates (slice, row, column): the source S, the middle P of the panel's first pixel,
the steps U and V from a pixel to the next along a panel row and along a panel column.  The ray to the pixel (r, c) goes
through S along d = P + r V + c U - S.  It steps over rows or columns of the volume, whichever |d| is larger, or over
slices where it is steeper than both, and interpolates linearly in the two other directions.

An upright panel has V along the axis of the slices and U at right angles to it.  There all rays to a panel column lie
in one plane parallel to the axis and pass a row (column) of the volume between the same two stacks of voxels; those
that are not steep share that interpolation, and the stacks are contiguous.

Volumes are (rows, columns, slices) within a frame of zeros, so that no inner loop branches at the border; plane m is
m + 1 in it.  Only this file, and what `ipbox.kernels.core.compile` names, is hashed for Numba's cache: everything a
kernel calls must live there.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core import lanes
from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import inline

STRIP = 4  # planes that a thread of a transpose owns at a time
BLOCK = 16  # panel columns that a thread works on at a time

# ---------------------------------------------------------------- rays


@inline
def _direction(v, r, c):
    """d, as (slice, row, column)."""
    return (v[3] + r * v[9] + c * v[6] - v[0], v[4] + r * v[10] + c * v[7] - v[1], v[5] + r * v[11] + c * v[8] - v[2])


@inline
def _axes(d):
    """The axis of (slice, row, column) that a ray along d steps along, and the two others."""
    plane = max(abs(d[1]), abs(d[2]))
    if abs(d[0]) > plane:
        return 0, 1, 2
    if abs(d[1]) >= abs(d[2]):
        return 1, 2, 0
    return 2, 1, 0


# ---------------------------------------------------------------- upright panels


@inline
def _level(v, c, n):
    """The rows lo..hi-1 of panel column c, of n, whose rays are not steep."""
    lo, hi = 0, n
    while lo < hi and _axes(_direction(v, lo, c))[0] == 0:
        lo += 1
    while lo < hi and _axes(_direction(v, hi - 1, c))[0] == 0:
        hi -= 1
    return lo, hi


@inline
def _column(v, c):
    """For panel column c whether it steps over rows, and S and d: in the direction of the steps, then in the other."""
    dy, dx = v[4] + c * v[7] - v[1], v[5] + c * v[8] - v[2]
    if abs(dy) >= abs(dx):
        return True, v[1], dy, v[2], dx
    return False, v[2], dx, v[1], dy


@inline
def _step(v, m, s, inverse, s_other, d_other, stacks):
    """Where a column with S and 1/d in the direction of the steps passes the framed plane m.

    That is between the stacks n and n + 1, with the weight w of the latter, and at z0 + r dz within them; n is -1
    where it is not.
    """
    at = (m - 1 - s) * inverse
    p = s_other + at * d_other + 1
    if at <= 0.0 or p < 0.0 or p >= stacks - 1:
        return -1, 0.0, 0.0, 0.0
    n = int(p)
    return n, p - n, v[0] + at * (v[3] - v[0]) + 1, at * v[9]


@inline
def _stacks(u, b, m, n, by_rows):
    """Where the stacks n and n + 1 of row (column) m begin in u, flat."""
    rows, columns = u.shape[1], u.shape[2]
    if by_rows:
        first = ((b * rows + m) * columns + n) * u.shape[3]
        return first, first + u.shape[3]
    first = ((b * rows + n) * columns + m) * u.shape[3]
    return first, first + columns * u.shape[3]


@inline
def _range(z0, dz, n, top):
    """Of 0..n-1 the r from lo to hi-1, among which are all with z0 + r dz in (0, top)."""
    if dz == 0:
        return (0, n) if 0 < z0 < top else (0, 0)
    a, b = -z0 / dz, (top - z0) / dz
    return int(min(max(min(a, b), 0), n)), int(max(min(max(a, b) + 1, n), 0))


@inline
def _size(d, h):
    """The length of d in the unit of the voxel widths h."""
    return math.sqrt((h[0] * d[0]) ** 2 + (h[1] * d[1]) ** 2 + (h[2] * d[2]) ** 2)


@twins
def project_upright(u, views, h, out):
    """out (batch, n_views, n_v, n_u) <- line integrals of the framed volumes u (batch, ny + 2, nx + 2, `framed`).

    Steep rays get 0.
    """
    batch, real = u.shape[0], u.dtype.type
    n_v, n_u = out.shape[2], out.shape[3]
    blocks, height, flat = (n_u + BLOCK - 1) // BLOCK, lanes.padded(n_v, u.itemsize), u.reshape(-1)
    for task in prange(out.shape[1] * blocks):
        t = np.int64(task)
        k, start = t // blocks, (t % blocks) * BLOCK
        v = views[k]
        acc = np.zeros(batch * BLOCK * height, u.dtype)
        for m in range(1, max(u.shape[1], u.shape[2]) - 1):  # columns beside each other read the same stacks
            for c in range(start, min(start + BLOCK, n_u)):
                by_rows, s, d, s_other, d_other = _column(v, c)
                steps, stacks = (u.shape[1], u.shape[2]) if by_rows else (u.shape[2], u.shape[1])
                n, w, z0, dz = _step(v, m, s, 1 / d, s_other, d_other, stacks)
                if n < 0 or m > steps - 2:
                    continue
                lo, hi = _range(z0, dz, n_v, u.shape[3] - 1.0)
                for b in range(batch):
                    a0, a1 = _stacks(u, b, m, n, by_rows)
                    lanes.resample(
                        acc, (b * BLOCK + c - start) * height, flat, a0, a1, u.shape[3],
                        real(1 - w), real(w), real(z0), real(dz), lo, hi,
                    )  # fmt: skip
        for c in range(start, min(start + BLOCK, n_u)):
            d, (l0, l1) = abs(_column(v, c)[2]), _level(v, c, n_v)
            for r in range(n_v):
                length = real(_size(_direction(v, r, c), h) / d) if l0 <= r < l1 else real(0)
                for b in range(batch):
                    acc[(b * BLOCK + c - start) * height + r] *= length
        for b in range(batch):
            for r in range(n_v):
                for c in range(start, min(start + BLOCK, n_u)):
                    out[b, k, r, c] = acc[(b * BLOCK + c - start) * height + r]


@twins
def weigh(y, views, h, q):
    """q (batch, n_views, n_u, `surrounded`) <- y (batch, n_views, n_v, n_u) times the lengths of the rays' steps.

    Steep rays, and what is around, get 0.
    """
    for k in prange(q.shape[1]):
        v = views[k]
        for c in range(q.shape[2]):
            d, (l0, l1) = abs(_column(v, c)[2]), _level(v, c, y.shape[2])
            q[:, k, c] = 0
            for r in range(l0, l1):
                length = q.dtype.type(_size(_direction(v, r, c), h) / d)
                for b in range(q.shape[0]):
                    q[b, k, c, lanes.AROUND + r] = y[b, k, r, c] * length


@twins
def backproject_upright(q, views, u):
    """The transpose: adds q, as `weigh` gives it, to the framed volumes u; nobody reads what the frame gets.

    A voxel gets its sum in the order of views and columns, whatever the threads.
    """
    for task in prange((u.shape[1] - 2 + STRIP - 1) // STRIP):
        _backproject_strip(q, views, True, u, 1 + np.int64(task) * STRIP)
    for task in prange((u.shape[2] - 2 + STRIP - 1) // STRIP):
        _backproject_strip(q, views, False, u, 1 + np.int64(task) * STRIP)


@inline
def _backproject_strip(q, views, over_rows, u, start):
    """The rows (or columns) from ``start`` on get what the rays that step over rows (or columns) give them."""
    batch, n_views, n_u, size = q.shape
    real, flat, readings = u.dtype.type, u.reshape(-1), q.reshape(-1)
    steps, stacks = (u.shape[1], u.shape[2]) if over_rows else (u.shape[2], u.shape[1])
    stop = min(start + STRIP, steps - 1)
    for k in range(n_views):
        v = views[k]
        for c in range(n_u):
            by_rows, s, d, s_other, d_other = _column(v, c)
            if by_rows != over_rows:
                continue
            inverse = 1 / d
            for m in range(start, stop):
                n, w, z0, dz = _step(v, m, s, inverse, s_other, d_other, stacks)
                if n < 0:
                    continue
                for b in range(batch):
                    a0, a1 = _stacks(u, b, m, n, over_rows)
                    lanes.spread(
                        flat, a0, a1, u.shape[3], real(1 - w), real(w),
                        readings, ((b * n_views + k) * n_u + c) * size, size, real(z0), real(dz),
                    )  # fmt: skip


@twins
def backproject_weighted(q, inverses, scale, u):
    """u (batch, ny, nx, nz or more) <- Σ_k q_k(v, a) / U² of framed q (batch, n_views, n_u + 2, `framed`).

    (v, a) is where the ray through a voxel X meets the panel: M (X - S) = (c, r, 1) U / scale, with the matrices M in
    ``inverses`` (n_views, 12) and M S behind each, and U as deep as X lies behind the source, relative to the axis.
    Panels are upright, so that c and U are those of a whole column of voxels, and r is evenly spaced along it.
    """
    batch, n_y, n_x, n_z = u.shape
    n_views, size, real = q.shape[1], q.shape[3], u.dtype.type
    top_c, flat, sums = q.shape[2] - 1, q.reshape(-1), u.reshape(-1)
    for task in prange((n_y + STRIP - 1) // STRIP):
        start = np.int64(task) * STRIP
        stop = min(start + STRIP, n_y)
        u[:, start:stop] = 0
        for k in range(n_views):
            M = inverses[k]
            for y in range(start, stop):  # rows beside each other read the same columns of the panel
                for x in range(n_x):
                    depth = M[7] * y + M[8] * x - M[11]
                    p = (M[1] * y + M[2] * x - M[9]) / depth + 1
                    if p < 0.0 or p >= top_c:
                        continue
                    c = int(p)
                    w, weight = p - c, 1 / (scale * depth) ** 2
                    r0, dr = (M[4] * y + M[5] * x - M[10]) / depth + 1, M[3] / depth
                    lo, hi = _range(r0, dr, n_z, size - 1.0)
                    left, right = real((1 - w) * weight), real(w * weight)
                    for b in range(batch):
                        a, to = ((b * n_views + k) * q.shape[2] + c) * size, ((b * n_y + y) * n_x + x) * n_z
                        lanes.resample(sums, to, flat, a, a + size, size, left, right, real(r0), real(dr), lo, hi)


# ---------------------------------------------------------------- any panels


@twins
def project(u, views, h, steep, out):
    """As `project_upright`, for any panels; or ``steep`` rays only, and the others are left as they are."""
    batch, real, one = u.shape[0], u.dtype.type, u.dtype.type(1)
    size, stride = (u.shape[3], u.shape[1], u.shape[2]), (1, u.shape[2] * u.shape[3], u.shape[3])
    flat = u.reshape(batch, -1)
    for task in prange(out.shape[1] * out.shape[2]):
        t = np.int64(task)
        k, r = t // out.shape[2], t % out.shape[2]
        v = views[k]
        for c in range(out.shape[3]):
            d = _direction(v, r, c)
            main, i, j = _axes(d)
            if steep and main != 0:
                continue
            length = real(_size(d, h) / abs(d[main]))
            for b in range(batch):
                total = real(0)
                for m in range(1, size[main] - 1):
                    at = (m - 1 - v[main]) / d[main]
                    p, q = v[i] + at * d[i] + 1, v[j] + at * d[j] + 1
                    if at > 0.0 and p >= 0.0 and p < size[i] - 1 and q >= 0.0 and q < size[j] - 1:
                        n, e = int(p), int(q)
                        w, z = real(p - n), real(q - e)
                        o = m * stride[main] + n * stride[i] + e * stride[j]
                        near = (one - z) * flat[b, o] + z * flat[b, o + stride[j]]
                        o += stride[i]
                        total += (one - w) * near + w * ((one - z) * flat[b, o] + z * flat[b, o + stride[j]])
                out[b, k, r, c] = total * length


@twins
def backproject(y, views, h, steep, u):
    """The transpose of `project`, or of its ``steep`` rays: adds to the framed volumes u.

    Nobody reads what the frame gets.  A voxel gets its sum in the order of views and pixels, whatever the threads.
    """
    for task in prange((u.shape[3] - 2 + STRIP - 1) // STRIP):
        _backproject_planes(y, views, h, 0, u, 1 + np.int64(task) * STRIP)
    if steep:
        return
    for task in prange((u.shape[1] - 2 + STRIP - 1) // STRIP):
        _backproject_planes(y, views, h, 1, u, 1 + np.int64(task) * STRIP)
    for task in prange((u.shape[2] - 2 + STRIP - 1) // STRIP):
        _backproject_planes(y, views, h, 2, u, 1 + np.int64(task) * STRIP)


@inline
def _backproject_planes(y, views, h, axis, u, start):
    """The planes from ``start`` on get what the rays that step along ``axis`` give them."""
    real, one = u.dtype.type, u.dtype.type(1)
    size, stride = (u.shape[3], u.shape[1], u.shape[2]), (1, u.shape[2] * u.shape[3], u.shape[3])
    flat = u.reshape(u.shape[0], -1)
    for k in range(y.shape[1]):
        v = views[k]
        for r in range(y.shape[2]):
            for c in range(y.shape[3]):
                d = _direction(v, r, c)
                main, i, j = _axes(d)
                if main != axis:
                    continue
                length = real(_size(d, h) / abs(d[main]))
                for m in range(start, min(start + STRIP, size[main] - 1)):
                    at = (m - 1 - v[main]) / d[main]
                    p, q = v[i] + at * d[i] + 1, v[j] + at * d[j] + 1
                    if at > 0.0 and p >= 0.0 and p < size[i] - 1 and q >= 0.0 and q < size[j] - 1:
                        n, e = int(p), int(q)
                        w, z = real(p - n), real(q - e)
                        o = m * stride[main] + n * stride[i] + e * stride[j]
                        for b in range(y.shape[0]):
                            value = y[b, k, r, c] * length
                            flat[b, o] += (one - w) * (one - z) * value
                            flat[b, o + stride[j]] += (one - w) * z * value
                            flat[b, o + stride[i]] += w * (one - z) * value
                            flat[b, o + stride[i] + stride[j]] += w * z * value
