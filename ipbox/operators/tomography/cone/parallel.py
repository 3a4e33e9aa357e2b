"""Parallel beam through a volume, by vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ipbox.backend import Array
from ipbox.operators.core.base import check_real
from ipbox.operators.tomography.cone.panel import PanelTransform, check_panel
from ipbox.operators.tomography.cone.vectors import check_panels, check_spanned, check_vectors, first_pixels

FAR = 3e7  # times the size of the scene: rays are parallel to 1e-7, and a position is rounded to 1e-8 of it


class ParallelVectorTransform(PanelTransform):
    r"""Parallel-beam transform A of a volume, with rays and a flat panel in any direction in each view.

    .. math:: (A u)_{krc} = \int u(D + t\, ρ_k/|ρ_k|)\, dt, \quad
              D = D_k + (c - (\text{columns} - 1)/2)\, U_k + (r - (\text{rows} - 1)/2)\, V_k

    An axis of rotation that is tilted to the beam (laminography, a stage that is not upright) or wobbles, and what a
    calibration says: each view has its own four vectors, as (z, y, x) in the units of ``pixel_size``, with y upwards
    in a slice and z from slice to slice.

    Parameters
    ----------
    dims : (nz, ny, nx)
        Shape of the volume.
    directions : array, (n_views, 3)
        ρ_k, along the rays from the source to the panel, of any length.
    panels : array, (n_views, 3) or (3,)
        D_k, the middle of the panel, which may be anywhere along the rays.
    along_rows, along_columns : array, (n_views, 3) or (3,)
        U_k, from a pixel to the next of a row, and V_k, from a row to the next: of the lengths of the pixels, and in
        any two directions of which ρ_k is not in the plane.
    n_det : (int, int)
        Rows and columns of the panel.
    pixel_size : float or (float, float, float)
        Width h of cubic voxels, or (h_z, h_y, h_x); the line integrals are in its units.
    dtype : dtype
        float32 or float64.
    volume_centre : (float, float, float)
        (z, y, x) of the volume's centre; in the same units.

    Notes
    -----
    Voxels, discretisation, data shape (n_views, rows, columns) and adjoint are those of `ConeBeamTransform`: rays come
    from a source so far away that no two of them are closer on one side of the volume than on the other by more than
    1e-7 of their distance.  Axes at right angles to the beam are for `SliceStack`, which is faster.

    Raises
    ------
    ValueError, TypeError
        for vectors that are not real and finite, do not fit one another, or do not span space.

    References
    ----------
    Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Trans. Med. Imaging 1 (1982).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> θ, tilt = np.linspace(0, 2 * np.pi, 40, endpoint=False), np.deg2rad(30)     # laminography
    >>> c, s, o = np.cos(θ), np.sin(θ), np.zeros(40)
    >>> A = ip.ParallelVectorTransform(
    ...     (8, 32, 32),
    ...     np.stack([o - np.sin(tilt), np.cos(tilt) * c, -np.cos(tilt) * s], axis=1),
    ...     np.zeros(3),
    ...     np.stack([o, s, c], axis=1),
    ...     np.stack([o + np.cos(tilt), np.sin(tilt) * c, -np.sin(tilt) * s], axis=1),
    ...     (24, 46),
    ... )
    >>> A.apply(np.ones((8, 32, 32), np.float32)).shape
    (40, 24, 46)
    """

    is_parallel: ClassVar[bool] = True

    def __init__(
        self,
        dims: tuple[int, int, int],
        directions: Array,
        panels: Array,
        along_rows: Array,
        along_columns: Array,
        n_det: tuple[int, int],
        *,
        pixel_size: float | tuple[float, float, float] = 1.0,
        dtype: Any = "float32",
        volume_centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        dtype, dims = check_real(dtype, type(self).__name__), self._set_volume(dims, pixel_size, volume_centre)
        n_det, rays = check_panel(n_det), check_vectors(directions, "directions")
        length = np.linalg.norm(rays, axis=1, keepdims=True)
        if not length.all():
            raise ValueError(f"directions is 0 in view {int(length.argmin())}; expected the direction of the rays")
        rays = rays / length
        D, U, V = check_panels(panels, along_rows, along_columns, len(rays))
        check_spanned(rays, U, V, "the rays")
        half = 0.5 * np.array(dims) * self.voxel_widths
        D = D - rays * np.einsum("ki,ki->k", D - self.volume_centre, rays)[:, None]  # beside the volume's centre
        away = FAR * (np.linalg.norm(half) + np.linalg.norm(D - self.volume_centre, axis=1).max())
        first = first_pixels(D, U, V, n_det)
        self._place(dims, self._in_indices(dims, D - away * rays, first, U, V), n_det, dtype)
