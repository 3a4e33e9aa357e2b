"""Line integrals by Joseph's method: non-negative matrices with the exactly matched transpose."""

from __future__ import annotations

import functools
import math

import numpy as np

from ipbox.backend import Array
from ipbox.operators.core.held import HeldArray
from ipbox.operators.core.positive import collatz_wielandt
from ipbox.operators.tomography.geometry import Projector


class LineTransform(Projector):
    """Weighted sums along straight lines of an image, for lines given by ``_lines``: the base of the two geometries."""

    nonnegative = True  # no entry of the matrix is negative
    turn = 0.0  # angle from a ray of a view to the next, where they are evenly apart

    @functools.cached_property
    def _views(self) -> HeldArray:
        return HeldArray(self._lines())

    def _lines(self) -> np.ndarray:
        """(n_angles, 8): first point and its step, direction and its step, as (x, y), seen by `_indices`."""
        raise TypeError(f"{type(self).__name__} defines no _lines")

    def _in_indices(self, point: tuple, step: tuple, direction: tuple, turn: tuple) -> np.ndarray:
        """What `ipbox.kernels.lines.front` takes, from points (x, y) in the units of ``pixel_size``."""
        (ny, nx), (hy, hx), (y0, x0) = self.dims, self.pixel_widths, self.image_centre
        rows = [(ny - 1) / 2 - (point[1] - y0) / hy, (nx - 1) / 2 + (point[0] - x0) / hx]
        for x, y in (step, direction, turn):
            rows += [-y / hy, x / hx]
        return np.stack(np.broadcast_arrays(*rows), axis=1).astype(np.float64)

    def _views_like(self, x: Array) -> Array:
        return self._views.like(x)

    def _apply(self, x: Array, out: Array) -> None:
        from ipbox.kernels.lines import front as lines

        lines.project(x, out, self._views_like(x), self.n_det, self.pixel_widths, self.turn)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        from ipbox.kernels.lines import front as lines

        lines.backproject(y, out, self._views_like(y), self.pixel_widths, self.turn)

    def _compute_norm(self) -> tuple[float, str]:
        return math.sqrt(collatz_wielandt(self)), "bound"


class JosephTransform(LineTransform):
    r"""Parallel-beam ray transform by Joseph's method: a non-negative matrix and its transpose.

    .. math:: (A u)(θ, s) \approx \int u(s \cos θ - t \sin θ,\; s \sin θ + t \cos θ)\, dt

    The ray through the middle of each detector pixel steps over the rows of the image where :math:`|\cos θ| \ge
    |\sin θ|`, else over its columns, and interpolates linearly between two pixels in each.

    Parameters
    ----------
    dims : (ny, nx)
        Image shape.
    angles : array of float
        θ in radians, any number in any order.
    n_det : int, optional
        Detector pixels; by default they cover the image's diagonal.
    det_spacing : float, optional
        Detector pixel width ds, in the units of ``pixel_size``; by default equal to it.
    det_shift : float or array
        Position of the detector's centre on the s axis, in the same units; a vector has one for each view (jitter).
    pixel_size : float or (float, float)
        Width h of square pixels, or (h_y, h_x) of rectangular ones; the line integrals are in its units.
    dtype : dtype
        float32 or float64.
    image_centre : (float, float)
        (y, x) of the image's centre, where the axis of rotation is not there; in the same units.

    Notes
    -----
    Geometry and data shape are those of `RayTransform`.  That one is faster and more accurate; but it rings, so that
    projections of non-negative images have negative values.  Here every matrix entry is >= 0 and so are, to the last
    bit, A u for u >= 0 and A* y for y >= 0: what the Kullback-Leibler divergence and MLEM need.  Readings are values
    on rays, not averages over detector pixels.  `norm` is a bound by Collatz and Wielandt.

    A stack of slices is a batch, (n_slices, ny, nx): 3-D parallel beam.  Slices share the positions of the rays.

    Raises
    ------
    ValueError
        for an empty ``angles``, values that look like degrees, or a size that is not positive.

    References
    ----------
    Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Trans. Med. Imaging 1 (1982).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.JosephTransform((64, 64), np.linspace(0, np.pi, 30, endpoint=False), n_det=65, dtype="float64")
    >>> round(float(A.apply(np.ones((64, 64)))[0, 32]), 6)          # the middle ray at θ = 0 is 64 pixels long
    64.0
    >>> volume = np.ones((5, 64, 64))                               # 3-D: a stack of slices
    >>> A.apply(volume).shape
    (5, 30, 65)
    """

    def _lines(self) -> np.ndarray:
        c, s, ds = np.cos(self.angles), np.sin(self.angles), self.det_spacing
        s0 = self.positions()[..., 0]
        return self._in_indices((s0 * c, s0 * s), (ds * c, ds * s), (-s, c), (0.0, 0.0))
