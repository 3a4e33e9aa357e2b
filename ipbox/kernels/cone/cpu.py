"""CPU kernels (Numba) of Joseph's line integrals from point sources to flat panels, and their transposes.

A view is 12 numbers in index coordinates (slice, row, column): the source S, the middle P of the panel's first pixel,
the steps U and V from a pixel to the next along a panel row and along a panel column.  The ray to the pixel (r, c) goes
through S along d = P + r V + c U - S.  It steps over rows or columns of the volume, whichever |d| is larger, or over
slices where it is steeper than both, and interpolates linearly in the two other directions.

An upright panel has V along the axis of the slices and U at right angles to it.  There all rays to a panel column lie
in one plane parallel to the axis and pass a row (column) of the volume between the same two stacks of voxels; those
that are not steep share that interpolation, and the stacks are contiguous.

Volumes are (rows, columns, slices) within a frame of zeros, so that no inner loop branches at the border; plane m is
m + 1 in it.  Only this file is hashed for Numba's
cache: everything a kernel calls must live here.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

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
def _range(z0, dz, n, top):
    """The panel rows lo..hi-1, of n, at positions z0 + r dz in [0, top)."""
    real = type(top)
    zero = real(0)
    ends = z0, z0 + dz * real(n - 1)
    if min(ends) >= zero and max(ends) < top:
        return 0, n
    if dz == zero:
        return 0, 0
    a, b = -z0 / dz, (top - z0) / dz
    lo, hi = max(min(a, b) - 1, zero), min(max(a, b) + 2, real(n))
    lo, hi = int(min(lo, real(n))), int(max(hi, zero))
    while lo < hi and not zero <= z0 + dz * real(lo) < top:
        lo += 1
    while lo < hi and not zero <= z0 + dz * real(hi - 1) < top:
        hi -= 1
    return lo, hi


@inline
def _mix(profile, left, right, v, w, first, last):
    """profile <- v left + w right, from ``first`` to ``last``."""
    for j in range(first, last + 1):
        profile[j] = v * left[j] + w * right[j]


@inline
def _sample(acc, profile, z0, dz, lo, hi):
    """acc_r += the profile at z0 + r dz."""
    real = type(z0)
    one = real(1)
    for r in range(lo, hi):
        z = z0 + dz * real(r)
        j = np.int32(z)
        w, i = z - real(j), np.uint32(j)  # unsigned: no test for indices from the end
        acc[r] += (one - w) * profile[i] + w * profile[i + np.uint32(1)]


@inline
def _spread(profile, q, z0, dz, lo, hi):
    """The transpose of `_sample`."""
    real = type(z0)
    one = real(1)
    for r in range(lo, hi):
        z = z0 + dz * real(r)
        j = np.int32(z)
        w, i = z - real(j), np.uint32(j)
        profile[i] += (one - w) * q[r]
        profile[i + np.uint32(1)] += w * q[r]


@inline
def _size(d, h):
    """The length of d in the unit of the voxel widths h."""
    return math.sqrt((h[0] * d[0]) ** 2 + (h[1] * d[1]) ** 2 + (h[2] * d[2]) ** 2)


@twins
def project_upright(u, views, h, out):
    """out (batch, n_views, n_v, n_u) <- line integrals of the framed volumes u (batch, ny + 2, nx + 2, nz + 2).

    Steep rays get 0.
    """
    batch, width, real = u.shape[0], u.shape[3], u.dtype.type
    n_v, n_u = out.shape[2], out.shape[3]
    blocks = (n_u + BLOCK - 1) // BLOCK
    for task in prange(out.shape[1] * blocks):
        t = np.int64(task)
        k, start = t // blocks, (t % blocks) * BLOCK
        v = views[k]
        acc, profile = np.empty((batch, n_v), u.dtype), np.empty(width, u.dtype)
        for c in range(start, min(start + BLOCK, n_u)):
            by_rows, s, d, s_other, d_other = _column(v, c)
            steps, stacks = (u.shape[1], u.shape[2]) if by_rows else (u.shape[2], u.shape[1])
            l0, l1 = _level(v, c, n_v)
            acc[:] = 0
            for m in range(1, steps - 1):
                at = (m - 1 - s) / d
                p = s_other + at * d_other + 1
                if at <= 0.0 or p < 0.0 or p >= stacks - 1:
                    continue
                n = int(p)
                w = real(p - n)
                z0, dz = real(v[0] + at * (v[3] - v[0]) + 1), real(at * v[9])
                lo, hi = _range(z0, dz, n_v, real(width - 1))
                lo, hi = max(lo, l0), min(hi, l1)
                if lo >= hi:
                    continue
                e0, e1 = int(z0 + dz * real(lo)), int(z0 + dz * real(hi - 1))
                for b in range(batch):
                    left, right = (u[b, m, n], u[b, m, n + 1]) if by_rows else (u[b, n, m], u[b, n + 1, m])
                    _mix(profile, left, right, real(1) - w, w, min(e0, e1), max(e0, e1) + 1)
                    _sample(acc[b], profile, z0, dz, lo, hi)
            for r in range(n_v):
                length = real(_size(_direction(v, r, c), h) / abs(d))
                for b in range(batch):
                    out[b, k, r, c] = acc[b, r] * length


@twins
def weigh(y, views, h, q):
    """q (batch, n_views, n_u, n_v) <- y (batch, n_views, n_v, n_u) times the lengths of the steps along the rays."""
    for k in prange(q.shape[1]):
        v = views[k]
        for c in range(q.shape[2]):
            d = abs(_column(v, c)[2])
            for r in range(q.shape[3]):
                length = q.dtype.type(_size(_direction(v, r, c), h) / d)
                for b in range(q.shape[0]):
                    q[b, k, c, r] = y[b, k, r, c] * length


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
    batch, n_views, n_u, n_v = q.shape
    width, real = u.shape[3], u.dtype.type
    steps, stacks = (u.shape[1], u.shape[2]) if over_rows else (u.shape[2], u.shape[1])
    stop = min(start + STRIP, steps - 1)
    profile = np.zeros(width, u.dtype)
    for k in range(n_views):
        v = views[k]
        for c in range(n_u):
            by_rows, s, d, s_other, d_other = _column(v, c)
            if by_rows != over_rows:
                continue
            l0, l1 = _level(v, c, n_v)
            for m in range(start, stop):
                at = (m - 1 - s) / d
                p = s_other + at * d_other + 1
                if at <= 0.0 or p < 0.0 or p >= stacks - 1:
                    continue
                n = int(p)
                w = real(p - n)
                z0, dz = real(v[0] + at * (v[3] - v[0]) + 1), real(at * v[9])
                lo, hi = _range(z0, dz, n_v, real(width - 1))
                lo, hi = max(lo, l0), min(hi, l1)
                if lo >= hi:
                    continue
                e0, e1 = int(z0 + dz * real(lo)), int(z0 + dz * real(hi - 1))
                for b in range(batch):
                    a0, a1 = (u[b, m, n], u[b, m, n + 1]) if over_rows else (u[b, n, m], u[b, n + 1, m])
                    _spread(profile, q[b, k, c], z0, dz, lo, hi)
                    _share(a0, a1, profile, w, min(e0, e1), max(e0, e1) + 1)


@inline
def _share(a0, a1, profile, w, first, last):
    """The transpose of `_mix`, which leaves ``profile`` empty."""
    zero, rest = type(w)(0), type(w)(1) - w
    for j in range(first, last + 1):
        a0[j] += rest * profile[j]
        a1[j] += w * profile[j]
        profile[j] = zero


@twins
def backproject_weighted(q, inverses, scale, u):
    """u (batch, ny, nx, nz) <- Σ_k q_k(v, a) / U² of q (batch, n_views, n_u + 2, n_v + 2), framed.

    (v, a) is where the ray through a voxel X meets the panel: M (X - S) = (c, r, 1) U / scale, with the matrices M in
    ``inverses`` (n_views, 12) and M S behind each, and U as deep as X lies behind the source, relative to the axis.
    Panels are upright, so that c and U are those of a whole column of voxels, and r is evenly spaced along it.
    """
    batch, n_y, n_x, n_z = u.shape
    top_c, top_r, real = q.shape[2] - 1, q.shape[3] - 1, u.dtype.type
    for row in prange(n_y):
        y = np.int64(row)
        profile = np.empty(q.shape[3], u.dtype)
        u[:, y] = 0
        for k in range(inverses.shape[0]):
            M = inverses[k]
            for x in range(n_x):
                depth = M[7] * y + M[8] * x - M[11]
                p = (M[1] * y + M[2] * x - M[9]) / depth + 1
                if p < 0.0 or p >= top_c:
                    continue
                c = int(p)
                w, weight = real(p - c), real(1 / (scale * depth) ** 2)
                r0, dr = real((M[4] * y + M[5] * x - M[10]) / depth + 1), real(M[3] / depth)
                lo, hi = _range(r0, dr, n_z, real(top_r))
                if lo == hi:
                    continue
                e0, e1 = int(r0 + dr * real(lo)), int(r0 + dr * real(hi - 1))
                first, last = min(e0, e1), max(e0, e1) + 1
                for b in range(batch):
                    _mix(profile, q[b, k, c], q[b, k, c + 1], (real(1) - w) * weight, w * weight, first, last)
                    _sample(u[b, y, x], profile, r0, dr, lo, hi)


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
