"""Where the source, the panel and the volume of a scan are: one description for parallel, fan and cone beam."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.checks import check_type


@dataclass(frozen=True)
class ScanGeometry:
    """A scan in space, as ``A.geometry`` of every transform tells it; points and vectors are (z, y, x).

    x points right and y up in a slice, z from slice to slice; lengths are in the units of ``pixel_size``.  A fan or
    parallel beam of one slice has one row of pixels, and z = 0.

    Attributes
    ----------
    beam : {"parallel", "fan", "cone"}
    dims : (nz, ny, nx)
    voxel_widths, volume_centre : (float, float, float)
    n_det : (int, int)
        Rows and columns of the panel.
    sources : array, (n_views, 3), or None
        None for parallel beam.
    directions : array, (n_views, 3)
        Of unit length, from the source to the middle of the panel; of the rays for parallel beam.
    panels, along_rows, along_columns : array, (n_views, 3)
        The middle of the panel, the step from pixel to pixel of a row, and that from row to row.
    arc : float or None
        The radius about the source of a curved detector, along which pixels are apart then.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> beta = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    >>> A = ip.ConeBeamTransform((15, 32, 32), beta, (24, 48), 1.5, source_distance=100.0, detector_distance=50.0)
    >>> A.geometry
    ScanGeometry: cone beam, 60 views, panel of 24 x 48 pixels of 1.5 x 1.5, volume of 15 x 32 x 32 voxels of 1 x 1 x 1
    >>> A.geometry.sources[0].tolist(), round(A.geometry.fields_of_view()[0], 1)
    ([0.0, -100.0, 0.0], 23.3)
    >>> figure = A.geometry.show()
    """

    beam: str
    dims: tuple[int, int, int]
    voxel_widths: tuple[float, float, float]
    volume_centre: tuple[float, float, float]
    n_det: tuple[int, int]
    sources: np.ndarray | None
    directions: np.ndarray
    panels: np.ndarray
    along_rows: np.ndarray
    along_columns: np.ndarray
    arc: float | None = None

    def __repr__(self) -> str:
        return f"ScanGeometry: {self.told()}"

    def told(self, unit: str = "") -> str:
        """The scan in a line."""
        unit = f" {unit}" if unit else ""
        sizes = [np.linalg.norm(v[0]) for v in (self.along_columns, self.along_rows)]
        flat = self.dims[0] == self.n_det[0] == 1
        panel, pixel = (_times(v[1:] if flat else v) for v in (self.n_det, sizes))
        voxels, width = (_times(v[1:] if flat else v) for v in (self.dims, self.voxel_widths))
        names = ("detector", "image", "pixels") if flat else ("panel", "volume", "voxels")
        return (
            f"{self.beam} beam, {len(self.panels)} view{'s' * (len(self.panels) > 1)}, "
            f"{names[0]} of {panel} pixels of {pixel}{unit}, {names[1]} of {voxels} {names[2]} of {width}{unit}"
        )

    def across(self, view: int, n: int = 2) -> np.ndarray:
        """``n`` points of the panel's middle row in a view, from one end to the other."""
        steps = np.linspace(-0.5, 0.5, n) * self.n_det[1]
        U, D = self.along_rows[view], self.panels[view]
        if self.arc is None or self.sources is None:
            return D + steps[:, None] * U
        width = np.linalg.norm(U)
        gamma = steps * width / self.arc + np.arcsin((D - self.sources[view]) @ U / width / self.arc)
        straight = np.array([0.0, U[2], -U[1]]) / width  # from the source across the detector
        ends = np.cos(gamma)[:, None] * straight + np.sin(gamma)[:, None] * U / width
        return self.sources[view] + self.arc * ends

    def fields_of_view(self) -> tuple[float, float]:
        """Radii of the cylinder about the z axis that every view sees whole, and that one side of each sees.

        They differ where the panel is set to one side; 0 where a view does not see the axis.
        """
        near, far = [], []
        for k in range(len(self.panels)):
            ends = self.across(k)
            ray = self.directions[k] if self.sources is None else ends - self.sources[k]
            ray = np.broadcast_to(ray, (2, 3))[:, 1:]
            length = np.linalg.norm(ray, axis=1)
            if not length.all():
                return 0.0, 0.0
            normal = np.stack([-ray[:, 1], ray[:, 0]], axis=1) / length[:, None]
            s = np.sort((ends[:, 1:] * normal).sum(axis=1))
            near.append(min(-s[0], s[1]))
            far.append(max(-s[0], s[1]))
        return max(0.0, float(min(near))), max(0.0, float(min(far)))

    def show(self, path: str | os.PathLike[str] | None = None, *, unit: str = "mm", block: bool | None = None) -> Any:
        """A picture of the scan: from above, and where there are slices from the side.

        It has the path of the source (or the directions of a parallel beam), the panel and the beam of the first view,
        the volume, and the disc that all views see.

        Parameters
        ----------
        path : str or path, optional
            Where to save the figure; then no window opens.
        unit : str
            Of ``pixel_size``.
        block : bool, optional
            Whether to wait until the window is closed, as in `ipbox.show`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        TypeError
            where ``unit`` is no text.
        """
        from ipbox.operators.tomography.cone.picture import draw

        return draw(self, path, check_type(unit, "unit", str, "a text such as 'mm'"), block)


