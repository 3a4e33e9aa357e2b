"""One door to raw scans of all formats."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_type
from ipbox.io.scans.edf import EDF, edf_frames, read_edf_scan
from ipbox.io.scans.frames import Frames, HeldFrames
from ipbox.io.scans.hdf5_scans import read_hdf5_scan
from ipbox.io.scans.mrc import MRC, read_mrc_scan
from ipbox.io.scans.nikon import read_nikon
from ipbox.io.scans.scan import Scan
from ipbox.io.scans.tiff_stack import TIFF, read_tiff_stack, tiff_frames
from ipbox.keywords import answering

HDF5 = (".h5", ".hdf5", ".hdf", ".nxs", ".nx")
NIKON = (".xtekct",)
KINDS = (*HDF5, *TIFF, *NIKON, *MRC, *EDF)


@answering
def read_scan(
    path: str | os.PathLike,
    *,
    flats: str | os.PathLike | Array | None = None,
    darks: str | os.PathLike | Array | None = None,
    angles: Array | None = None,
    beam: str | None = None,
    pixel_size: float | tuple[float, float] | None = None,
    source_distance: float | None = None,
    detector_distance: float | None = None,
    det_shift: tuple[float, float] | None = None,
    entry: str | None = None,
    name: str = "path",
) -> Scan:
    """A raw tomographic scan: projections, flat and dark fields, angles and geometry, as far as the file tells them.

    Nothing of the frames is read before they are indexed.  What a file does not tell is None, and ``scan.missing``
    names it; what is given here takes its place.

    ======================== ==========================================================================================
    TIFF                     a folder (projections, flats and darks by the names of files or of folders within, numbers
                             in natural order) or one file of many pages; tells no angles and no geometry
    NXtomo (.h5, .nxs)       frames by ``image_key``, ``sample/rotation_angle``, pixel sizes, distances
    DXchange (.h5)           ``exchange/data``, ``data_white``, ``data_dark``, ``theta``, objective
    Nikon (.xtekct)          cone beam: distances, pixels, axis, angles, white level; TIFF files beside it
    MRC (.mrc, .st, .ali)    a tilt series; angles in degrees in .tlt, .rawtlt or .mdoc beside it
    EDF                      a folder as of TIFF files, with an .info file of the ESRF, or one file of many frames
    ======================== ==========================================================================================

    Parameters
    ----------
    path : str or path
        A file, or a folder of TIFF or EDF files.
    flats, darks : path or array, optional
        Frames (frames, rows, columns), one frame (rows, columns), or TIFF or EDF files: a folder, or one of
        many frames.
    angles : array, optional
        One for each view, in radians.
    beam : str, optional
        ``"parallel"`` or ``"cone"``.
    pixel_size, source_distance, detector_distance, det_shift : optional
        Of the `ScanGeometry`, in mm.
    entry : str, optional
        The group of an HDF5 file, where several hold a scan.
    name : str
        What errors call the file.

    Returns
    -------
    Scan

    Raises
    ------
    FileNotFoundError, ValueError
        for what is missing, cut short, damaged or of another kind; frames of different sizes; angles that are not one
        for each view, or look like degrees.

    See Also
    --------
    read_image, line_integrals

    Examples
    --------
    >>> import numpy as np, tempfile, tifffile, ipbox as ip
    >>> from pathlib import Path
    >>> counts = np.arange(120, dtype="uint16").reshape(6, 4, 5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imwrite(Path(folder) / "scan.tif", counts)
    ...     scan = ip.read_scan(Path(folder) / "scan.tif", angles=np.arange(6) * np.pi / 6, pixel_size=0.1)
    ...     rows = scan.projections[:, 1:3]
    >>> rows.shape, bool((rows == counts[:, 1:3]).all()), scan.missing
    ((6, 2, 5), True, ('flats', 'darks', 'det_shift'))
    """
    check_type(name, "name", str, "text"), check_type(entry, "entry", str | None, "the name of a group")
    path = Path(check_type(path, name, str | os.PathLike, "the path of a file or folder"))
    if not path.exists():
        raise FileNotFoundError(f"{name} is {path}; there is no such file")
    fields = _read(path, entry, name)
    user = {"flats": flats, "darks": darks, "angles": angles}
    try:  # what the file tells has to fit together, apart from what stands in its place
        Scan(**fields | {key: None for key, value in user.items() if value is not None})
    except ValueError as err:
        raise ValueError(f"{name} is {path}, whose {err}") from err
    for key, value in user.items():
        if value is not None:
            fields[key] = value if key == "angles" else _frames(value, key)
    given = {"beam": beam, "pixel_size": pixel_size, "source_distance": source_distance}
    given |= {"detector_distance": detector_distance, "det_shift": det_shift}
    told = {key: value for key, value in given.items() if value is not None}
    return Scan(**fields | {"geometry": replace(fields["geometry"], **told)})


def _read(path: Path, entry: str | None, name: str) -> dict[str, Any]:
    kind = path.name.lower()
    if path.is_dir():
        inside = [file for home in (path, *path.iterdir()) if home.is_dir() for file in home.iterdir()]
        if settings := [file for file in inside if file.name.lower().endswith(NIKON)]:
            if len(settings) > 1:
                raise ValueError(f"{name} is {path}, which has {len(settings)} .xtekct files; expected one of them")
            return read_nikon(settings[0], name)
        edf = [file for file in inside if file.name.lower().endswith(EDF)]
        return read_edf_scan(path, name) if edf else read_tiff_stack(path, name)
    if kind.endswith(HDF5):
        return read_hdf5_scan(path, entry, name)
    for endings, read in ((TIFF, read_tiff_stack), (NIKON, read_nikon), (MRC, read_mrc_scan), (EDF, read_edf_scan)):
        if kind.endswith(endings):
            return read(path, name)
    raise ValueError(f"{name} is {path}; expected a folder, or a file that ends in {', '.join(KINDS)}")


def _frames(given: Any, name: str) -> Frames:
    """Flats or darks that the user gives."""
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if not path.exists():
            raise FileNotFoundError(f"{name} is {path}; there is no such file")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        for endings, read in ((TIFF, tiff_frames), (EDF, edf_frames)):
            if paths := [file for file in inside if file.name.lower().endswith(endings)]:
                return read(paths, name)
        raise ValueError(f"{name} is {path}; expected TIFF or EDF files, or a folder of them")
    backend.check_array(given, name, "frames, or the path of TIFF or EDF files")
    array = np.asarray(backend.to_host(given))
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}; expected (frames, rows, columns)")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite entries; expected finite numbers")
    return HeldFrames(array)
