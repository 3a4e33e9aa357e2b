"""Distance-weighted back-projection of filtered fan-beam data: the dispatch to the CPU and GPU kernels."""

from __future__ import annotations

from ipbox.backend import Array, array_module
from ipbox.kernels.core.launch import Kernels

KERNELS = Kernels("fan")


def backproject_weighted(q: Array, out: Array, views: Array, scale: float) -> None:
    r"""Write the pixel-driven back-projection of ``q`` to ``out``.

    .. math:: u(X) = \sum_k q_k(a_k(X)) / U_k(X)^2,

    with a_k(X) where the ray through X meets the detector, q interpolated linearly between its pixels and 0 beyond
    them, and U the distance of X from the source along the central ray, divided by that of the centre.

    Parameters
    ----------
    q : array, shape (batch, n_views, n_det)
        float32 or float64.
    out : array, shape (batch, ny, nx)
        Of the dtype of ``q``, overwritten.
    views : array of float64, shape (n_views, 8)
        Fan-beam views as `ipbox.kernels.lines.front` takes them, in the library of ``q``.
    scale : float
        Source distance times detector spacing, in pixels squared.
    """
    xp = array_module(q, out, views)
    batch, n_views, n = q.shape
    framed = xp.zeros((batch, n_views, n + 3), dtype=q.dtype)
    framed[:, :, 1 : n + 1] = q
    KERNELS.run("backproject", out, framed, views, float(scale), out, work=out.size * n_views)
