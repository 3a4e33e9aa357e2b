"""The products round the FFTs of MRI, on the CPU (Numba), one pass each: with weights, and summed over coils.

What a kernel calls lives in this file or in `core/rows.py`, which alone are looked at by the cache.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import contracted


def weigh(x: np.ndarray, weights: np.ndarray, rows: np.ndarray, shift: int, out: np.ndarray) -> None:
    """Write weights times x, shifted cyclically, for each coil; by this thread alone.

    out[c, rows[i], j + shift] = weights[rows[i], j + shift] x[c, i, j].

    Parameters
    ----------
    x, out : array, (C, R, n)
        complex, C-contiguous; ``out`` is overwritten.
    weights : array, (R, n)
        of the precision of ``x``; real ones are half as much to read.
    rows : array of int, (R,)
        where each row goes.
    shift : int
        along the last axis, 0 to n - 1.

    Examples
    --------
    >>> import numpy as np
    >>> x, out = np.array([[[1j, 2j, 3j]]]), np.empty((1, 1, 3), complex)
    >>> weigh(x, np.ones((1, 3)), np.zeros(1, int), 1, out)
    >>> out.imag
    array([[[3., 1., 2.]]])
    """
    kernel = weigh_complex_rows if weights.dtype.kind == "c" else weigh_real_rows
    kernel.serial(x, weights, rows, shift, out)


def weigh_in_place(x: np.ndarray, weights: np.ndarray) -> None:
    """Multiply each coil with weights, in place; by this thread alone.

    Parameters
    ----------
    x : array, (C, R, n)
        complex, C-contiguous.
    weights : array, (R, n)
        of the precision of ``x``, real or complex.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1j, 2j, 3j]]])
    >>> weigh_in_place(x, np.array([[1.0, 0.0, 2.0]]))
    >>> x.imag
    array([[[1., 0., 6.]]])
    """
    kernel = weigh_complex_in_place if weights.dtype.kind == "c" else weigh_real_in_place
    kernel.serial(x, weights)


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


@contracted
def _scale(y, x, w):
    for j in range(y.shape[0]):
        y[j] = complex(x[j].real * w[j], x[j].imag * w[j])


@contracted
def _multiply(y, x, w):
    for j in range(y.shape[0]):
        p, q = x[j], w[j]
        y[j] = complex(p.real * q.real - p.imag * q.imag, p.real * q.imag + p.imag * q.real)


# One array read and written has functions of its own: with two names for it, the loops would not be vectorised.


@contracted
def _scale_in_place(y, w):
    for j in range(y.shape[0]):
        y[j] = complex(y[j].real * w[j], y[j].imag * w[j])


@contracted
def _multiply_in_place(y, w):
    for j in range(y.shape[0]):
        p, q = y[j], w[j]
        y[j] = complex(p.real * q.real - p.imag * q.imag, p.real * q.imag + p.imag * q.real)


@contracted
def _conj_multiply(y, a, b):
    for j in range(y.shape[0]):
        p, q = a[j], b[j]
        y[j] = complex(p.real * q.real + p.imag * q.imag, p.real * q.imag - p.imag * q.real)


@contracted
def _add_conj_multiply(y, a, b):
    for j in range(y.shape[0]):
        p, q, r = a[j], b[j], y[j]
        y[j] = complex(r.real + p.real * q.real + p.imag * q.imag, r.imag + p.real * q.imag - p.imag * q.real)


@twins
def weigh_real_rows(x, w, rows, shift, out):
    """The two parts of every row of every coil."""
    coils, height, n = x.shape
    for k in prange(coils * height):
        c, i = k // height, k % height
        y, z, v = out[c, rows[i]], x[c, i], w[rows[i]]
        _scale(y[shift:], z[: n - shift], v[shift:])
        _scale(y[:shift], z[n - shift :], v[:shift])


@twins
def weigh_complex_rows(x, w, rows, shift, out):
    """The two parts of every row of every coil."""
    coils, height, n = x.shape
    for k in prange(coils * height):
        c, i = k // height, k % height
        y, z, v = out[c, rows[i]], x[c, i], w[rows[i]]
        _multiply(y[shift:], z[: n - shift], v[shift:])
        _multiply(y[:shift], z[n - shift :], v[:shift])


@twins
def weigh_real_in_place(x, w):
    """Every row of every coil."""
    coils, height, _ = x.shape
    for k in prange(coils * height):
        _scale_in_place(x[k // height, k % height], w[k % height])


@twins
def weigh_complex_in_place(x, w):
    """Every row of every coil."""
    coils, height, _ = x.shape
    for k in prange(coils * height):
        _multiply_in_place(x[k // height, k % height], w[k % height])


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
