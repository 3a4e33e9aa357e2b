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


@contracted
def _values(t, s, d, p, h, last, out):
    for i in range(t.shape[0]):
        a = abs(t[i])
        j = int(min(a * h[1], last))
        r = a - j * h[0]
        out[i] = p[j] + r * (d[j] + h[2] * r * s[j])


@contracted
def _slopes(t, s, d, h, last, out):
    for i in range(t.shape[0]):
        a = abs(t[i])
        j = int(min(a * h[1], last))
        y = d[j] + (a - j * h[0]) * s[j]
        out[i] = -y if t[i] < 0 else y


@contracted
def _curvatures(t, s, h, last, out):
    for i in range(t.shape[0]):
        out[i] = s[int(min(abs(t[i]) * h[1], last))]


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
                j = int(min(a * h[1], last))
                r, w = np.float64(a - j * h[0]), np.float64(g[n, k, i])
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
