"""Images and volumes written to files that other programs read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO, Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive, check_type, counted
from ipbox.files import NotSaved, replacing
from ipbox.keywords import answering

_HDF5 = (".h5", ".hdf5")
_TIFF = (".tif", ".tiff")
_NIFTI = (".nii.gz", ".nii")
_KINDS = (".npy", *_HDF5, *_TIFF, ".png", *_NIFTI, ".dcm", ".mrc")
_SPACED = (*_HDF5, *_TIFF, *_NIFTI, ".dcm", ".mrc")
# of an array's dtype, and of its axes
_KINDS_OF_NUMBERS = {".png": "buif", ".dcm": "buif", ".mrc": "iuf"}
_AXES = {
    ".png": (2, 3),
    ".dcm": (2, 3),
    ".mrc": (2, 3),
    ".nii": (2, 4),
    ".nii.gz": (2, 4),
    ".tif": (2, 32),
    ".tiff": (2, 32),
}


@answering
def save(
    x: Array,
    path: str | os.PathLike,
    *,
    spacing: float | tuple[float, ...] | None = None,
    unit: str = "",
    window: tuple[float, float] | str | None = None,
    dataset: str = "x",
) -> None:
    """An image or volume to a .npy, .h5, .tif, .png, .nii, .nii.gz, .dcm or .mrc file; `read_image` reads it back.

    The file is written beside ``path`` and takes its place when it is complete.  All but PNG and DICOM keep values and
    dtype (bool becomes 0 and 1 in uint8 outside .npy and HDF5).  DICOM holds 16 bits a value: whole numbers that fit
    are kept, others are rounded to steps of (max - min)/65535.  MRC holds int8, int16, uint16, float16 and float32.
    PNG is a picture: see ``window``.

    Parameters
    ----------
    x : array
        (rows, columns), or (slices, rows, columns) with slices towards the head; NIfTI also (time, slices, rows,
        columns), PNG (3, rows, columns) in red, green and blue, TIFF any further axes, .npy and HDF5 any.  Real, or
        complex but for PNG and DICOM; finite.  CuPy arrays are copied to the host.
    path : str or path
        Its ending tells the format; its folder exists.
    spacing : float or tuple of float, optional
        Distance of pixels along the last two or three axes in mm; a number is that of all of them.  DICOM of several
        slices needs it, .npy and PNG do not hold it.
    unit : str
        Of the values, such as ``info.unit``, where the format holds one: in HDF5 and TIFF, and in the description of
        NIfTI, and the label of MRC; in DICOM as RescaleType, such as ``"HU"``.
    window : (low, high) or "range", optional
        PNG only: values from low to high become 0 to 255, those outside are clipped; ``"range"`` is from the least
        value of x to the largest.  Without it x is uint8 or (grey) uint16, and is written as it is.
    dataset : str
        HDF5 only: the name of the dataset, whose attributes are ``spacing`` and ``unit``.

    Raises
    ------
    TypeError, ValueError
        for what the format cannot hold, an unknown ending, values that are not finite.
    NotSaved
        an OSError, where the file cannot be written; then the old one is still there.
    ImportError
        where DICOM or NIfTI needs ``pip install 'ipbox[io]'``.

    See Also
    --------
    read_image, show

    Examples
    --------
    >>> import numpy as np, tempfile, ipbox as ip
    >>> from pathlib import Path
    >>> x = np.linspace(0, 1, 12, dtype="float32").reshape(3, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ip.save(x, Path(folder) / "x.tif", spacing=0.5, unit="1/mm")
    ...     y, spacing = ip.read_image(Path(folder) / "x.tif")
    ...     ip.save(x, Path(folder) / "x.png", window=(0, 0.5))
    ...     picture, _ = ip.read_image(Path(folder) / "x.png")
    >>> bool((x == y).all()), spacing, picture[0].tolist(), picture.max()
    (True, (0.5, 0.5), [0, 46, 93, 139], np.uint8(255))
    """
    path, kind = _target(path)
    array = _host(x, kind)
    steps = _spacing(spacing, array, kind)
    unit = _unit(unit, kind)
    if kind not in _HDF5 and dataset != "x":
        raise ValueError(f"dataset is {dataset!r}; {kind} holds no names, expected a file that ends in .h5")
    check_type(dataset, "dataset", str, "the name of a dataset")
    limits = _window(window, array, kind)
    with replacing(path) as file:
        _write(file, kind, array, steps, unit, limits, dataset)


@answering
def save_dicom_series(
    x: Array, path: str | os.PathLike, *, spacing: float | tuple[float, float, float], unit: str = ""
) -> None:
    """A volume to a new folder of DICOM files, one for each slice; `read_dicom_series` reads it back.

    The folder is made beside ``path`` and takes that name when all files are in it.  Values are held in 16 bits, as
    `save` holds them, with one scale for all slices.

    Parameters
    ----------
    x : array
        (slices, rows, columns), slices towards the head, rows towards the back, columns towards the left; real, finite.
    path : str or path
        A folder that does not exist yet.
    spacing : float or (float, float, float)
        Distance of slices, rows and columns in mm.
    unit : str
        Of the values, as RescaleType, such as ``"HU"``.

    Raises
    ------
    TypeError, ValueError
        for what DICOM cannot hold, and a path that exists.
    NotSaved
        an OSError, where the folder cannot be written.
    ImportError
        where this needs ``pip install 'ipbox[io]'``.

    See Also
    --------
    read_dicom_series, save

    Examples
    --------
    >>> import numpy as np, tempfile, ipbox as ip
    >>> from pathlib import Path
    >>> x = np.arange(24.0).reshape(2, 3, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ip.save_dicom_series(x, Path(folder) / "series", spacing=(2.0, 0.5, 0.5))
    ...     volume = ip.read_dicom_series(Path(folder) / "series")
    >>> bool(abs(volume.array - x).max() < 2e-4), volume.spacing
    (True, (2.0, 0.5, 0.5))
    """
    from ipbox.io.formats.dicom_written import write_series

    path = Path(check_type(path, "path", str | os.PathLike, "the path of a folder"))
    if path.exists():
        raise ValueError(f"path is {path}, which exists; expected a folder that does not exist yet")
    array = _host(x, ".dcm")
    if array.ndim != 3:
        raise ValueError(f"x has shape {array.shape}; expected (slices, rows, columns)")
    steps, unit = _spacing(spacing, array, ".dcm"), _unit(unit, ".dcm")
    if steps is None or len(steps) != 3:
        raise ValueError(f"spacing is {spacing}; expected that of slices, rows and columns")
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.mkdir()
        write_series(beside, array, (steps[0], steps[1], steps[2]), unit)
        beside.rename(path)
    except OSError as err:
        raise NotSaved(f"path is {path}, which cannot be written: {err.strerror or err}", path, err.errno) from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write(
    file: IO[bytes],
    kind: str,
    x: np.ndarray,
    spacing: tuple[float, ...] | None,
    unit: str,
    limits: tuple[float, float] | None,
    dataset: str,
) -> None:
    from ipbox.io.formats.dicom_written import write_dicom
    from ipbox.io.formats.mrc import write_mrc
    from ipbox.io.formats.nifti import write_nifti
    from ipbox.io.formats.picture import write_png
    from ipbox.io.formats.tiff import write_tiff

    if kind == ".npy":
        np.save(file, x, allow_pickle=False)
    elif kind in _HDF5:
        _write_hdf5(file, x, spacing, unit, dataset)
    elif kind in _TIFF:
        write_tiff(file, x, spacing, unit)
    elif kind in _NIFTI:
        write_nifti(file, x, spacing, unit, packed=kind == ".nii.gz")
    elif kind == ".dcm":
        write_dicom(file, x, spacing, unit)
    elif kind == ".mrc":
        write_mrc(file, x, spacing, unit)
    else:
        write_png(file, x, limits)


def _write_hdf5(file: IO[bytes], x: np.ndarray, spacing: tuple[float, ...] | None, unit: str, dataset: str) -> None:
    import h5py

    told: dict[str, Any] = {"unit": unit} if unit else {}
    with h5py.File(file, "w") as within:
        node = within.create_dataset(dataset, data=x)
        node.attrs.update(told if spacing is None else told | {"spacing": spacing})


def _target(path: str | os.PathLike) -> tuple[Path, str]:
    path = Path(check_type(path, "path", str | os.PathLike, "the path of a file"))
    kind = next((kind for kind in _KINDS if path.name.lower().endswith(kind)), None)
    if kind is None:
        raise ValueError(f"path is {path}; expected a file that ends in {', '.join(_KINDS)}")
    return path, kind


def _host(x: Array, kind: str) -> np.ndarray:
    """The array on the host, of numbers and axes that the format holds."""
    array = backend.to_host(backend.check_array(x, "x"))
    if array.dtype.kind not in _KINDS_OF_NUMBERS.get(kind, "buifc"):
        raise TypeError(f"x has dtype {array.dtype}; {kind} holds real numbers, such as abs(x)")
    least, most = _AXES.get(kind, (1, 32))
    if array.size == 0 or not least <= array.ndim <= most:
        axes = f"{least} or more axes" if most == 32 else f"{least} to {most} axes"
        raise ValueError(f"x has shape {array.shape}; {kind} holds {axes}, none of them empty")
    if not np.isfinite(array).all():
        raise ValueError("x has NaN or infinite entries; expected finite numbers")
    if array.dtype.kind == "b" and kind not in (".npy", *_HDF5):
        array = array.astype(np.uint8)
    if kind in _NIFTI and (array.dtype.itemsize > 16 or array.dtype in (np.float16, np.longdouble)):
        raise TypeError(f"x has dtype {array.dtype}; {kind} holds integers, float32, float64 and complex numbers")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _spacing(spacing: Any, x: np.ndarray, kind: str) -> tuple[float, ...] | None:
    if spacing is None:
        if kind == ".dcm" and x.ndim == 3 and len(x) > 1:
            raise ValueError("spacing is not given; .dcm of several slices expects that of slices, rows and columns")
        return None
    if kind not in _SPACED:
        raise ValueError(f"spacing is {spacing}; {kind} does not hold one, expected one of {', '.join(_SPACED)}")
    if isinstance(spacing, list | tuple | np.ndarray):
        steps = tuple(check_positive(step, "spacing", "positive numbers") for step in spacing)
    else:
        steps = (check_positive(spacing, "spacing"),) * min(x.ndim, 3)
    if not 2 <= len(steps) <= min(x.ndim, 3) or (kind == ".dcm" and x.ndim == 3 and len(steps) == 2 and len(x) > 1):
        raise ValueError(
            f"spacing has {counted(len(steps), 'number')} for x of shape {x.shape}; expected one for each axis"
        )
    return steps


def _unit(unit: str, kind: str) -> str:
    check_type(unit, "unit", str, "a unit, such as '1/mm'")
    if unit and kind not in _SPACED:
        raise ValueError(f"unit is {unit!r}; {kind} does not hold one, expected one of {', '.join(_SPACED)}")
    return unit


def _window(window: Any, x: np.ndarray, kind: str) -> tuple[float, float] | None:
    if kind != ".png":
        if window is not None:
            raise ValueError(f"window is {window}; {kind} holds the values themselves, expected it for .png only")
        return None
    if x.ndim == 3 and len(x) != 3:
        raise ValueError(f"x has shape {x.shape}; .png holds (rows, columns) or (3, rows, columns)")
    if window is None:
        if x.dtype == np.uint8 or (x.dtype == np.uint16 and x.ndim == 2):
            return None
        raise ValueError(
            f"window is not given; .png holds whole numbers, and x {x.dtype}: expected window=(low, high), which "
            "become black and white, or window='range' for x's own least and largest value"
        )
    if isinstance(window, str) and window == "range":
        low, high = float(x.min()), float(x.max())
        return low, high if high > low else low + 1.0
    if not isinstance(window, list | tuple) or len(window) != 2 or not all(map(np.isfinite, window)):
        raise ValueError(f"window is {window!r}; expected (low, high) or 'range'")
    if not window[0] < window[1]:
        raise ValueError(f"window is {window}; expected (low, high) with low < high")
    return float(window[0]), float(window[1])
