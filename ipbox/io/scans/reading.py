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
from ipbox.io.scans.frames import Frames, HeldFrames
from ipbox.io.scans.hdf5_scans import read_hdf5_scan
from ipbox.io.scans.scan import Scan
from ipbox.io.scans.tiff_stack import TIFF, read_tiff_stack, tiff_frames
from ipbox.keywords import answering

HDF5 = (".h5", ".hdf5", ".hdf", ".nxs", ".nx")
KINDS = (*HDF5, *TIFF)


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
    ======================== ==========================================================================================

    Parameters
    ----------
    path : str or path
        A file, or a folder of TIFF files.
    flats, darks : path or array, optional
        Frames (frames, rows, columns), one frame (rows, columns), or TIFF files: a folder, or one of many pages.
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
    path = Path(check_type(path, name, str | os.PathLike, "the path of a file or folder"))
    if not path.exists():
        raise FileNotFoundError(f"{name} is {path}; there is no such file")
    kind = path.name.lower()
    if path.is_dir() or kind.endswith(TIFF):
        fields = read_tiff_stack(path, name)
    elif kind.endswith(HDF5):
        fields = read_hdf5_scan(path, entry, name)
    else:
        raise ValueError(f"{name} is {path}; expected a folder, or a file that ends in {', '.join(KINDS)}")
    for key, frames in (("flats", flats), ("darks", darks)):
        if frames is not None:
            fields[key] = _frames(frames, key)
    if angles is not None:
        fields["angles"] = angles
    given = {"beam": beam, "pixel_size": pixel_size, "source_distance": source_distance}
    given |= {"detector_distance": detector_distance, "det_shift": det_shift}
    told = {key: value for key, value in given.items() if value is not None}
    return Scan(**fields | {"geometry": replace(fields["geometry"], **told)})


def _frames(given: Any, name: str) -> Frames:
    """Flats or darks that the user gives."""
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if not path.exists():
            raise FileNotFoundError(f"{name} is {path}; there is no such file")
        paths = sorted(of for of in path.iterdir() if of.name.lower().endswith(TIFF)) if path.is_dir() else [path]
        if not paths or not all(of.name.lower().endswith(TIFF) for of in paths):
            raise ValueError(f"{name} is {path}; expected TIFF files, or a folder of them")
        return tiff_frames(paths, name)
    backend.check_array(given, name, "frames, or the path of TIFF files")
    array = np.asarray(backend.to_host(given))
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}; expected (frames, rows, columns)")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite entries; expected finite numbers")
    return HeldFrames(array)
