"""The products round the FFTs of MRI, on the CPU (Numba), one pass each: with a shift, and summed over coils.

Everything a kernel calls lives in this file, since only it is hashed for Numba's cache.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

from ipbox.kernels.compile import OPTIONS, twins

# Products are added without an intermediate rounding where the CPU can (FMA): nothing is reordered, NaN and inf stay.
inline = numba.njit(fastmath={"contract"}, **OPTIONS)


def shift_multiply(x: np.ndarray, weights: np.ndarray, out: np.ndarray, rows: np.ndarray, shift: int) -> None:
    """Write weights · x shifted cyclically: row i of ``x``, shifted by ``shift`` >= 0, is row rows[i] of ``out``.

    Parameters
    ----------
    x, weights, out : array
        of one shape and complex dtype, C-contiguous; ``out`` is overwritten.
    rows : array of int
        the row of ``out`` for each row of ``x``.
    shift : int
        along the last axis, 0 to n - 1.

    Examples
    --------
    >>> import numpy as np
    >>> x, out = np.array([1j, 2j, 3j]), np.empty(3, complex)
    >>> shift_multiply(x, np.ones(3, complex), out, np.zeros(1, int), 1)
    >>> out.imag
    array([3., 1., 2.])
    """
    n = x.shape[-1]
    shift_multiply_rows.run(x.size, x.reshape(-1, n), weights.reshape(-1, n), out.reshape(-1, n), rows, shift)


def combine_coils(maps: np.ndarray, images: np.ndarray, out: np.ndarray, add: bool) -> None:
    """Write Σ_c conj(maps_c) images_c, or add it; by this thread alone.

    Parameters
    ----------
    maps, images : array, (coils,) + dims
        complex, C-contiguous.
    out : array, dims
        complex, overwritten unless ``add``.
    add : bool
        add to ``out``.

    Examples
    --------
    >>> import numpy as np
    >>> out = np.empty(1, complex)
    >>> combine_coils(np.array([[1j], [2.0]]), np.array([[1j], [3.0 + 0j]]), out, add=False)
    >>> out.real
    array([7.])
    """
    combine_rows.serial(maps.reshape(len(maps), -1), images.reshape(len(images), -1), out.reshape(-1), add)


# ---------------------------------------------------------------- kernels


@inline
def _multiply(y, a, b):
    for j in range(y.shape[0]):
        p, q = a[j], b[j]
        y[j] = complex(p.real * q.real - p.imag * q.imag, p.real * q.imag + p.imag * q.real)


@inline
def _conj_multiply(y, a, b):
    for j in range(y.shape[0]):
        p, q = a[j], b[j]
        y[j] = complex(p.real * q.real + p.imag * q.imag, p.real * q.imag - p.imag * q.real)


@inline
def _add_conj_multiply(y, a, b):
    for j in range(y.shape[0]):
        p, q, r = a[j], b[j], y[j]
        y[j] = complex(r.real + p.real * q.real + p.imag * q.imag, r.imag + p.real * q.imag - p.imag * q.real)


@twins
def shift_multiply_rows(x, w, out, rows, shift):
    """out (R, n) from x (R, n): the two parts of every row."""
    n = x.shape[1]
    for i in prange(x.shape[0]):
        k = rows[i]
        y, z, v = out[k], x[i], w[k]
        _multiply(y[shift:], z[: n - shift], v[shift:])
        _multiply(y[:shift], z[n - shift :], v[:shift])


@twins
def combine_rows(maps, images, out, add):
    """out (N) from maps and images (C, N), in parts that stay in the first-level cache."""
    coils, n = maps.shape
    part = 1024
    for k in prange((n + part - 1) // part):
        a, b = k * part, min((k + 1) * part, n)
        for c in range(coils):
            if c == 0 and not add:
                _conj_multiply(out[a:b], maps[c, a:b], images[c, a:b])
            else:
                _add_conj_multiply(out[a:b], maps[c, a:b], images[c, a:b])
