"""CPU kernels (Numba) of Joseph's line integrals and their transpose.

Line m of a view goes through the point P + m P' with the direction d + m d', or cos(m τ) d + sin(m τ) d' for a turn τ
from line to line, in index coordinates (row, column); a view is the 8 numbers (P, P', d, d').  `trace` turns them into
three numbers a line.  A line that is nearer to vertical steps over rows: in row i it is at column ``p + q i - 1`` and
each step is |L| > 0 long.  One that is nearer to horizontal steps over columns, of which the transposed image has rows;
its L is negative.  The 1 is the width of the frame of zeros that `project` and `backproject` have around each row, so
that no inner loop branches at the border.

A row is interpolated for all lines of a view that cross it: first the positions, which vectorises, then the sums.
Only this file is hashed for Numba's cache: everything a kernel calls must live here.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import inline

STRIP = 16  # rows that a thread of `backproject` owns at a time


# ---------------------------------------------------------------- which lines cross a row


@inline
def _run_end(L, start):
    """The end of the run of lines from ``start`` that all step over rows, or all over columns."""
    by_rows, stop = L[start] > 0, start + 1
    while stop < L.size and (L[stop] > 0) == by_rows:
        stop += 1
    return stop


@inline
def _first_from(p, q, i, start, stop, m, bound):
    """The first line of a run at ``bound`` or beyond, where positions ascend; ``m`` is a guess."""
    while m > start and p[m - 1] + q[m - 1] * i >= bound:
        m -= 1
    while m < stop and p[m] + q[m] * i < bound:
        m += 1
    return m


@inline
def _first_below(p, q, i, start, stop, m, bound):
    """The first line of a run below ``bound``, where positions descend; ``m`` is a guess."""
    while m > start and p[m - 1] + q[m - 1] * i < bound:
        m -= 1
    while m < stop and p[m] + q[m] * i >= bound:
        m += 1
    return m


@inline
def _crossing(p, q, i, start, stop, lo, hi, top):
    """The lines lo..hi-1 of a run with positions in [0, top) in row i, from those of the row before.

    Lines do not meet inside the image, so positions are monotone along a run.
    """
    zero = p.dtype.type(0)
    if p[stop - 1] + q[stop - 1] * i >= p[start] + q[start] * i:
        lo = _first_from(p, q, i, start, stop, lo, zero)
        return lo, _first_from(p, q, i, start, stop, max(lo, hi), top)
    lo = _first_below(p, q, i, start, stop, lo, top)
    return lo, _first_below(p, q, i, start, stop, max(lo, hi), zero)


# ---------------------------------------------------------------- one row


@inline
def _positions(p, q, i, J, W):
    """Position j + w of each line in row i, 0 <= w < 1."""
    zero = p.dtype.type(0)
    for m in range(p.size):
        f = p[m] + q[m] * i
        j = np.int32(f)
        w = f - p.dtype.type(j)
        J[m] = j
        W[m] = w if w > zero else zero  # rounding cannot make a weight negative


@inline
def _interpolate(acc, row, J, W):
    one = row.dtype.type(1)
    for m in range(acc.size):
        j = np.uint32(J[m])  # unsigned: no test for indices from the end
        acc[m] += (one - W[m]) * row[j] + W[m] * row[j + np.uint32(1)]


@inline
def _shares(v, W, left, right):
    """What each line gives to the two pixels it passes between."""
    one = v.dtype.type(1)
    for m in range(v.size):
        left[m] = (one - W[m]) * v[m]
        right[m] = W[m] * v[m]


@inline
def _scatter(row, following, J, left, right):
    """The pixels on the left and on the right have an array each: two updates in a row do not wait for each other."""
    for m in range(left.size):
        j = np.uint32(J[m])
        row[j] += left[m]
        following[j] += right[m]


# ---------------------------------------------------------------- kernels


@twins
def trace(p, q, L, views, h, aspect, turn):
    """p, q, L (n_views, n_det) of the lines of ``views`` (n_views, 8), for pixels h high and aspect h wide."""
    for k in prange(p.shape[0]):
        v = views[k]
        for m in range(p.shape[1]):
            row, column = v[0] + m * v[2], v[1] + m * v[3]
            along, across = (math.cos(m * turn), math.sin(m * turn)) if turn > 0.0 else (1.0, float(m))
            dr, dc = along * v[4] + across * v[6], along * v[5] + across * v[7]
            length = h * math.sqrt(dr * dr + (aspect * dc) * (aspect * dc))
            if abs(dr) >= abs(dc):
                slope = dc / dr
                p[k, m], q[k, m], L[k, m] = column - row * slope + 1, slope, length / abs(dr)
            else:
                slope = dr / dc
                p[k, m], q[k, m], L[k, m] = row - column * slope + 1, slope, -length / abs(dc)


@twins
def project(u, u_t, p, q, L, out):
    """out (batch, n_views, n_det) <- line integrals of u (batch, ny, nx + 3), u_t (batch, nx, ny + 3), both framed."""
    n_det = p.shape[1]
    for k in prange(p.shape[0]):
        J, W = np.empty(n_det, np.int32), np.empty(n_det, p.dtype)
        out[:, k] = 0
        start = 0
        while start < n_det:
            stop = _run_end(L[k], start)
            image = u if L[k, start] > 0 else u_t
            top = p.dtype.type(image.shape[2] - 2)
            lo = hi = start
            for r in range(image.shape[1]):
                i = p.dtype.type(r)
                lo, hi = _crossing(p[k], q[k], i, start, stop, lo, hi, top)
                if lo < hi:
                    _positions(p[k, lo:hi], q[k, lo:hi], i, J, W)
                    for b in range(image.shape[0]):
                        _interpolate(out[b, k, lo:hi], image[b, r], J, W)
            start = stop
        for b in range(out.shape[0]):
            for m in range(n_det):
                out[b, k, m] *= abs(L[k, m])


@twins
def backproject(y, p, q, L, u, u_t):
    """The transpose: u (batch, ny, nx + 3) from the lines that step over rows, u_t from the others.

    A pixel gets its sum in the order of views and lines, whatever the threads.
    """
    n = (u.shape[1] + STRIP - 1) // STRIP
    n_t = (u_t.shape[1] + STRIP - 1) // STRIP
    for t in prange(n + n_t):
        k = np.int64(t)
        if k < n:
            _backproject_strip(y, p, q, L, True, u, k * STRIP)
        else:
            _backproject_strip(y, p, q, L, False, u_t, (k - n) * STRIP)


@inline
def _backproject_strip(y, p, q, L, by_rows, image, first):
    """The rows from ``first`` of ``image``; framed pixels get what they are due, nobody reads it."""
    batch, n_det, width = y.shape[0], p.shape[1], image.shape[2]
    last = min(first + STRIP, image.shape[1])
    J, W, v = np.empty(n_det, np.int32), np.empty(n_det, p.dtype), np.empty((batch, n_det), p.dtype)
    left, right = np.empty(n_det, p.dtype), np.empty(n_det, p.dtype)
    following = np.zeros((batch, last - first, width), p.dtype)
    image[:, first:last] = 0
    top = p.dtype.type(width - 2)
    for k in range(p.shape[0]):
        for b in range(batch):
            for m in range(n_det):
                v[b, m] = y[b, k, m] * abs(L[k, m])
        start = 0
        while start < n_det:
            stop = _run_end(L[k], start)
            lo = hi = start
            if (L[k, start] > 0) == by_rows:
                for r in range(first, last):
                    i = p.dtype.type(r)
                    lo, hi = _crossing(p[k], q[k], i, start, stop, lo, hi, top)
                    if lo < hi:
                        _positions(p[k, lo:hi], q[k, lo:hi], i, J, W)
                        for b in range(batch):
                            _shares(v[b, lo:hi], W, left, right)
                            _scatter(image[b, r], following[b, r - first], J, left[: hi - lo], right[: hi - lo])
            start = stop
    for b in range(batch):
        for r in range(first, last):
            row, nxt = image[b, r], following[b, r - first]
            for j in range(1, width):
                row[j] += nxt[j - 1]
