"""CPU kernels (Numba) of Fields of Experts: windows of an image as the columns of a matrix, and the experts' functions.

Images have symmetric boundaries: ... 2 1 0 | 0 1 2 ...  Their correlations with filters are then products of matrices,
which BLAS computes faster than any loop here could.

Only this file is hashed for Numba's cache: everything a kernel calls must live in it.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import prange

from ipbox.kernels.compile import OPTIONS, twins

inline = numba.njit(fastmath={"contract"}, **OPTIONS)
# The sums may be reordered, else they would not vectorise; both twins reorder them alike, and NaN stays.
reduction = numba.njit(fastmath={"contract", "reassoc"}, **OPTIONS)


@twins
def columns(u, size, out):
    """out[(a, b), (i, j)] = u[i + a, j + b]: the windows of an image, one to a column; ``out`` is (size², m, n)."""
    m, n = out.shape[1], out.shape[2]
    for row in prange(size * size * m):
        tap, i = row // m, row % m
        a, b = tap // size, tap % size
        out[tap, i, :] = u[i + a, b : b + n]


@inline
def _add(y, a):
    for j in range(y.shape[0]):
        y[j] += a[j]


@twins
def add_columns(c, size, out):
    """The adjoint, added to the image ``out``."""
    n = c.shape[2]
    rows = c.shape[1]
    for i in prange(out.shape[0]):
        for a in range(max(0, i - rows + 1), min(size, i + 1)):
            for b in range(size):
                _add(out[i, b : b + n], c[a * size + b, i - a])


# ---------------------------------------------------------------- experts w √(t² + ν²), one for each row of t


@reduction
def _value(t, nu2):
    s = 0.0
    for j in range(t.shape[0]):
        x = np.float64(t[j])
        s += math.sqrt(x * x + nu2)
    return s


@twins
def value(t, w, nu2):
    """w Σ √(t² + ν²) of every row, in float64."""
    values = np.empty(t.shape[0])
    for k in prange(t.shape[0]):
        values[k] = w[k] * _value(t[k], nu2[k])
    return values


@inline
def _influence(t, w, nu2):
    for j in range(t.shape[0]):
        t[j] = w * t[j] / math.sqrt(t[j] * t[j] + nu2)


@twins
def influence(t, w, nu2):
    """t <- w t/s, s = √(t² + ν²)."""
    for k in prange(t.shape[0]):
        _influence(t[k], w[k], nu2[k])


@inline
def _linearised(t, v, w, nu2):
    for j in range(t.shape[0]):
        r = t[j] * t[j] + nu2
        v[j] = w * v[j] / (r * math.sqrt(r))


@twins
def linearised(t, v, w, nu2):
    """v <- w ν² v/s³."""
    for k in prange(t.shape[0]):
        _linearised(t[k], v[k], w[k] * nu2[k], nu2[k])
