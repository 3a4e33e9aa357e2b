"""CPU kernel (Numba): reconstructing complex signals from weighted Fourier samples with smoothed total variation.

Signals are (samples, 2, n): real and imaginary parts.  The normal operator is a circulant, given by ``circulant``
(2, 2 n - 1): real and imaginary part of its entry for the distance m at n - 1 + m.

Scalars come in the dtype of the arrays.  Only this file is hashed for Numba's cache: everything a kernel calls must
live in it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import contracted
from ipbox.kernels.smoothed_tv.cpu import next_momentum


@contracted
def _multiply(g, circulant, y):
    """g += G y, four columns at a time."""
    n = y.shape[1]
    gr, gi = g[0], g[1]
    whole = n - n % 4
    for j in range(0, whole, 4):
        r0, r1, r2, r3 = y[0, j], y[0, j + 1], y[0, j + 2], y[0, j + 3]
        i0, i1, i2, i3 = y[1, j], y[1, j + 1], y[1, j + 2], y[1, j + 3]
        cr, ci = circulant[0, n - 4 - j :], circulant[1, n - 4 - j :]
        for k in range(n):
            gr[k] += (cr[k + 3] * r0 - ci[k + 3] * i0) + (cr[k + 2] * r1 - ci[k + 2] * i1)
            gr[k] += (cr[k + 1] * r2 - ci[k + 1] * i2) + (cr[k] * r3 - ci[k] * i3)
            gi[k] += (cr[k + 3] * i0 + ci[k + 3] * r0) + (cr[k + 2] * i1 + ci[k + 2] * r1)
            gi[k] += (cr[k + 1] * i2 + ci[k + 1] * r2) + (cr[k] * i3 + ci[k] * r3)
    for j in range(whole, n):
        r0, i0 = y[0, j], y[1, j]
        cr, ci = circulant[0, n - 1 - j :], circulant[1, n - 1 - j :]
        for k in range(n):
            gr[k] += cr[k] * r0 - ci[k] * i0
            gi[k] += cr[k] * i0 + ci[k] * r0


@contracted
def _field(p, y, edge, alpha, nu2):
    """p = α Dy/√(|Dy|² + ν²) by backward differences; its last entry stays 0."""
    pr, pi, yr, yi = p[0], p[1], y[0], y[1]
    d, e = edge * yr[0], edge * yi[0]
    r = alpha / math.sqrt(d * d + e * e + nu2)
    pr[0], pi[0] = d * r, e * r
    for j in range(1, y.shape[1]):
        d, e = yr[j] - yr[j - 1], yi[j] - yi[j - 1]
        r = alpha / math.sqrt(d * d + e * e + nu2)
        pr[j], pi[j] = d * r, e * r


@contracted
def _iterate(c, x, y, g, p, circulant, edge, alpha, nu2, xi, tau, beta):
    """One iteration in place: x = y - τ∇Φ(y), then y = x + β (x - its predecessor); gives ‖∇Φ(y)‖² and ‖y‖²."""
    n = y.shape[1]
    for a in range(2):
        for k in range(n):
            g[a, k] = xi * y[a, k] - c[a, k]
    _multiply(g, circulant, y)
    _field(p, y, edge, alpha, nu2)
    norm2, size2 = 0.0, 0.0
    for a in range(2):
        ga, pa, ya, xa = g[a], p[a], y[a], x[a]
        for k in range(n):
            h = ga[k] + (pa[k] - pa[k + 1])
            ga[k] = h
            z = ya[k] - tau * h
            size2 += np.float64(ya[k]) * np.float64(ya[k])
            norm2 += np.float64(h) * np.float64(h)
            ya[k] = z + beta * (z - xa[k])
            xa[k] = z
    return norm2, size2


@twins
def sampled_signals(
    c, x, y, circulant, memory, count, certificate, running, accuracy, rounding, slope,
    edge, alpha, nu2, xi, tau, ratio, factor, patience, fixed, budget, most,
):  # fmt: skip
    """At most ``budget`` more iterations of each sample that is ``running``; ``c`` is A*Sb.

    ``memory`` holds t of FISTA, the smallest bound so far and the iteration that had it.  Rounding moves the minimiser
    by at most ``rounding`` + ``slope`` ‖y‖.
    """
    samples, _, n = x.shape
    for s in prange(samples):
        if running[s]:
            g, p = np.empty((2, n), x.dtype), np.zeros((2, n + 1), x.dtype)
            for _ in range(budget):
                beta = 0.0
                if ratio > 0.0:
                    memory[s, 0], beta = next_momentum(memory[s, 0], ratio)
                norm2, size2 = _iterate(
                    c[s], x[s], y[s], g, p, circulant, edge, alpha, nu2, xi, tau, x.dtype.type(beta)
                )  # fmt: skip
                bound, floor = factor * math.sqrt(norm2), rounding[s] + slope * math.sqrt(size2)
                count[s] += 1
                certificate[s] = bound + floor
                if bound < 0.9 * memory[s, 1]:
                    memory[s, 1], memory[s, 2] = bound, count[s]
                held = count[s] - memory[s, 2] > patience
                enough = bound + floor <= accuracy[s] or bound <= floor or held
                if count[s] >= most or (enough and not fixed) or not bound < math.inf:
                    running[s] = False
                    break
