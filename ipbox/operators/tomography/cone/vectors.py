"""The cone-beam transform of any orbit, by vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ipbox.backend import Array
from ipbox.operators.core.base import check_real
from ipbox.operators.core.held import host_array
from ipbox.operators.tomography.cone.circular import ConeBeamTransform
from ipbox.operators.tomography.cone.panel import PanelTransform, check_panel

CIRCLE = 1e-6  # of the radius and of pixels: how far an orbit may be off a circle


class ConeVectorTransform(PanelTransform):
    r"""Cone-beam transform A of a volume for a source and a flat panel that are anywhere in each view.

    .. math:: (A u)_{krc} = \int u(S_k + t\, (D - S_k)/|D - S_k|)\, dt, \quad
              D = D_k + (c - (\text{columns} - 1)/2)\, U_k + (r - (\text{rows} - 1)/2)\, V_k

    Helical orbits, laminography, panels that lean, and what a calibration says: each view has its own four vectors, as
    (z, y, x) in the units of ``pixel_size``, with y upwards in a slice and z from slice to slice.

    Parameters
    ----------
    dims : (nz, ny, nx)
        Shape of the volume.
    sources : array, (n_views, 3)
        S_k: outside the volume.
    panels : array, (n_views, 3)
        D_k, the middle of the panel, with the volume's centre before it as seen from the source.
    along_rows, along_columns : array, (n_views, 3) or (3,)
        U_k, from a pixel to the next of a row, and V_k, from a row to the next: of the lengths of the pixels, and in
        any two directions of which the source is not in the plane.
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
    Voxels, discretisation, data shape (n_views, rows, columns) and adjoint are those of `ConeBeamTransform`, and so is
    the speed where all panels are upright as there: V along z, U at right angles to it.  So it is for helical orbits.

    Raises
    ------
    ValueError, TypeError
        for vectors that are not real and finite, do not fit one another, or are parallel; a source within the volume,
        or a panel that is not before it.

    References
    ----------
    Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Trans. Med. Imaging 1 (1982).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> beta, o = np.linspace(0, 4 * np.pi, 40), np.zeros(40)
    >>> height, c, s = np.linspace(-6, 6, 40), np.cos(beta), np.sin(beta)       # a helix of two turns
    >>> A = ip.ConeVectorTransform(
    ...     (24, 32, 32),
    ...     np.stack([height, -100 * c, 100 * s], axis=1),
    ...     np.stack([height, 50 * c, -50 * s], axis=1),
    ...     np.stack([o, 1.5 * s, 1.5 * c], axis=1),
    ...     np.array([1.5, 0.0, 0.0]),
    ...     (11, 49),
    ... )
    >>> A.apply(np.ones((24, 32, 32), np.float32)).shape
    (40, 11, 49)
    """

    rows_are: ClassVar[str] = "views"

    def __init__(
        self,
        dims: tuple[int, int, int],
        sources: Array,
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
        n_det, S = check_panel(n_det), check_vectors(sources, "sources")
        D, U, V = check_panels(panels, along_rows, along_columns, len(S))
        half = 0.5 * np.array(dims) * self.voxel_widths
        _check_geometry(np.array(self.volume_centre), half, S, D, U, V)
        self._place(dims, self._in_indices(dims, S, first_pixels(D, U, V, n_det), U, V), n_det, dtype)

    def on_circle(self) -> ConeBeamTransform | None:
        """The same transform by distances, for `fdk`: a circle about the z axis, upright panels opposite; else None.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> A = ip.ConeBeamTransform((8, 8, 8), [0.1, 2.0], (5, 9), source_distance=50.0, detector_distance=20.0)
        >>> g = A.geometry
        >>> B = ip.ConeVectorTransform(A.dims, g.sources, g.panels, g.along_rows, g.along_columns, g.n_det)
        >>> round(B.on_circle().source_distance, 6), B.on_circle().angles.round(6).tolist()
        (50.0, [0.1, 2.0])
        """
        g = self.geometry
        S: Any = g.sources
        D, U, V = g.panels, g.along_rows, g.along_columns
        beta, R, height, width = np.arctan2(S[:, 2], -S[:, 1]), *(float(np.linalg.norm(v[0])) for v in (S[:, 1:], V, U))
        o, c, s = np.zeros_like(beta), np.cos(beta), np.sin(beta)
        forth, across, up = (np.stack(v, axis=1) for v in ((o, c, -s), (o, s, c), (o + 1, o, o)))
        Rd, a, v = np.sum(D * forth, axis=1), np.sum(D * across, axis=1), D[:, 0] - S[:, 0]
        off = (S - (S[0, 0] * up - R * forth), U - width * across, V - height * up, (Rd - Rd[0])[:, None])
        sizes = R, width, height, R
        if Rd[0] < 0 or any(abs(d).max() > CIRCLE * size for d, size in zip(off, sizes, strict=True)):
            return None
        z, y, x = self.volume_centre
        up_by, along_by = (float(p[0]) if np.ptp(p) <= CIRCLE * R else p for p in (v, a))
        try:
            return ConeBeamTransform(
                tuple(self.dims), beta, self.n_det, (height, width), source_distance=R, detector_distance=float(Rd[0]),
                det_shift=(up_by, along_by), pixel_size=self.voxel_widths, dtype=self.dtype_in,
                volume_centre=(z - S[0, 0], y, x),
            )  # fmt: skip
        except ValueError:  # the circle goes through the cylinder around the volume
            return None


def check_vectors(vectors: Any, name: str, views: int | None = None) -> np.ndarray:
    """Vectors (z, y, x) of each view; where their number is known also one for all."""
    a = host_array(vectors, name, "an array of vectors (z, y, x), one for each view")
    if views is not None and a.shape == (3,):
        a = np.broadcast_to(a, (views, 3))
    if a.ndim != 2 or a.shape[1] != 3 or len(a) == 0 or (views is not None and len(a) != views):
        expected = "(n_views, 3), with one view or more" if views is None else f"({views}, 3), or (3,) for all views"
        raise ValueError(f"{name} has shape {a.shape}; expected {expected}")
    return a


def check_panels(panels: Any, along_rows: Any, along_columns: Any, views: int) -> tuple[np.ndarray, ...]:
    """D, U and V of each view."""
    given = {"panels": panels, "along_rows": along_rows, "along_columns": along_columns}
    return tuple(check_vectors(vectors, name, views) for name, vectors in given.items())


def first_pixels(D: np.ndarray, U: np.ndarray, V: np.ndarray, n_det: tuple[int, int]) -> np.ndarray:
    """Where the pixels of row 0 and column 0 are, for panels with the middles D."""
    return D - 0.5 * (n_det[1] - 1) * U - 0.5 * (n_det[0] - 1) * V


def check_spanned(rays: np.ndarray, U: np.ndarray, V: np.ndarray, what: str) -> np.ndarray:
    """How deep the ``rays`` to panels go across them: not 0, so that the plane of a panel is without ``what``."""
    depth, scale = np.einsum("ki,ki->k", np.cross(U, V), rays), np.linalg.norm(U, axis=1) * np.linalg.norm(V, axis=1)
    flat = abs(depth) <= 1e-9 * scale * np.linalg.norm(rays, axis=1)
    if flat.any():
        k = int(flat.argmax())
        raise ValueError(
            f"along_rows and along_columns are {U[k]} and {V[k]} in view {k}; expected two directions that span a "
            f"plane without {what}"
        )
    return depth


def _check_geometry(
    centre: np.ndarray, half: np.ndarray, S: np.ndarray, D: np.ndarray, U: np.ndarray, V: np.ndarray
) -> None:
    """Sources outside of the volume about ``centre``, and panels that look at it."""
    inside = (abs(S - centre) <= half).all(axis=1)
    if inside.any():
        k = int(inside.argmax())
        raise ValueError(f"sources has {S[k]} within the volume in view {k}; expected sources outside of it")
    depth = check_spanned(D - S, U, V, "the source")
    behind = np.einsum("ki,ki->k", np.cross(U, V), centre - S) * np.sign(depth) <= 0
    if behind.any():
        k = int(behind.argmax())
        raise ValueError(
            f"panels has {D[k]} behind the source in view {k}; expected it on the side where the volume is"
        )
