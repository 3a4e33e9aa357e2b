"""The cone-beam transform of a circular orbit."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from ipbox.angles import check_angles
from ipbox.backend import Array
from ipbox.checks import check_between, check_count, check_not_negative, check_positive, has_shape, shown
from ipbox.operators.core.base import check_real
from ipbox.operators.tomography.cone.panel import PanelTransform, check_panel
from ipbox.operators.tomography.fan import FanBeamTransform
from ipbox.operators.tomography.geometry import check_shift


class ConeBeamTransform(PanelTransform):
    r"""Cone-beam transform A of a volume: a point source on a circle about the z axis, and a flat panel opposite.

    .. math:: (A u)(β, v, a) = \int u(S + t\, (D - S)/|D - S|)\, dt, \quad
              S = R (\sin β, -\cos β, 0), \quad D = R_d (-\sin β, \cos β, 0) + a (\cos β, \sin β, 0) + v (0, 0, 1),

    as (x, y, z), with the source S, the panel's pixel D in the column at a and the row at v, R = ``source_distance``
    and R_d = ``detector_distance``.  Within the plane of the source it is `FanBeamTransform` with a flat detector.

    Parameters
    ----------
    dims : (nz, ny, nx)
        Shape of the volume: slices at right angles to the axis of rotation.
    angles : array of float
        β in radians, any number in any order; a full scan covers 2π.
    n_det : (int, int), optional
        Rows and columns of the panel; by default they cover the cylinder around the volume.
    det_spacing : float or (float, float), optional
        Width of the panel's square pixels, or (height, width), in the units of ``pixel_size``; by default (R + R_d)/R
        times the least of the voxel widths, so that rays are as far apart at the axis.
    source_distance : float
        R, from the source to the axis: the source stays outside the cylinder around the volume.
    detector_distance : float
        R_d >= 0, from the axis to the panel; 0 for a virtual panel through the axis.
    det_shift : (float, float) or pair of arrays
        Position (v, a) of the panel's middle, in the same units; a vector has one for each view.
    tilt : float
        Angle in [-π, π] by which the panel is turned in its own plane, from its rows to its columns.
    pixel_size : float or (float, float, float)
        Width h of cubic voxels, or (h_z, h_y, h_x); the line integrals are in its units.
    dtype : dtype
        float32 or float64.
    volume_centre : (float, float, float)
        (z, y, x) of the volume's centre, where the axis or the plane of the source are not there; in the same units.

    Notes
    -----
    x points right and y up in a slice (row 0 has the largest y), z from slice to slice; the panel's rows go along z, so
    that a projection has the slices in their order.  Voxel centres are z_k = z_0 + (k - (nz-1)/2) h_z, and y, x as
    those of `RayTransform`; pixels are at v_r = (r - (rows-1)/2) height + shift, a_c = (c - (columns-1)/2) width +
    shift.  Data shape: (len(angles), rows, columns).

    Discretisation: a reading is the integral along the ray to the middle of the pixel, by Joseph's method: linear
    interpolation between four voxels in each plane of rows (or columns, or slices: where the ray is longest) that the
    ray crosses.  So the matrix has no negative entry, and the adjoint is its transpose to rounding.  `norm` is a bound
    by Collatz and Wielandt.  Other orbits, and panels that lean, are for `ConeVectorTransform`.

    The rays to an upright column of the panel pass the rows between the same two stacks of voxels, which are
    interpolated once for all of them.  With a ``tilt``, and for rays that rise by more than a slice from row to row,
    that is not so, and several times slower.  Fastest are pixels of half to two voxels' height, seen from the source,
    on a CPU with AVX2 (float32) or AVX-512.  A and A* hold a copy of some slices with the slices last, 256 MiB in
    single precision or 64 slices, and one of some views.

    Raises
    ------
    ValueError
        for an empty ``angles``, values that look like degrees, a ``tilt`` beyond π, a size that is not positive, a
        source that is not outside the cylinder around the volume, or a negative ``detector_distance``.

    References
    ----------
    Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Trans. Med. Imaging 1 (1982);
    Feldkamp, Davis and Kress, Practical cone-beam algorithm, J. Opt. Soc. Am. A 1 (1984).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> beta = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    >>> A = ip.ConeBeamTransform((21, 32, 32), beta, (31, 49), source_distance=100.0, detector_distance=50.0)
    >>> p = A.apply(np.ones((21, 32, 32), np.float32))
    >>> p.shape, float(p[0, 15, 24])                                # the central ray at β = 0 is 32 voxels long
    ((30, 31, 49), 32.0)
    """

    kept: ClassVar[tuple[str, ...]] = (
        *PanelTransform.kept,
        "det_spacing",
        "source_distance",
        "detector_distance",
        "magnification",
        "tilt",
        "reach",
    )

    def __init__(
        self,
        dims: tuple[int, int, int],
        angles: Any,
        n_det: tuple[int, int] | None = None,
        det_spacing: float | tuple[float, float] | None = None,
        *,
        source_distance: float,
        detector_distance: float,
        det_shift: tuple[float | Array, float | Array] = (0.0, 0.0),
        tilt: float = 0.0,
        pixel_size: float | tuple[float, float, float] = 1.0,
        dtype: Any = "float32",
        volume_centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        dtype, dims = check_real(dtype, type(self).__name__), self._set_volume(dims, pixel_size, volume_centre)
        self.angles = check_angles(angles)
        self.source_distance = R = check_positive(source_distance, "source_distance")
        self.detector_distance = check_not_negative(detector_distance, "detector_distance")
        self.magnification = (R + self.detector_distance) / R
        self.tilt = check_between(tilt, "tilt", -math.pi, math.pi, "[]", "radians")
        (hz, hy, hx), (z0, y0, x0) = self.voxel_widths, self.volume_centre
        self.reach = math.hypot(0.5 * dims[1] * hy + abs(y0), 0.5 * dims[2] * hx + abs(x0))
        if R <= self.reach:
            raise ValueError(
                f"source_distance is {R:g}; expected more than {self.reach:g}, so that the source stays outside the "
                f"volume as it turns"
            )
        least = min(self.voxel_widths) * self.magnification
        self.det_spacing = (least, least) if det_spacing is None else _check_spacing(det_spacing)
        if n_det is None:
            length, high = R + self.detector_distance, 0.5 * (dims[0] + 1) * hz + abs(z0)
            half = length * high / (R - self.reach), length * math.tan(math.asin(self.reach / R))
            rows, columns = (math.ceil(2 * w / ds) for w, ds in zip(half, self.det_spacing, strict=True))
        else:
            rows, columns = check_panel(n_det)
        n_det = rows, columns
        self.det_shift = _check_shifts(det_shift, self.angles.size)
        self._place(dims, self._vectors(dims, n_det, self.det_shift), n_det, dtype)

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """v of the panel's rows and a of its columns: (rows,) and (columns,), or (views, ...) with shifts for each."""
        v, a = (
            (np.arange(n) - 0.5 * (n - 1)) * ds + np.asarray(shift)[..., None]
            for n, ds, shift in zip(self.n_det, self.det_spacing, self.det_shift, strict=True)
        )
        return v, a

    def _vectors(
        self, dims: tuple[int, ...], n_det: tuple[int, int], det_shift: tuple[Any, Any], tilt: float | None = None
    ) -> np.ndarray:
        c, s, R, Rd = np.cos(self.angles), np.sin(self.angles), self.source_distance, self.detector_distance
        (height, width), nought = self.det_spacing, np.zeros_like(c)
        across, up = np.stack([nought, s, c], axis=1), np.array([1.0, 0.0, 0.0])  # of unit length, as (z, y, x)
        middle = np.stack([nought, Rd * c, -Rd * s], axis=1)
        middle = middle + np.reshape(det_shift[0], (-1, 1)) * up + np.reshape(det_shift[1], (-1, 1)) * across
        tilt = self.tilt if tilt is None else tilt
        if tilt != 0:
            ct, st = math.cos(tilt), math.sin(tilt)
            across, up = ct * across + st * up, ct * up - st * across
        U, V = width * across, height * np.broadcast_to(up, across.shape)
        first = middle - 0.5 * (n_det[1] - 1) * U - 0.5 * (n_det[0] - 1) * V
        return self._in_indices(dims, np.stack([nought, -R * c, R * s], axis=1), first, U, V)

    def plane(self) -> FanBeamTransform:
        """The fan beam in the plane of the source: rays to the middle of the panel's rows, where its ``tilt`` is 0."""
        return FanBeamTransform(
            tuple(self.dims[1:]),
            self.angles,
            self.n_det[1],
            self.det_spacing[1],
            source_distance=self.source_distance,
            detector_distance=self.detector_distance,
            det_shift=self.det_shift[1],
            pixel_size=self.voxel_widths[1:],
            dtype=self.dtype_in,
            image_centre=self.volume_centre[1:],
        )

    def with_columns(self, n: int, shift: float | Array) -> Self:
        """The same transform on a panel of ``n`` columns with its middle at a = ``shift``, or one a for each view."""
        n_det = self.n_det[0], check_count(n, "n")
        det_shift = self.det_shift[0], check_shift(shift, self.angles.size, "shift")
        views = self._vectors(tuple(self.dims), n_det, det_shift)
        return self._changed(views, n_det, angles=self.angles, det_shift=det_shift)

    def with_rows(self, n: int, shift: float | Array) -> Self:
        """The same transform on a panel of ``n`` rows with its middle at v = ``shift``, or one v for each view."""
        n_det = check_count(n, "n"), self.n_det[1]
        det_shift = check_shift(shift, self.angles.size, "shift"), self.det_shift[1]
        views = self._vectors(tuple(self.dims), n_det, det_shift)
        return self._changed(views, n_det, angles=self.angles, det_shift=det_shift)

    def upright(self) -> Self:
        """The same transform with the panel turned about its middle until its rows are at right angles to the axis."""
        views = self._vectors(tuple(self.dims), self.n_det, self.det_shift, tilt=0.0)
        return self._changed(views, self.n_det, angles=self.angles, det_shift=self.det_shift, tilt=0.0)

    def _at(self, chosen: np.ndarray) -> Self:
        shift = tuple(s if isinstance(s, float) else s[chosen] for s in self.det_shift)
        return self._changed(self._views.host[chosen], self.n_det, angles=self.angles[chosen], det_shift=shift)


def _check_spacing(spacing: Any) -> tuple[float, float]:
    what = "a positive number, or two (height, width)"
    if has_shape(spacing, ()):
        return (check_positive(spacing, "det_spacing", what),) * 2
    if not has_shape(spacing, (2,)):
        raise ValueError(f"det_spacing is {shown(spacing)}; expected {what}")
    height, width = (check_positive(ds, "det_spacing", what) for ds in spacing)
    return height, width


def _check_shifts(shift: Any, views: int) -> tuple[Any, Any]:
    if not isinstance(shift, tuple | list) or len(shift) != 2:
        raise ValueError(f"det_shift is {shift!r}; expected a pair (v, a) of numbers, or of vectors")
    v, a = (check_shift(s, views) for s in shift)
    return v, a