def _times(numbers: Any) -> str:
    return " x ".join(f"{n:.4g}" for n in numbers)


def in_plane(
    dims: tuple[int, int],
    widths: tuple[float, float],
    centre: tuple[float, float],
    angles: np.ndarray,
    n_det: int,
    spacing: float,
    shift: Any,
    distances: tuple[float, float] | None = None,
    curved: bool = False,
) -> ScanGeometry:
    """That of a parallel beam, or of a fan beam with ``distances`` (R, R_d), in the plane of one slice."""
    c, s, o = np.cos(angles), np.sin(angles), np.zeros_like(angles)
    rays, across = np.stack([o, c, -s], axis=1), np.stack([o, s, c], axis=1)
    shift, least = np.broadcast_to(shift, angles.shape)[:, None], min(widths)
    sources, arc, panels = None, None, shift * across
    if distances is not None:
        R, length = distances[0], sum(distances)
        sources, panels = -R * rays, distances[1] * rays + shift * across
        if curved:
            arc = length
            panels = sources + length * (np.cos(shift / length) * rays + np.sin(shift / length) * across)
    return ScanGeometry(
        "parallel" if distances is None else "fan",
        (1, *dims),
        (least, *widths),
        (0.0, *centre),
        (1, n_det),
        sources,
        rays if distances is None else _unit(panels - sources),
        panels,
        spacing * across,
        np.broadcast_to([least, 0.0, 0.0], panels.shape),
        arc,
    )


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def in_space(
    dims: tuple[int, int, int],
    widths: tuple[float, float, float],
    centre: tuple[float, float, float],
    views: np.ndarray,
    n_det: tuple[int, int],
    parallel: bool,
) -> ScanGeometry:
    """That of ``views`` (n_views, 12) in index coordinates, as `PanelTransform` has them."""
    h = np.array(widths) * (1, -1, 1)
    origin = (np.array(dims) - 1) / 2 - np.array(centre) / h
    S, first, U, V = np.moveaxis(views.reshape(-1, 4, 3), 1, 0)
    S, first, U, V = (S - origin) * h, (first - origin) * h, U * h, V * h
    panels = first + 0.5 * (n_det[1] - 1) * U + 0.5 * (n_det[0] - 1) * V
    beam = "parallel" if parallel else "cone"
    rays = _unit(panels - S)
    return ScanGeometry(beam, dims, widths, centre, n_det, None if parallel else S, rays, panels, U, V)
