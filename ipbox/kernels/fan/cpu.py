"""CPU kernel (Numba) of the distance-weighted back-projection of filtered fan-beam data.

Views are those of lines.py with P' = 0: a source and a flat or a curved detector.  Only this file is hashed for Numba's
cache.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import inline


@inline
def _samples(n0, n1, d0, d1, scale, last, J, W, V):
    """For the pixels c of a row: sample j + w = (n0 + c n1) / (d0 + c d1), within [0, last], and the weight 1/U²."""
    for c in range(J.size):
        inverse = 1.0 / (d0 + c * d1)
        f = (n0 + c * n1) * inverse
        f = 0.0 if f < 0.0 else f
        f = last if f > last else f
        j = np.int32(f)
        J[c], W[c] = j, f - j
        V[c] = (scale * inverse) * (scale * inverse)


@inline
def _add(row, q, J, W, V):
    one = row.dtype.type(1)
    for c in range(row.size):
        j = np.uint32(J[c])
        row[c] += V[c] * ((one - W[c]) * q[j] + W[c] * q[j + np.uint32(1)])


@twins
def backproject(q, views, scale, out):
    """out (batch, ny, nx) <- Σ_k q_k(a) / U² of q (batch, n_views, n), framed by one zero before and two behind.

    a is where the ray through the pixel meets the detector; (X - S) x d' = U scale, U the pixel's distance from the
    source along the central ray, relative to the centre's.
    """
    batch, nx, last = out.shape[0], out.shape[2], float(q.shape[2] - 2)
    for t in prange(out.shape[1]):
        r = np.int64(t)
        J, W, V = np.empty(nx, np.int32), np.empty(nx, q.dtype), np.empty(nx, q.dtype)
        for b in range(batch):
            out[b, r] = 0
        for k in range(views.shape[0]):
            v = views[k]
            dr = r - v[0]
            # (X - S) x (d + m d') = 0 at the detector pixel m, which is m + 1 in the frame
            n0, n1 = dr * v[5] + v[1] * v[4], -v[4]
            d0, d1 = -(dr * v[7] + v[1] * v[6]), v[6]
            _samples(n0 + d0, n1 + d1, d0, d1, scale, last, J, W, V)
            for b in range(batch):
                _add(out[b, r], q[b, k], J, W, V)


@inline
def _turned(v, dr, scale, turn, last, J, W, V):
    """As `_samples` for a curved detector: X - S = x e + y e', e along the line to its middle, and the angle of (x, y).

    tan φ/4 from two half angles is at most 0.42 for |φ| <= π/2, and the series of its arctangent good to 1e-9; all of
    it vectorises, as atan2 does not.
    """
    middle = 0.5 * (last - 2.0)
    along, across = math.cos(middle * turn), math.sin(middle * turn)
    e0, e1 = along * v[4] + across * v[6], along * v[5] + across * v[7]
    q0, q1 = along * v[6] - across * v[4], along * v[7] - across * v[5]
    inverse = 1.0 / (v[6] * v[5] - v[7] * v[4])
    x0, x1, y0, y1 = -dr * q1 * inverse, q0 * inverse, dr * e1 * inverse, -e0 * inverse
    for c in range(J.size):
        dc = c - v[1]
        x, y = x0 + dc * x1, y0 + dc * y1
        square = x * x + y * y
        t = y / (math.sqrt(square) + x)
        t /= 1.0 + math.sqrt(1.0 + t * t)
        z = -t * t
        series = 1 / 13 + z * (1 / 15 + z * (1 / 17 + z * (1 / 19)))
        series = 1.0 + z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * series)))))
        f = middle + 4.0 * t * series / turn + 1.0
        f = 0.0 if f < 0.0 else f
        f = last if f > last else f
        j = np.int32(f)
        J[c], W[c] = j, f - j
        V[c] = scale * scale / square


@twins
def backproject_curved(q, views, scale, turn, out):
    """out (batch, ny, nx) <- Σ_k q_k(γ) / U² of q (batch, n_views, n), framed by one zero before and two behind.

    U times scale is the pixel's distance from the source, in the unit of d and d', which are of length one.
    """
    batch, nx, last = out.shape[0], out.shape[2], float(q.shape[2] - 2)
    for t in prange(out.shape[1]):
        r = np.int64(t)
        J, W, V = np.empty(nx, np.int32), np.empty(nx, q.dtype), np.empty(nx, q.dtype)
        for b in range(batch):
            out[b, r] = 0
        for k in range(views.shape[0]):
            _turned(views[k], r - views[k, 0], scale, turn, last, J, W, V)
            for b in range(batch):
                _add(out[b, r], q[b, k], J, W, V)
