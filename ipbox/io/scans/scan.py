"""What the readers of scans return."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox import summary
from ipbox.angles import check_angles
from ipbox.backend import Array
from ipbox.checks import check_positive, counted
from ipbox.io.scans.frames import Frames
from ipbox.io.scans.geometry import ScanGeometry

if TYPE_CHECKING:
    from ipbox.operators import ConeBeamTransform, RayTransform


@dataclass(frozen=True)
class Scan:
    """A tomographic scan on disk: nothing of its frames is read before they are indexed.

    Attributes
    ----------
    projections : Frames
        (views, rows, columns) as the file has them: ``scan.projections[:, 10:20]`` reads ten rows of all views,
        ``scan.projections[::4]`` every fourth view, ``np.asarray(scan.projections)`` everything.  Columns lie along the
        axis of rotation: each row shows one slice of the object.
    flats, darks : Frames or None
        (frames, rows, columns) without the object, and without the beam.
    angles : numpy.ndarray or None
        One for each view, in radians.
    geometry : ScanGeometry
        Beam, pixels, distances and the panel's shift, in mm.
    format : str
        What was read, such as ``"NXtomo"``.
    about : dict
        What else the file says; each reader tells what.
    missing : tuple of str
        What the file does not tell, and is None.
    """

    projections: Frames
    flats: Frames | None
    darks: Frames | None
    angles: np.ndarray | None
    geometry: ScanGeometry
    format: str
    about: dict[str, Any] = field(repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        views, *panel = self.projections.shape
        if 0 in self.projections.shape:
            raise ValueError(f"projections has shape {self.projections.shape}; expected at least one view of a pixel")
        for name in ("flats", "darks"):
            frames = vars(self)[name]
            if frames is not None and (list(frames.shape[1:]) != panel or len(frames) == 0):
                raise ValueError(
                    f"{name} has shape {frames.shape}; projections have {self.projections.shape}, expected frames of "
                    f"{panel[0]} x {panel[1]} pixels"
                )
        if self.angles is not None:
            angles = check_angles(self.angles)
            if angles.size != views:
                raise ValueError(
                    f"angles has {counted(angles.size, 'entry')}; expected one for each of the {views} views"
                )
            angles.flags.writeable = False
            object.__setattr__(self, "angles", angles)

    @property
    def missing(self) -> tuple[str, ...]:
        """What the file does not tell, and is None."""
        needs: tuple[str, ...] = ("pixel_size", "det_shift", "source_distance", "detector_distance")
        needs = needs[:2] if self.geometry.beam == "parallel" else needs
        own = [name for name in ("flats", "darks", "angles") if vars(self)[name] is None]
        return (*own, *(name for name in needs if vars(self.geometry)[name] is None))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Views, rows, columns."""
        return self.projections.shape

    def part(self, views: Any = None, rows: slice | None = None, columns: slice | None = None) -> Scan:
        """Some views, and a part of the panel, still on disk; angles and the panel's shift follow.

        Parameters
        ----------
        views : slice or sequence of int, optional
            In any order, which the angles follow.
        rows, columns : slice, optional
            A step leaves out the pixels between.

        Examples
        --------
        >>> import h5py, numpy as np, tempfile, ipbox as ip
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with h5py.File(Path(folder) / "scan.h5", "w") as file:
        ...         file["exchange/data"] = np.ones((6, 4, 5), dtype="uint16")
        ...         file["exchange/theta"] = np.arange(6) * 30.0
        ...     scan = ip.read_scan(Path(folder) / "scan.h5").part(views=slice(None, None, 2), rows=slice(1, 3))
        >>> scan.shape, scan.angles.round(2).tolist()
        ((3, 2, 5), [0.0, 1.05, 2.09])
        """
        whole = slice(None)
        rows, columns = rows or whole, columns or whole
        numbers = self.projections.numbers(whole if views is None else views)
        panel = {"rows": rows, "columns": columns}
        fields: dict[str, Any] = {n: vars(self)[n] for n in ("flats", "darks")}
        fields = {n: None if f is None else f.part(**panel) for n, f in fields.items()}
        projections = self.projections.part(numbers, **panel)
        if 0 in projections.shape:
            raise ValueError(
                f"the part has shape {projections.shape}; expected views, rows and columns of {self.shape}"
            )
        about = self.about
        if len(about.get("views_at", ())) == len(self.projections):
            about = about | {"views_at": [about["views_at"][k] for k in numbers]}
        return replace(
            self,
            about=about,
            projections=projections,
            angles=None if self.angles is None else self.angles[numbers],
            geometry=self.geometry.of_part(self.shape[1:], rows, columns),
            **fields,
        )

    def transform(
        self,
        size: int | None = None,
        *,
        pixel_size: float | None = None,
        det_shift: Array | float | tuple[float, float] | None = None,
        dtype: Any = "float32",
    ) -> RayTransform | ConeBeamTransform:
        """The operator A of the scan.

        Parameters
        ----------
        size : int, optional
            Pixels a side of a slice; as many as the panel has columns by default.
        pixel_size : float, optional
            Their width, by default that of the panel's pixels over the magnification: in mm, or in pixels of the panel
            where the scan does not tell theirs.
        det_shift : float or (float, float), optional
            Instead of the scan's own: a, or (v, a) of a cone beam.  0 where neither is known.
        dtype : dtype
            float32 or float64.

        Returns
        -------
        RayTransform or ConeBeamTransform
            Parallel beam: that of one slice, whose data are (views, columns); a stack of slices (rows, views, columns)
            is a batch.  Cone beam: that of the volume, whose data are (views, rows, columns); it has a slice for each
            row.

        Raises
        ------
        ValueError
            for a scan without angles, or a cone beam without distances or the size of the pixels.
        """
        from ipbox.operators import ConeBeamTransform, RayTransform

        if self.angles is None:
            raise ValueError("angles is None; the scan does not tell them, expected read_scan(..., angles=radians)")
        geometry, (_, rows, columns) = self.geometry, self.shape
        shift = geometry.det_shift if det_shift is None else det_shift
        height, width = geometry.pixel_size or (1.0, 1.0)
        n = columns if size is None else size
        if geometry.beam == "parallel":
            a = 0.0 if shift is None else shift[1] if isinstance(shift, tuple) else shift
            h = width if pixel_size is None else check_positive(pixel_size, "pixel_size")
            return RayTransform((n, n), self.angles, columns, width, a, h, dtype=dtype)
        unknown = [name for name in self.missing if name in ("pixel_size", "source_distance", "detector_distance")]
        if unknown:
            raise ValueError(
                f"{unknown[0]} is None; the scan does not tell it, expected read_scan(..., {unknown[0]}=mm)"
            )
        M = geometry.magnification
        assert M is not None and geometry.source_distance is not None and geometry.detector_distance is not None
        v, a = (0.0, 0.0) if shift is None else shift if isinstance(shift, tuple) else (0.0, shift)
        h = width / M if pixel_size is None else check_positive(pixel_size, "pixel_size")
        return ConeBeamTransform(
            (rows, n, n),
            self.angles,
            (rows, columns),
            (height, width),
            source_distance=geometry.source_distance,
            detector_distance=geometry.detector_distance,
            det_shift=(v, a),
            pixel_size=(height / M, h, h),
            dtype=dtype,
            volume_centre=(v / M, 0.0, 0.0),
        )

    def __repr__(self) -> str:
        views, rows, columns = self.shape
        fields = [f"{len(vars(self)[name])} {name}" for name in ("flats", "darks") if vars(self)[name] is not None]
        if self.angles is not None:
            turned = np.rad2deg(np.ptp(self.angles))
            fields.append(f"angles over {turned:.5g} degrees")
        told = f"{self.format} scan: {views} views of {rows} x {columns} {self.projections.dtype}, " + ", ".join(fields)
        told += f"{', ' if fields else ''}{self.geometry!r}"
        return summary.shortened(told + (f"; missing: {', '.join(self.missing)}" if self.missing else ""))

    _repr_html_ = summary.as_html
