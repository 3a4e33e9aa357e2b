"""CPU kernels (Numba) of even quadratic splines φ_k, whose second derivatives are constant between knots.

Responses t are (N, K, m), m pixels.  The tables (3, K, J + 1) hold φ'', φ' and φ at the beginnings |t| = 0, h, ..., J h
of the intervals; beyond the last φ is quadratic.

Only this file is hashed for Numba's cache: everything a kernel calls must live in it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import contracted

CHUNK = 1024  # pixels that stay in the first cache


@contracted
def _interval(q, last):
    """The last one where q is NaN."""
    return np.int32(q if q < last else last)


@contracted
def _values(t, s, d, p, h, last, out):
    real = t.dtype.type
    for i in range(t.shape[0]):
        a = abs(t[i])
        j = _interval(a * h[1], last)
        r = a - real(j) * h[0]
        out[i] = p[j] + r * (d[j] + h[2] * r * s[j])


@contracted
def _slopes(t, s, d, h, last, out):
    real = t.dtype.type
    for i in range(t.shape[0]):
        a = abs(t[i])
        j = _interval(a * h[1], last)
        y = d[j] + (a - real(j) * h[0]) * s[j]
        out[i] = -y if t[i] < 0 else y


@contracted
def _curvatures(t, s, h, last, out):
    for i in range(t.shape[0]):
        out[i] = s[_interval(abs(t[i]) * h[1], last)]


@contracted
def _clip(x, k):
    return -k if x < -k else (k if x > k else x)  # NaN stays


@contracted
def _add_clipped(x, c, k, y):
    """y += Σ_j c_j min(max(x, -k_j), k_j), of four j at a time: a pass over memory costs more than arithmetic."""
    c0, c1, c2, c3 = c[0], c[1], c[2], c[3]
    k0, k1, k2, k3 = k[0], k[1], k[2], k[3]
    for i in range(x.shape[0]):
        y[i] += (c0 * _clip(x[i], k0) + c1 * _clip(x[i], k1)) + (c2 * _clip(x[i], k2) + c3 * _clip(x[i], k3))


@twins
def influence(t, c, knots):
    """t <- Σ_j c_kj min(max(t, -knot_j), knot_j), the odd functions whose slopes fall by c_kj at ±knot_j.

    There are 4 n knots; ``c`` is (K, 4 n).
    """
    N, K, m = t.shape
    for row in prange(N * K):
        weights, all_of, kept = c[row % K], t[row // K, row % K], np.empty(CHUNK, t.dtype)
        for first in range(0, m, CHUNK):
            y = all_of[first : first + CHUNK]
            x = kept[: y.shape[0]]
            x[:] = y
            y[:] = 0
            for j in range(0, knots.shape[0], 4):
                _add_clipped(x, weights[j : j + 4], knots[j : j + 4], y)


@twins
def evaluate(t, tables, h, order, out):
    """out = φ, φ' or φ'' of t, for order 0, 1 or 2; ``h`` is (step, 1/step, 1/2) in the dtype of t."""
    N, K, m = t.shape
    last = t.dtype.type(tables.shape[2] - 1)
    for row in prange(N * K):
        n, k = row // K, row % K
        s, d, p = tables[0, k], tables[1, k], tables[2, k]
        if order == 0:
            _values(t[n, k], s, d, p, h, last, out[n, k])
        elif order == 1:
            _slopes(t[n, k], s, d, h, last, out[n, k])
        else:
            _curvatures(t[n, k], s, h, last, out[n, k])


@twins
def sums(t, g, h, order, out):
    """out (3, K, J + 1), float64: the derivatives of Σ g φ^(order)(t) by the tables."""
    N, K, m = t.shape
    last = t.dtype.type(out.shape[2] - 1)
    for k in prange(K):
        for n in range(N):
            for i in range(m):
                a = abs(t[n, k, i])
                j = _interval(a * h[1], last)
                r, w = np.float64(a - h[0] * t.dtype.type(j)), np.float64(g[n, k, i])
                if order == 0:
                    out[2, k, j] += w
                    out[1, k, j] += w * r
                    out[0, k, j] += 0.5 * w * r * r
                elif order == 1:
                    w = -w if t[n, k, i] < 0 else w
                    out[1, k, j] += w
                    out[0, k, j] += w * r
                else:
                    out[0, k, j] += w
