"""One door to the images and volumes of all formats."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ipbox.checks import counted, shown
from ipbox.io.arrays import HDF5, KINDS, TIFF, read_array, read_hdf5
from ipbox.io.checks import one_sentence, regular_file
from ipbox.io.formats.mrc import read_mrc
from ipbox.io.formats.nifti import read_nifti
from ipbox.io.formats.nrrd import read_nrrd
from ipbox.io.formats.orientation import axial
from ipbox.io.formats.picture import read_picture
from ipbox.io.formats.tiff import read_tiff
from ipbox.io.raw.cfl import read_cfl
from ipbox.keywords import answering

IMAGES = (*KINDS, ".png", ".jpg", ".jpeg", ".nii", ".nii.gz", ".dcm", ".mrc", ".cfl")
_DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "complex64", "complex128"))
# (L, P, S) components of the axes of space that NRRD names
_SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
}
_TIME = ("-time", "t")  # at the end of the name and of its letters
_SPACES |= {"".join(word[0] for word in name.split("-")): signs for name, signs in _SPACES.items()}


@answering
def read_image(
    path: str | os.PathLike, dataset: str | None = None, dtype: Any = None, name: str = "path"
) -> tuple[np.ndarray, tuple[float, ...] | None]:
    """An image or volume from a file in one of the formats of medicine, microscopy, photography and numerics.

    .npy, .npz, HDF5, .mat, TIFF, PNG, JPEG, .nrrd, .nii, .nii.gz, .dcm, .mrc, and BART's .cfl with its .hdr.

    Volumes with an orientation (DICOM of several frames, most NIfTI and NRRD) are turned, by permuting and flipping
    axes, to the order of DICOM's axial slices: slices towards the head, rows towards the back, columns towards the
    left.  Other files are returned as stored, NIfTI and NRRD with their axes from the slowest to the fastest.  Arrays
    of MATLAB have the type of their class, not the smaller one in which MATLAB stores whole numbers.  Colours come
    first, (3, rows, columns); pages of a TIFF and sections of MRC are slices.  BART's axes come from the slowest to the
    fastest, (..., coils, z, y, x), without those of one entry in front.  Pictures are turned as the camera says (Exif).

    Parameters
    ----------
    path : str or path
        One file, also a DICOM of several frames; `read_dicom_series` reads a folder of DICOM slices.
    dataset : str, optional
        Array of an .npz or .mat file, or HDF5 dataset; needed where the file holds several.
    dtype : float32, float64, complex64 or complex128, optional
        Convert to it.  Without it stored values keep their dtype, integers included; values the file scales are
        float32 where that holds the stored ones, else float64.
    name : str
        What errors call the file.

    Returns
    -------
    array : numpy.ndarray
        (rows, columns) or (slices, rows, columns), after any others, such as time; finite.
    spacing : tuple of float or None
        Distance of pixels along the last axes, in the file's unit (mm for DICOM, NIfTI and TIFF); None where the file
        has none.  The resolution of a picture is none; ImageJ's calibration, and what `save` wrote, are.

    Raises
    ------
    FileNotFoundError, ValueError
        for a file that is missing, cut short or of another kind, a dataset that is missing or not named where there
        are several, and NaN or infinite entries.
    TypeError
        for arrays that are not of numbers, and a ``dtype`` that cannot hold them.
    ImportError
        where DICOM, NIfTI or NRRD needs ``pip install 'ipbox[io]'``.

    See Also
    --------
    save

    Examples
    --------
    >>> import numpy as np, tempfile, ipbox as ip
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "image.npy", np.eye(4, dtype="uint8"))
    ...     u, spacing = ip.read_image(Path(folder) / "image.npy", dtype="float32")
    >>> u.shape, u.dtype.name, spacing
    ((4, 4), 'float32', None)
    """
    try:
        to = None if dtype is None else np.dtype(dtype)
    except TypeError as err:
        raise TypeError(f"dtype is {shown(dtype)}; expected float32, float64, complex64 or complex128") from err
    if to is not None and to not in _DTYPES:
        raise TypeError(f"dtype is {to}; expected float32, float64, complex64 or complex128")
    path = regular_file(path, IMAGES, name)
    kind = path.name.lower()
    if kind.endswith(".dcm"):
        array, spacing = _dicom(path, dataset)
    elif kind.endswith((".nii", ".nii.gz")):
        with one_sentence(path, "NIfTI file of numbers", name):
            array, spacing = read_nifti(path, dataset)
    elif kind.endswith(".nrrd"):
        with one_sentence(path, ".nrrd file of numbers", name):
            array, spacing = _turned(*read_nrrd(path, dataset))
    elif kind.endswith((".png", ".jpg", ".jpeg")):
        with one_sentence(path, "PNG or JPEG picture", name):
            array, spacing = read_picture(path, dataset), None
    elif kind.endswith(".mrc"):
        with one_sentence(path, "MRC file of numbers", name):
            array, spacing = read_mrc(path, dataset)
    elif kind.endswith(".cfl"):
        with one_sentence(path, ".cfl file with its .hdr", name):
            array, spacing = read_cfl(path, dataset), None
    elif kind.endswith(TIFF):
        with one_sentence(path, "TIFF file of numbers", name):
            array, spacing = read_tiff(path, dataset)
    elif kind.endswith(HDF5):
        with one_sentence(path, "HDF5 file of numbers", name):
            array, attributes = read_hdf5(path, dataset)
        spacing = _written(attributes, array.ndim)
    else:
        array, spacing = read_array(path, dataset, name), None
    return _numbers(array, to, f"{name} {path}"), spacing


def _written(attributes: Mapping[str, Any], ndim: int) -> tuple[float, ...] | None:
    """The spacing that `save` wrote beside a dataset; another program's attribute of that name may be anything."""
    steps = np.asarray(attributes.get("spacing", ""))
    if steps.dtype.kind != "f" or steps.shape not in ((2,), (3,)) or len(steps) > ndim or not (steps > 0).all():
        return None
    return tuple(steps.tolist())


