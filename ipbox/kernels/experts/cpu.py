"""CPU kernels (Numba) of Fields of Experts: windows of an image as the columns of a matrix, and the experts' functions.

Responses t are (K, m, n), one image for each filter, and r likewise.  The experts are w √(t² + ν²) - v √(t² + η²); the
rows of ``p`` (4, K) are w, ν², v and η².  Their second part counts in the pixels ``inside`` = (i0, i1, j0, j1) alone.

Only this file is hashed for Numba's cache: everything a kernel calls must live in it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import contracted, reduction

# ---------------------------------------------------------------- windows


@twins
def columns(u, size, out):
    """out[(a, b), (i, j)] = u[i + a, j + b]; ``out`` is (size², m, n)."""
    m, n = out.shape[1], out.shape[2]
    for row in prange(size * size * m):
        tap, i = row // m, row % m
        a, b = tap // size, tap % size
        out[tap, i, :] = u[i + a, b : b + n]


@contracted
def _add(y, a):
    for j in range(y.shape[0]):
        y[j] += a[j]


@twins
def add_columns(c, size, out):
    """The adjoint, added to the image ``out``."""
    m, n = c.shape[1], c.shape[2]
    for i in prange(out.shape[0]):
        for a in range(max(0, i - m + 1), min(size, i + 1)):
            for b in range(size):
                _add(out[i, b : b + n], c[a * size + b, i - a])


# ---------------------------------------------------------------- experts, row by row


@contracted
def _influence_convex(t, w, nu2):
    for j in range(t.shape[0]):
        t[j] = w * t[j] / math.sqrt(t[j] * t[j] + nu2)


@contracted
def _influence(t, w, nu2, v, eta2):
    for j in range(t.shape[0]):
        q = t[j] * t[j]
        t[j] *= w / math.sqrt(q + nu2) - v / math.sqrt(q + eta2)


@contracted
def _linearised_convex(t, r, w, nu2):
    for j in range(t.shape[0]):
        s2 = t[j] * t[j] + nu2
        r[j] = w * r[j] / (s2 * math.sqrt(s2))


@contracted
def _curvature(t, w, nu2, v, eta2):
    """w ν²/s³ - v η²/σ³."""
    s2, sigma2 = t * t + nu2, t * t + eta2
    return w * nu2 / (s2 * math.sqrt(s2)) - v * eta2 / (sigma2 * math.sqrt(sigma2))


@contracted
def _linearised(t, r, w, nu2, v, eta2):
    for j in range(t.shape[0]):
        r[j] *= _curvature(t[j], w, nu2, v, eta2)


@reduction
def _value(t, w, nu2, v, eta2):
    total = 0.0
    for j in range(t.shape[0]):
        q = np.float64(t[j]) * np.float64(t[j])
        total += w * math.sqrt(q + nu2) - v * math.sqrt(q + eta2)
    return total


@reduction
def _sums(t, r, w, nu2, v, eta2):
    """Σ r times the derivatives of the influence by log w, log ν, log v and log η."""
    a = b = c = d = 0 * w
    for j in range(t.shape[0]):
        s2, sigma2 = t[j] * t[j] + nu2, t[j] * t[j] + eta2
        f, g = w * t[j] * r[j] / math.sqrt(s2), v * t[j] * r[j] / math.sqrt(sigma2)
        a += f
        b -= f * nu2 / s2
        c -= g
        d += g * eta2 / sigma2
    return a, b, c, d


@contracted
def _change(t, r, w, nu2, v, eta2, dw, dnu, dv, deta):
    for j in range(t.shape[0]):
        q = t[j] * t[j]
        s2, sigma2 = q + nu2, q + eta2
        f, g = w / math.sqrt(s2), v / math.sqrt(sigma2)
        h, k = nu2 / s2, eta2 / sigma2
        slope = f * (dw - dnu * h) - g * (dv - deta * k)
        r[j] = (f * h - g * k) * r[j] + slope * t[j]
        t[j] *= f - g


@contracted
def _segments(i, n, inside):
    """Where the columns with both parts begin and end in row i."""
    if inside[0] <= i < inside[1]:
        return inside[2], inside[3]
    return 0, 0


# ---------------------------------------------------------------- experts, on responses


@twins
def value(t, p, inside):
    """Σ w √(t² + ν²) - v √(t² + η²) of every expert, in float64, as ``p`` is."""
    K, m, n = t.shape
    values = np.zeros(K)
    for k in prange(K):
        w, nu2, v, eta2 = p[0, k], p[1, k], p[2, k], p[3, k]
        for i in range(m):
            a, b = _segments(i, n, inside)
            row = t[k, i]
            values[k] += _value(row[:a], w, nu2, 0.0, 1.0)
            values[k] += _value(row[a:b], w, nu2, v, eta2) + _value(row[b:], w, nu2, 0.0, 1.0)
    return values


@twins
def influence(t, p, inside):
    """t <- w t/s - v t/σ, s = √(t² + ν²), σ = √(t² + η²)."""
    K, m, n = t.shape
    for row in prange(K * m):
        k, i = row // m, row % m
        w, nu2, v, eta2 = p[0, k], p[1, k], p[2, k], p[3, k]
        a, b = _segments(i, n, inside)
        _influence_convex(t[k, i, :a], w, nu2)
        _influence(t[k, i, a:b], w, nu2, v, eta2)
        _influence_convex(t[k, i, b:], w, nu2)


@twins
def linearised(t, r, p, inside):
    """r <- (w ν²/s³ - v η²/σ³) r."""
    K, m, n = t.shape
    for row in prange(K * m):
        k, i = row // m, row % m
        w, nu2, v, eta2 = p[0, k], p[1, k], p[2, k], p[3, k]
        a, b = _segments(i, n, inside)
        x, y = t[k, i], r[k, i]
        _linearised_convex(x[:a], y[:a], w * nu2, nu2)
        _linearised(x[a:b], y[a:b], w, nu2, v, eta2)
        _linearised_convex(x[b:], y[b:], w * nu2, nu2)


@twins
def sums(t, r, p, inside):
    """Σ r times the derivatives of the influence by log w, log ν, log v and log η: (4, K), rows added in float64."""
    K, m, n = t.shape
    total = np.zeros((4, K))
    for k in prange(K):
        w, nu2, v, eta2 = p[0, k], p[1, k], p[2, k], p[3, k]
        for i in range(m):
            a, b = _segments(i, n, inside)
            row, along = t[k, i], r[k, i]
            for part in range(3):
                first, last = (0, a) if part == 0 else ((a, b) if part == 1 else (b, n))
                x = _sums(row[first:last], along[first:last], w, nu2, v if part == 1 else 0 * v, eta2)
                for e in range(4):
                    total[e, k] += x[e]
    return total


@twins
def change(t, r, d, p, inside):
    """r <- (w ν²/s³ - v η²/σ³) r + the derivative of the influence along d = (dlog w, dlog ν, dlog v, dlog η).

    t becomes its influence.
    """
    K, m, n = t.shape
    for row in prange(K * m):
        k, i = row // m, row % m
        w, nu2, v, eta2 = p[0, k], p[1, k], p[2, k], p[3, k]
        d0, d1, d2, d3 = d[0, k], d[1, k], d[2, k], d[3, k]
        a, b = _segments(i, n, inside)
        x, y = t[k, i], r[k, i]
        _change(x[:a], y[:a], w, nu2, 0 * v, eta2, d0, d1, d2, d3)
        _change(x[a:b], y[a:b], w, nu2, v, eta2, d0, d1, d2, d3)
        _change(x[b:], y[b:], w, nu2, 0 * v, eta2, d0, d1, d2, d3)
