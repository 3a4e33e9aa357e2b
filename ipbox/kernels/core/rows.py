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