def _dicom(path: os.PathLike, dataset: str | None) -> tuple[np.ndarray, tuple[float, ...] | None]:
    from ipbox.io.formats.dicom import read_dicom_series

    if dataset is not None:
        raise ValueError(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    volume = read_dicom_series([path])
    array, spacing, orientation = volume.array, volume.spacing, np.array(volume.about["orientation"])
    if len(array) > 1:
        across = np.cross(orientation[:3], orientation[3:])
        return axial(array, np.array([across, orientation[3:], orientation[:3]]) * np.array(spacing)[:, None])
    return array[0], None if np.isnan(spacing[1:]).any() else spacing[1:]


def _turned(array: np.ndarray, header: Mapping[str, Any]) -> tuple[np.ndarray, tuple[float, ...] | None]:
    """An NRRD array, axes of space last, and what its header says about them."""
    directions, space = header.get("space directions"), str(header.get("space", "")).lower()
    if directions is None:
        steps = header.get("spacings")
        steps = [math.nan] * array.ndim if steps is None else [float(step) for step in steps]
        array, of_space = _space_last(array, [math.isfinite(step) for step in steps])
        return array, tuple(steps[k] for k in of_space) or None
    if len(directions) != array.ndim:
        raise ValueError(f"its header has {len(directions)} space directions for {counted(array.ndim, 'axis')}")
    rows = [np.full(1, math.nan) if row is None else np.asarray(row, dtype=float) for row in directions]
    if space.endswith(_TIME):  # the last component is of time, as is the axis that runs along it
        space = space.removesuffix(_TIME[0]).removesuffix(_TIME[1])
        rows = [row[:-1] if len(row) == 4 and row[:-1].any() else np.full(1, math.nan) for row in rows]
    array, of_space = _space_last(array, [bool(np.isfinite(row).all()) for row in rows])
    steps = np.array([rows[k] for k in of_space], dtype=float)
    if space in _SPACES and steps.shape == (3, 3):
        return axial(array, steps * _SPACES[space])
    return array, tuple(float(np.linalg.norm(row)) for row in steps) or None


def _space_last(array: np.ndarray, of_space: list[bool]) -> tuple[np.ndarray, list[int]]:
    """The array with its axes of space last, and their places in the header, which begins with the fastest axis."""
    places = [k for k in reversed(range(array.ndim)) if of_space[k]]
    lead = array.ndim - len(places)
    return np.moveaxis(array, [array.ndim - 1 - k for k in places], range(lead, array.ndim)), places


def _numbers(array: np.ndarray, to: np.dtype | None, what: str) -> np.ndarray:
    """Finite numbers in native byte order, converted to ``to``."""
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{what} has dtype {array.dtype}; expected numbers")
    if array.size == 0 or array.ndim < 2:
        raise ValueError(f"{what} has shape {array.shape}; expected an image (rows, columns) or more axes")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} has NaN or infinite entries; expected finite numbers")
    to = array.dtype.newbyteorder("=") if to is None else to
    if array.dtype.kind == "c" and to.kind != "c":
        raise TypeError(f"{what} has dtype {array.dtype}; expected real numbers for dtype={to}")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=to)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} has entries beyond the range of {to}; expected a wider dtype")
    return array
