"""Line integrals by Joseph's method and their transpose: the dispatch to the CPU and GPU kernels.

A view of straight lines is 8 numbers, float64, in index coordinates (row, column): point P (2), its step P' (2),
direction d (2), its step d' (2); line m goes through P + m P' along d + m d'.  Parallel beam has d' = 0, fan beam
P' = 0; there a turn τ > 0 from line to line makes it cos(m τ) d + sin(m τ) d'.  The lines of a view must not meet
inside the image.  `lines_reference` writes out the matrix.
"""

from __future__ import annotations

from typing import Any

from ipbox.backend import Array, array_module
from ipbox.kernels.core.launch import Kernels, on_gpu

KERNELS = Kernels("lines")
CHUNK = 1 << 22  # pixels of a batch worked on at a time: the framed copies stay small


def project(
    x: Array, out: Array, views: Array, n_det: int, pixel_widths: tuple[float, float], turn: float = 0.0
) -> None:
    r"""Write the line integrals of the images ``x`` to ``out``.

    .. math:: p_{km} = \ell_{km} \sum_i (1 - w) u_{i,j} + w u_{i,j+1}, \quad j + w = \text{position in row } i,

    over the rows i of the image (of its transpose, for lines nearer to horizontal); ℓ is the length of a line between
    two rows.  Every weight is >= 0.

    Parameters
    ----------
    x : array, shape (batch, ny, nx)
        float32 or float64, C-contiguous.
    out : array, shape (batch, n_views, n_det)
        Of the dtype of ``x``, overwritten.
    views : array of float64, shape (n_views, 8)
        The lines, in the library of ``x``.
    n_det : int
        Lines a view.
    pixel_widths : (float, float)
        (h_y, h_x) of a pixel.
    turn : float
        Angle from a line of a fan to the next, where they are evenly apart; 0 for a flat detector.
    """
    tables = _traced(out, views, n_det, pixel_widths, turn)
    if on_gpu(x):
        KERNELS.run("project", x, x, *tables, out)
        return
    for part in _chunks(x):
        u, u_t = _framed(x[part]), _framed(x[part].transpose(0, 2, 1))
        KERNELS.run("project", u, u, u_t, *tables, out[part], work=_work(x[part], tables))


def backproject(y: Array, out: Array, views: Array, pixel_widths: tuple[float, float], turn: float = 0.0) -> None:
    """Write the transpose of `project` applied to ``y`` (batch, n_views, n_det) to ``out`` (batch, ny, nx).

    On either device each pixel is summed by one thread, in the order of views and lines.
    """
    tables = _traced(y, views, y.shape[2], pixel_widths, turn)
    if on_gpu(y):
        KERNELS.run("backproject", y, y, *tables, views, float(turn), out)
        return
    xp, (ny, nx), dtype = array_module(y), out.shape[1:], out.dtype
    for part in _chunks(out):
        batch = out[part].shape[0]
        u, u_t = xp.empty((batch, ny, nx + 3), dtype), xp.empty((batch, nx, ny + 3), dtype)
        KERNELS.run("backproject", u, y[part], *tables, u, u_t, work=_work(out[part], tables))
        xp.add(u[:, :, 1 : nx + 1], u_t[:, :, 1 : ny + 1].transpose(0, 2, 1), out=out[part])


def _traced(
    x: Array, views: Array, n_det: int, pixel_widths: tuple[float, float], turn: float
) -> tuple[Array, Array, Array]:
    """p, q and L of every line (see `lines_cpu`)."""
    xp, (hy, hx) = array_module(x, views), pixel_widths
    tables = tuple(xp.empty((views.shape[0], n_det), dtype=x.dtype) for _ in range(3))
    KERNELS.run("trace", tables[0], *tables, views, float(hy), float(hx / hy), float(turn))
    return tables


def _chunks(images: Array) -> list[slice]:
    batch, ny, nx = images.shape
    step = max(1, CHUNK // (ny * nx))
    return [slice(a, a + step) for a in range(0, batch, step)]


def _framed(images: Array) -> Array:
    """One zero before each row and two behind it."""
    batch, n, width = images.shape
    framed = array_module(images).zeros((batch, n, width + 3), images.dtype)
    framed[:, :, 1 : width + 1] = images
    return framed


def _work(images: Array, tables: Any) -> int:
    """Interpolations, which cost about as much as a pixel of the other kernels."""
    return images.shape[0] * tables[0].size * max(images.shape[1:])
