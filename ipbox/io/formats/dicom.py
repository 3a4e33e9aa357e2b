"""A DICOM series as a volume: one slice a file or many frames, sorted along their normal, in physical values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import summary
from ipbox.checks import check_type
from ipbox.io.checks import folder
from ipbox.io.formats.dicom_slices import Slice, check_alike, in_order, read_header, read_values
from ipbox.keywords import answering


@dataclass(frozen=True)
class Volume:
    """A volume of parallel slices.

    Attributes
    ----------
    array : numpy.ndarray
        (slices, rows, columns) float32: Hounsfield units for CT, else the values ``about["units"]`` names.
    spacing : tuple of float
        Distance of slices, rows and columns in mm; of a single slice, the first is its thickness, NaN if unknown.
    positions : numpy.ndarray
        (slices, 3) float64: the centre of each slice's first pixel in mm, towards the patient's left, back and head.
    about : dict
        ``patient``, ``modality``, ``series`` (its SeriesInstanceUID), ``study``, ``description``, ``units``,
        ``orientation`` (direction cosines of columns and rows), and for each slice in ``files`` its file, in ``frames``
        its number in there, from 0.
    """

    array: np.ndarray = field(repr=False)
    spacing: tuple[float, float, float]
    positions: np.ndarray = field(repr=False)
    about: dict[str, Any] = field(repr=False)

    __repr__ = summary.of_fields


@answering
def read_dicom_series(
    source: str | os.PathLike | Sequence[str | os.PathLike], series: str | None = None, name: str = "source"
) -> Volume:
    """A DICOM series as a volume; CT in Hounsfield units.

    Slices are sorted by ImagePositionPatient along the normal of the slices, so axial ones from feet to head.  Stored
    values q become RescaleSlope q + RescaleIntercept, of a dose DoseGridScaling q, else RealWorldValueSlope q +
    RealWorldValueIntercept where there is one such mapping; where an MR image has neither, they stay as stored.  In
    enhanced files, with one frame or many in any order, all this is said in functional groups, of each frame or shared.

    Parameters
    ----------
    source : path, or sequence of paths
        A folder, searched without its subfolders, or the files of the slices.  Of a folder, files that are not DICOM
        by their name (another suffix, a licence) and content are left out.
    series : str, optional
        SeriesInstanceUID; needed where there are several.
    name : str
        What errors call the source.

    Returns
    -------
    Volume

    Raises
    ------
    FileNotFoundError
        for a file or folder that does not exist.
    ValueError
        for a folder without DICOM images, several series, slices of different size, pixel spacing or orientation,
        missing, repeated or shifted slices (so several times or echoes), colours, frames without positions, pixel data
        that are missing, cut short or compressed in a way for which no decoder is installed.  Slices missing at an end
        cannot be noticed.
    ImportError
        without pydicom: ``pip install 'ipbox[io]'``.

    References
    ----------
    DICOM PS3.3, C.7.6.2 (image plane), C.7.6.16 (functional groups) and C.11.1 (modality look-up table).

    Examples
    --------
    >>> import ipbox as ip
    >>> from pydicom.data import get_testdata_file
    >>> volume = ip.read_dicom_series([get_testdata_file("CT_small.dcm")])
    >>> volume.array.shape, volume.array.dtype.name, volume.about["units"]
    ((1, 128, 128), 'float32', 'HU')
    """
    slices = _one_series([one for path in _files(source, name) for one in read_header(path, name)], series, name)
    check_alike(slices)
    slices, spacing = in_order(slices)
    array = np.empty((len(slices), slices[0].rows, slices[0].columns), dtype=np.float32)
    places: dict[Path, list[int]] = {}
    for k, one in enumerate(slices):
        places.setdefault(one.path, []).append(k)
    for of in places.values():
        for k, values in zip(of, read_values([slices[k] for k in of], name), strict=True):
            array[k] = values
    positions = np.array([one.position for one in slices])
    where = {"files": tuple(one.path for one in slices), "frames": tuple(one.frame for one in slices)}
    return Volume(array, spacing, positions, slices[0].about | where)


def _files(source: str | os.PathLike | Sequence[str | os.PathLike], name: str) -> list[Path]:
    check_type(name, "name", str, "text")
    if isinstance(source, (str, os.PathLike)):
        if Path(source).is_file():
            raise ValueError(f"{name} is {source}, a file; expected a folder, or a list of files")
        within = folder(source, name)
        found = dicom_files(within)
        if not found:
            deeper = sum(path.is_dir() for path in within.iterdir())
            hint = f"; its {deeper} subfolders are not searched" if deeper else ""
            raise ValueError(f"{name} is {source}, which holds no DICOM file{hint}")
        return found
    check_type(source, name, list | tuple, "a folder, or a list of files")
    found = [Path(check_type(path, name, str | os.PathLike, "paths of files")) for path in source]
    if not found:
        raise ValueError(f"{name} is an empty list; expected a folder, or a list of files")
    for path in found:
        if not path.is_file():
            raise FileNotFoundError(f"{name} names {path}; there is no such file")
    return found


def dicom_files(folder: Path) -> list[Path]:
    """The files of a folder that are DICOM, or should be, sorted by name."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and _may_be_dicom(path)]


def _may_be_dicom(path: Path) -> bool:
    """By name or content; a truncated .dcm file counts, so that it is noticed."""
    suffix = path.suffix.lower()
    if path.name.startswith(".") or path.name.upper() in ("DICOMDIR", "LICENSE", "README", "VERSION"):
        return False
    if suffix in ("", ".dcm", ".dicom", ".ima") or suffix[1:].isdigit():  # names may be UIDs
        return True
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def _one_series(slices: list[Slice], series: str | None, name: str) -> list[Slice]:
    found: dict[str, list[Slice]] = {}
    for one in slices:
        found.setdefault(one.series, []).append(one)
    if len(found) > 1 and "" in found:
        raise ValueError(f"{found[''][0].path} has no SeriesInstanceUID; expected a complete slice of a series")
    listed = "; ".join(_listed(uid, of) for uid, of in found.items())
    if series is None and len(found) > 1:
        raise ValueError(f"series is not given; {name} holds {len(found)}, expected one's UID: {listed}")
    if series is not None and series not in found:
        raise ValueError(f"series is {series!r}; {name} holds {listed}")
    return found[series] if series is not None else slices


def _listed(uid: str, of: list[Slice]) -> str:
    about, files = of[0].about, len({one.path for one in of})
    return f"{uid} ({', '.join(filter(None, (about['modality'], f'{files} files', about['description'])))})"
