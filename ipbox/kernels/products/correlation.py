"""Correlation of images with a few weights, on the CPU (Numba): any number of axes, zeros in the kernel cost nothing.

What the kernel calls lives in this file or in `core/rows.py`, which alone are looked at by the cache.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import contracted


def correlate(x: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Write the valid part of a correlation to ``out``: out[i] = Σ_m weights[m] x[i + m], for each image of a batch.

    Parameters
    ----------
    x : array, shape (B,) + n + K - 1
        images, float32 or float64, C-contiguous and writeable (read-only arrays would be compiled for once more).
    weights : array, shape K
        of any dtype; its non-zero entries are taken in the dtype of ``x``.
    out : array, shape (B,) + n
        of the dtype of ``x``, overwritten.

    Raises
    ------
    ValueError
        where the shapes or dtypes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x, out = np.array([[1.0, 2.0, 4.0]]), np.empty((1, 2))
    >>> correlate(x, np.array([-1.0, 1.0]), out)
    >>> out
    array([[1., 2.]])
    """
    dims = x.shape[1:]
    valid = tuple(n - k + 1 for n, k in zip(dims, weights.shape, strict=True))
    if out.shape != (x.shape[0], *valid) or out.dtype != x.dtype or not out.flags.c_contiguous:
        raise ValueError(f"out has shape {out.shape} and dtype {out.dtype}; expected {(x.shape[0], *valid)}, {x.dtype}")
    taps = np.nonzero(weights)
    offsets = np.ravel_multi_index(taps, dims)
    starts = _row_starts(dims, valid[:-1])
    w = np.ascontiguousarray(weights[taps], dtype=x.dtype)
    if out.size:
        size = out.size * (1 + w.size // 16)  # as much work as so many pixels of a finite difference
        correlate_rows.run(size, x.reshape(len(x), -1), starts, offsets, w, out.reshape(len(x), starts.size, -1))


def _row_starts(dims: tuple[int, ...], rows: tuple[int, ...]) -> np.ndarray:
    """Where the rows of the valid part begin in a flat image of shape ``dims``."""
    starts = np.zeros((), dtype=np.int64)
    for axis, n in enumerate(rows):
        starts = np.add.outer(starts, np.arange(n) * math.prod(dims[axis + 1 :]))
    return starts.reshape(-1)


@contracted
def _scale(y, a, w):
    for j in range(y.shape[0]):
        y[j] = w * a[j]


@contracted
def _add(y, a, w):
    for j in range(y.shape[0]):
        y[j] += w * a[j]


@contracted
def _add8(y, a0, a1, a2, a3, a4, a5, a6, a7, w):
    # eight at a time: y is read and written once for eight taps, and LLVM still checks so many pointers for overlap
    w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    for j in range(y.shape[0]):
        s = y[j] + w0 * a0[j] + w1 * a1[j] + w2 * a2[j] + w3 * a3[j]
        y[j] = s + w4 * a4[j] + w5 * a5[j] + w6 * a6[j] + w7 * a7[j]


@twins
def correlate_rows(x, starts, offsets, w, out):
    """Rows out (B, R, n) from flat images x (B, N): row r begins at x[starts[r]], tap t is offsets[t] further on."""
    batch, rows, n = out.shape
    taps = offsets.shape[0]
    for k in prange(batch * rows):
        s, r = k // rows, k % rows
        y, z = out[s, r], x[s, starts[r] :]
        _scale(y, z[offsets[0] : offsets[0] + n], w[0])
        t = 1
        while t + 8 <= taps:
            o = offsets[t : t + 8]
            _add8(
                y,
                z[o[0] : o[0] + n],
                z[o[1] : o[1] + n],
                z[o[2] : o[2] + n],
                z[o[3] : o[3] + n],
                z[o[4] : o[4] + n],
                z[o[5] : o[5] + n],
                z[o[6] : o[6] + n],
                z[o[7] : o[7] + n],
                w[t : t + 8],
            )
            t += 8
        while t < taps:
            _add(y, z[offsets[t] : offsets[t] + n], w[t])
            t += 1
