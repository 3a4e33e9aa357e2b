"""Arrays from files: .npy, .npz, HDF5, .mat, .nrrd and TIFF, without pickle, with errors of one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.files import Npz, read_npy
from ipbox.io.checks import Unusable, one_sentence, pick, regular_file
from ipbox.io.formats.mat import read_mat
from ipbox.io.formats.nrrd import read_nrrd
from ipbox.io.formats.tiff import read_tiff
from ipbox.io.hdf5 import datasets
from ipbox.io.hdf5.opened import opened

HDF5 = (".h5", ".hdf5", ".hdf", ".nxs")
TIFF = (".tif", ".tiff")
KINDS = (".npy", ".npz", *HDF5, ".mat", ".nrrd", *TIFF)


def read_sinogram(
    path: str | os.PathLike, dataset: str | None = None, dtype: Any = None, transpose: bool = False, name: str = "path"
) -> np.ndarray:
    """A sinogram from a .npy, .npz, HDF5, .mat, .nrrd or TIFF file.

    Parameters
    ----------
    path : str or path
    dataset : str, optional
        Array of an .npz or .mat file, or HDF5 dataset; needed where the file holds several.
    dtype : float32 or float64, optional
        Convert to it, integers included; without it the file's float32 or float64 is kept.
    transpose : bool
        The file holds (detector pixels, angles), as scikit-image's sinograms.
    name : str
        What errors call the file.

    Returns
    -------
    numpy.ndarray
        Line integrals (angles, detector pixels), finite.

    Raises
    ------
    FileNotFoundError, ValueError
        for a file that is missing, cut short or of another kind, a dataset that is missing or not named where there
        are several, another shape, and NaN or infinite entries.
    TypeError
        for integers or other dtypes where no ``dtype`` is given, and complex data.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> from ipbox.io.arrays import read_sinogram
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "scan.npy", np.zeros((30, 64), dtype="float32"))
    ...     read_sinogram(Path(folder) / "scan.npy").shape
    (30, 64)
    """
    b = read_array(path, dataset, name)
    if b.ndim != 2 or b.size == 0:
        raise ValueError(f"{name} {path} has shape {b.shape}; expected a sinogram (angles, detector pixels)")
    return as_line_integrals(b.T if transpose else b, dtype, f"{name} {path}")


def as_line_integrals(b: np.ndarray, dtype: Any, what: str) -> np.ndarray:
    """Finite real data as float32 or float64; integers, which may be counts, only where ``dtype`` says so.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.io.arrays import as_line_integrals
    >>> as_line_integrals(np.ones((2, 3), dtype=">f4"), None, "b").dtype
    dtype('float32')
    """
    if b.size == 0:
        raise ValueError(f"{what} has shape {b.shape}; expected a sinogram (angles, detector pixels)")
    to = b.dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
    if b.dtype.kind not in "iuf":
        raise TypeError(f"{what} has dtype {b.dtype}; expected line integrals in float32 or float64")
    if to not in (np.float32, np.float64):
        if dtype is not None:
            raise TypeError(f"dtype is {to}; expected float32 or float64")
        raise TypeError(
            f"{what} has dtype {b.dtype}; expected line integrals in float32 or float64 "
            "(dtype=float32 converts them, on the command line --dtype float32)"
        )
    if not np.isfinite(b).all():
        raise ValueError(f"{what} has NaN or infinite entries; expected finite line integrals")
    with np.errstate(over="ignore"):
        b = np.ascontiguousarray(b, dtype=to)
    if not np.isfinite(b).all():
        raise ValueError(f"{what} has entries beyond the range of {to}; expected a wider dtype")
    return b


def read_array(path: str | os.PathLike, dataset: str | None = None, name: str = "path") -> np.ndarray:
    """An array of any shape and dtype from a .npy, .npz, HDF5, .mat, .nrrd or TIFF file; arguments of `read_sinogram`.

    Axes of a .mat file are MATLAB's, those of a .nrrd file come from the slowest to the fastest.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> from ipbox.io.arrays import read_array
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "scan.npz", b=np.zeros((30, 64)), angles=np.arange(30))
    ...     read_array(Path(folder) / "scan.npz", "angles").shape
    (30,)
    """
    path = regular_file(path, KINDS, name)
    kind = path.suffix.lower()
    read = {".npy": _read_npy, ".npz": _read_npz, ".mat": read_mat, ".nrrd": lambda *of: read_nrrd(*of)[0]}
    read |= dict.fromkeys(TIFF, lambda *of: read_tiff(*of)[0]) | dict.fromkeys(HDF5, lambda *of: read_hdf5(*of)[0])
    with one_sentence(path, f"{'HDF5' if kind in HDF5 else kind} file of numbers", name):
        return read[kind](path, dataset)


def _read_npy(path: Path, dataset: str | None) -> np.ndarray:
    if dataset is not None:
        raise Unusable(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    with open(path, "rb") as file:
        return read_npy(file, path.stat().st_size)


def _read_npz(path: Path, dataset: str | None) -> np.ndarray:
    with open(path, "rb") as file:
        arrays = Npz(file)
        return arrays[pick(path, dataset, arrays.names)]


def read_hdf5(path: Path, dataset: str | None) -> tuple[np.ndarray, dict[str, Any]]:
    """A dataset and its attributes; of one whose data are in other files, which HDF5 opens once, none."""
    import h5py

    with opened(path) as file:
        found: list[str] = []
        file.visititems(lambda key, node: found.append(key) if isinstance(node, h5py.Dataset) else None)
        # follows links, which visititems does not
        node: Any = datasets.dataset(file, dataset, path) if dataset else None
        if node is None:
            node = datasets.dataset(file, pick(path, dataset, found), path)
        attributes = {} if node.is_virtual or node.external else dict(node.attrs)
        return datasets.numbers(node, path), attributes
