"""Device functions of the GPU kernels (numba.cuda) that look along one of the axes n0, n1, n, by its number."""

from __future__ import annotations

from numba import cuda


@cuda.jit(device=True)
def of_axis(axis, a0, a1, a2):
    return a0 if axis == 0 else (a1 if axis == 1 else a2)


@cuda.jit(device=True)
def at(x, i0, i1, j, axis, shift):
    """x at the pixel, ``shift`` further along ``axis``."""
    if axis == 0:
        return x[i0 + shift, i1, j]
    if axis == 1:
        return x[i0, i1 + shift, j]
    return x[i0, i1, j + shift]


@cuda.jit(device=True)
def component(a, b, c):
    """Where a symmetric tensor of c <= 3 axes holds the pair (a, b), in either order."""
    return a if a == b else c + a + b - 1
