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
    KERNELS.run("backproject", out, _framed(q, out), views, float(scale), out, work=out.size * q.shape[1])


def backproject_curved(q: Array, out: Array, views: Array, scale: float, turn: float) -> None:
    r"""Write the pixel-driven back-projection of ``q`` on a curved detector to ``out``.

    .. math:: u(X) = \sum_k q_k(γ_k(X)) / U_k(X)^2,

    with γ the angle of the ray through X and U the distance of X from the source, divided by that of the centre.

    Parameters
    ----------
    q, out, views
        As of `backproject_weighted`.
    scale : float
        Source distance, in the unit of the views' d and d', which are of length one.
    turn : float
        Angle from a detector pixel to the next.
    """
    work = 2 * out.size * q.shape[1]
    KERNELS.run("backproject_curved", out, _framed(q, out), views, float(scale), float(turn), out, work=work)


def _framed(q: Array, out: Array) -> Array:
    """One zero before each view and two behind it."""
    batch, n_views, n = q.shape
    framed = array_module(q, out).zeros((batch, n_views, n + 3), dtype=q.dtype)
    framed[:, :, 1 : n + 1] = q
    return framed
