"""Joseph's projector: independent of `ipbox.operators.RayTransform`, used to simulate data only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from ipbox.checks import check_count, check_finite, check_positive, check_type
from ipbox.kernels.core.compile import twins
from ipbox.kernels.core.rows import inline


def joseph(
    u: np.ndarray,
    angles: Any,
    n_det: int,
    det_spacing: float,
    det_shift: float = 0.0,
    pixel_size: float = 1.0,
    rays_per_bin: int = 1,
) -> np.ndarray:
    r"""Parallel-beam projections of an image by Joseph's method.

    .. math:: p(θ, s) = \int u(s \cos θ - t \sin θ,\; s \sin θ + t \cos θ)\, dt

    A ray steps through the rows where |cos θ| ≥ |sin θ|, else through the columns, and interpolates linearly between
    two pixels in each; beyond the image u is 0.  The geometry is that of `ipbox.operators.RayTransform`.

    Parameters
    ----------
    u : numpy.ndarray
        Image (ny, nx), float32 or float64, on the host.
    angles : array of float
        θ in radians.
    n_det : int
        Detector bins.
    det_spacing : float
        Width of a bin, in the units of ``pixel_size``.
    det_shift : float
        Position of the detector's centre.
    pixel_size : float
        Width h of a pixel.
    rays_per_bin : int
        Equidistant rays averaged over each bin; 1 is the ray through its centre.

    Returns
    -------
    numpy.ndarray
        (n_angles, n_det), dtype of ``u``; sums are formed in float64.

    Raises
    ------
    ValueError, TypeError
        for an image that is not 2-D and real floating, or a size that is not positive.

    References
    ----------
    Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Trans. Med. Imaging 1 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.simulated.joseph import joseph
    >>> joseph(np.array([[1.0, 2.0], [3.0, 4.0]]), [0.0, np.pi / 2], n_det=2, det_spacing=1.0)
    array([[4., 6.],
           [7., 3.]])
    """
    check_type(u, "u", np.ndarray, "a NumPy array")
    if u.ndim != 2 or u.size == 0:
        raise ValueError(f"u has shape {u.shape}; expected an image (ny, nx)")
    if u.dtype not in (np.float32, np.float64):
        raise TypeError(f"u has dtype {u.dtype}; expected float32 or float64")
    angles = np.asarray(angles, dtype=np.float64)
    if angles.ndim != 1 or angles.size == 0 or not np.isfinite(angles).all():
        raise ValueError(f"angles has shape {angles.shape}; expected a non-empty vector of finite radians")
    n_rays = check_count(n_det, "n_det") * check_count(rays_per_bin, "rays_per_bin")
    check_positive(det_spacing, "det_spacing")
    check_positive(pixel_size, "pixel_size")
    check_finite(det_shift, "det_shift")
    ds = det_spacing / rays_per_bin / pixel_size  # the kernel works in pixels
    s0 = det_shift / pixel_size - (n_rays - 1) / 2 * ds
    rays = np.zeros((angles.size, n_rays))
    kernel = joseph_rays.twin(rays.size * max(u.shape))
    # a frame of zeros, so that interpolation at the image's edge needs no branch
    kernel(np.pad(u, ((0, 0), (1, 1))), np.pad(u.T, ((0, 0), (1, 1))), np.cos(angles), np.sin(angles), s0, ds, rays)
    rays *= pixel_size
    return rays.reshape(angles.size, n_det, rays_per_bin).mean(axis=2).astype(u.dtype)


# ---------------------------------------------------------------- the kernel, in pixel units


@inline
def _add_row(row, f0, df, p):
    """p[m] += row at position f0 + m df + 1, interpolated linearly; row begins and ends with a zero."""
    top = row.size - 1.0
    lo, hi = max(0, math.ceil(min(-f0 / df, (top - f0) / df)) - 1), p.size
    while lo < hi and not 0.0 <= f0 + lo * df < top:
        lo += 1
    hi = min(hi, math.floor(max(-f0 / df, (top - f0) / df)) + 2)
    while hi > lo and not 0.0 <= f0 + (hi - 1) * df < top:
        hi -= 1
    for m in range(lo, hi):
        f = f0 + m * df
        j = int(f)
        w = f - j
        p[m] += (1.0 - w) * row[j] + w * row[j + 1]


@twins
def joseph_rays(u, u_t, cos, sin, s0, ds, p):
    """p[k, m] += the integral of u along the ray (θ_k, s0 + m ds); u_t is the transpose of u, both with the frame."""
    ny, nx = u.shape[0], u_t.shape[0]
    y0, x0 = (ny - 1) / 2, (nx - 1) / 2
    for k in prange(cos.size):
        c, d = cos[k], sin[k]
        if abs(c) >= abs(d):  # row i is at y = y0 - i, where the ray has x = (s - y sin θ)/cos θ = j - x0
            for i in range(ny):
                _add_row(u[i], (s0 - (y0 - i) * d) / c + x0 + 1, ds / c, p[k])
        else:  # column j is at x = j - x0, where the ray has y = (s - x cos θ)/sin θ = y0 - i
            for j in range(nx):
                _add_row(u_t[j], y0 + 1 - (s0 - (j - x0) * c) / d, -ds / d, p[k])
        p[k] /= max(abs(c), abs(d))
