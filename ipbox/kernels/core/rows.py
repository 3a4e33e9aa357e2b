"""Ways to compile the helpers of CPU kernels, and the loops over rows that kernels of several subjects share."""

from __future__ import annotations

import numba

from ipbox.kernels.core.compile import OPTIONS

inline = numba.njit(**OPTIONS)  # helpers, compiled into the kernels that call them
# Products are added without an intermediate rounding where the CPU can (FMA): nothing is reordered, NaN and inf stay.
contracted = numba.njit(fastmath={"contract"}, **OPTIONS)
# The sums may be reordered, else they would not vectorise; both twins reorder them alike, and NaN stays.
reduction = numba.njit(fastmath={"contract", "reassoc"}, **OPTIONS)


@inline
def fill(y, value):
    for j in range(y.shape[0]):
        y[j] = value


@inline
def difference(y, a, b, w):
    for j in range(y.shape[0]):
        y[j] = w * (a[j] - b[j])


@inline
def add_difference(y, a, b, w):
    for j in range(y.shape[0]):
        y[j] += w * (a[j] - b[j])


@inline
def add_row(y, a, w):
    for j in range(y.shape[0]):
        y[j] += w * a[j]


@inline
def add_axis_adjoint(x, before, here, i, size, w):
    """Add w times what the adjoint of differences along an axis has at row i of ``size``: y[i - 1] - y[i]."""
    if 0 < i < size - 1:
        add_difference(x, before, here, w)
    elif i > 0:
        add_row(x, before, w)
    elif size > 1:
        add_row(x, here, -w)


@inline
def sum_in_order(g):
    """The sum in a fixed order, over four strands so that additions need not wait for one another."""
    n = g.shape[0] // 4 * 4
    s0 = s1 = s2 = s3 = 0.0
    for j in range(0, n, 4):
        s0 += g[j]
        s1 += g[j + 1]
        s2 += g[j + 2]
        s3 += g[j + 3]
    for j in range(n, g.shape[0]):
        s0 += g[j]
    return (s0 + s1) + (s2 + s3)


@inline
def component(a, b, c):
    """Where a symmetric tensor of c <= 3 axes holds the pair (a, b), in either order."""
    return a if a == b else c + a + b - 1
