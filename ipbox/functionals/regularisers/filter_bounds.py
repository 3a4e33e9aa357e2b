"""Norms of correlation with filters: largest values of trigonometric polynomials, proved."""

from __future__ import annotations

import math

import numpy as np

GRID = 256  # frequencies along each axis
COARSE, POWER = 64, 64  # for the smooth bound: frequencies along each axis, and the power that replaces a maximum


def correlation_bound(filters: np.ndarray, a: np.ndarray, symmetric: bool = True) -> float:
    r"""A bound of ‖Σ_k a_k C_kᵀC_k‖ for images of any size, C_k the correlation with c_k.

    Parameters
    ----------
    filters : array, shape (K, s, s)
        c_k.
    a : array, shape (K,)
        a_k >= 0.
    symmetric : bool
        Whether images are reflected about their boundary; otherwise they have zeros there, or no windows across it.

    Notes
    -----
    Without reflections the bound is max_ω p(ω), p(ω) = Σ a_k |ĉ_k(ω)|² = e(ω)*Ge(ω), with the waves e(ω) on a window
    and G = Σ a_k c_k c_kᵀ.  A reflected image is a quarter of a periodic one, the others see the filters mirrored along
    one axis or both.  So all four are bounded together, by means of a matrix G̃ >= G that mirroring does not change:
    the blocks G_pq of G between filters of different parity are replaced by (G_pq G_pqᵀ)^½ and (G_pqᵀ G_pq)^½ on the
    diagonal.  It is exact where filters are even or odd along both axes, and never more than 4 max_ω p(ω).

    p is a trigonometric polynomial of degree s - 1, so its maximum is at most that on N frequencies along either axis
    by cos(π(s - 1)/N)².

    References
    ----------
    Ehlich and Zeller, Schwankung von Polynomen zwischen Gitterpunkten, Math. Z. 86 (1964).

    Examples
    --------
    >>> import numpy as np
    >>> difference = np.array([[[0.0, 0.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, 0.0]]])
    >>> round(correlation_bound(difference, np.ones(1), symmetric=False), 2)
    4.0
    """
    size = filters.shape[-1]
    c = filters.reshape(len(filters), -1)
    G = (c.T * a) @ c
    plain = _largest_value(G, size)
    return min(4 * plain, _largest_value(_mirrored(G, size), size)) if symmetric else plain


def smooth_bound(filters: np.ndarray, a: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """A bound of max_ω p(ω), p(ω) = Σ_k a_k |ĉ_k(ω)|², that can be differentiated, and its derivatives.

    The maximum over the frequencies is replaced by (Σ_ω p(ω)^64)^(1/64), which is larger by a fifth at most.

    Returns
    -------
    bound : float
    by_log_a : array, shape (K,)
    by_filters : array, shape (K, s, s)

    Examples
    --------
    >>> import numpy as np
    >>> c, a = np.random.default_rng(0).standard_normal((2, 3, 3)), np.ones(2)
    >>> bound, by_log_a, by_filters = smooth_bound(c, a)
    >>> exact = correlation_bound(c, a, symmetric=False)
    >>> bool(exact <= 1.02 * bound <= 1.3 * exact), bool(np.isclose(by_log_a.sum(), bound))     # it is linear in a
    (True, True)
    """
    size = filters.shape[-1]
    spectra = np.fft.fft2(filters, (COARSE, COARSE))
    p = np.tensordot(a, spectra.real**2 + spectra.imag**2, 1)
    top = float(p.max())
    if top == 0:
        return 0.0, np.zeros(len(a)), np.zeros_like(filters)
    between = math.cos(math.pi * (size - 1) / COARSE) ** -2
    norm = float(((p / top) ** POWER).sum() ** (1 / POWER)) * top
    weights = (p / norm) ** (POWER - 1) * between
    gradient = np.fft.ifft2(weights * spectra).real[:, :size, :size] * COARSE**2 * a[:, None, None]
    return norm * between, (gradient * filters).sum(axis=(1, 2)), 2 * gradient


def _largest_value(G: np.ndarray, size: int) -> float:
    """A bound of max_ω e(ω)*Ge(ω)."""
    at = np.arange(size)
    shift = (at[:, None] - at[None, :]) % GRID
    r = np.zeros((GRID, GRID))
    rows, columns = shift[:, None, :, None], shift[None, :, None, :]
    np.add.at(r, np.broadcast_arrays(rows, columns), G.reshape((size,) * 4))
    return float(np.fft.rfft2(r).real.max()) / math.cos(math.pi * (size - 1) / GRID) ** 2


def _mirrored(G: np.ndarray, size: int) -> np.ndarray:
    """G̃ >= G without blocks between filters of different parity."""
    eye = np.eye(size**2)
    windows = eye.reshape(-1, size, size)
    rows, columns = (np.flip(windows, axis).reshape(eye.shape) for axis in (1, 2))
    parts = [(eye + i * rows) @ (eye + j * columns) / 4 for i in (1, -1) for j in (1, -1)]
    total = sum(P @ G @ P for P in parts)
    for p, P in enumerate(parts):
        for Q in parts[:p]:
            U, s, Vt = np.linalg.svd(P @ G @ Q)
            total += (U * s) @ U.T + (Vt.T * s) @ Vt
    return total
