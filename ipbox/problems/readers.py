"""Reading measured data from files: .npy, .npz and HDF5, without pickle, with errors of one line."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

HDF5 = (".h5", ".hdf5", ".hdf", ".nxs")
KINDS = (".npy", ".npz", *HDF5)

# what NumPy and h5py raise on files that are cut short, damaged, encrypted or of another kind
_DAMAGED = (ValueError, OSError, EOFError, KeyError, RuntimeError, NotImplementedError)
_DAMAGED += (zipfile.BadZipFile, zlib.error, struct.error, SyntaxError, tokenize.TokenError)


def read_sinogram(
    path: str | os.PathLike,
    dataset: str | None = None,
    dtype: Any = None,
    transpose: bool = False,
    name: str = "path",
) -> np.ndarray:
    """A sinogram from a .npy, .npz or HDF5 file.

    Parameters
    ----------
    path : str or path
    dataset : str, optional
        Array of an .npz file, or HDF5 dataset; needed where the file holds several.
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
    >>> from ipbox.problems.readers import read_sinogram
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "scan.npy", np.zeros((30, 64), dtype="float32"))
    ...     read_sinogram(Path(folder) / "scan.npy").shape
    (30, 64)
    """
    b = read_array(path, dataset, name)
    if b.ndim != 2 or b.size == 0:
        raise ValueError(f"{name} {path} has shape {b.shape}; expected a sinogram (angles, detector pixels)")
    to = b.dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
    if b.dtype.kind not in "iuf":
        raise TypeError(f"{name} {path} has dtype {b.dtype}; expected line integrals in float32 or float64")
    if to not in (np.float32, np.float64):
        if dtype is not None:
            raise TypeError(f"dtype is {to}; expected float32 or float64")
        raise TypeError(
            f"{name} {path} has dtype {b.dtype}; expected line integrals in float32 or float64 "
            f"(dtype=float32 converts them)"
        )
    if not np.isfinite(b).all():
        raise ValueError(f"{name} {path} has NaN or infinite entries; expected finite line integrals")
    with np.errstate(over="ignore"):
        b = np.ascontiguousarray(b.T if transpose else b, dtype=to)
    if not np.isfinite(b).all():
        raise ValueError(f"{name} {path} has entries beyond the range of {to}; expected a wider dtype")
    return b


def read_array(path: str | os.PathLike, dataset: str | None = None, name: str = "path") -> np.ndarray:
    """An array of any shape and dtype from a .npy, .npz or HDF5 file; the arguments are those of `read_sinogram`.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> from ipbox.problems.readers import read_array
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "scan.npz", b=np.zeros((30, 64)), angles=np.arange(30))
    ...     read_array(Path(folder) / "scan.npz", "angles").shape
    (30,)
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{name} is {path}, a folder; expected a file that ends in {', '.join(KINDS)}")
    if not path.is_file():
        raise FileNotFoundError(f"{name} is {path}; there is no such file")
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise ValueError(f"{name} is {path}; expected a file that ends in {', '.join(KINDS)}")
    if kind == ".npy":
        if dataset is not None:
            raise ValueError(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
        read = _read_npy
    else:
        read = _read_npz if kind == ".npz" else _read_hdf5
    try:
        return read(path, dataset)
    except _Unusable as err:
        raise ValueError(str(err)) from None
    except MemoryError as err:
        raise ValueError(f"{name} {path} asks for more memory than there is ({_one_line(err)})") from err
    except _DAMAGED as err:
        what = "HDF5" if kind in HDF5 else kind
        raise ValueError(
            f"{name} is {path}, which is not a complete {what} file of numbers ({_one_line(err)})"
        ) from err


class _Unusable(Exception):
    """The file is sound, but which of its arrays is meant is not."""


def _read_npy(path: Path, dataset: None) -> np.ndarray:
    with open(path, "rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_npz(path: Path, dataset: str | None) -> np.ndarray:
    with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
        key = _pick(path, dataset, list(arrays.files))
        if not isinstance(arrays[key], np.ndarray):
            raise _Unusable(f"dataset is {key!r}; that of {path} is no array")
        return arrays[key]


def _read_hdf5(path: Path, dataset: str | None) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        found: list[str] = []
        file.visititems(lambda key, node: found.append(key) if isinstance(node, h5py.Dataset) else None)
        node = file.get(dataset) if dataset else None  # follows links, which visititems does not
        if not isinstance(node, h5py.Dataset):
            node = file[_pick(path, dataset, found)]
        if node.shape is None or node.dtype.hasobject:
            raise _Unusable(f"dataset is {node.name!r}; that of {path} holds no array of numbers")
        return np.asarray(node[()])


def _pick(path: Path, dataset: str | None, found: list[str]) -> str:
    """The array that is asked for, or the only one there is."""
    names = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
    if dataset is None:
        if len(found) != 1:
            raise _Unusable(f"dataset is not given; {path} holds {len(found)} arrays ({names}), expected one's name")
        return found[0]
    if dataset not in found:
        raise _Unusable(f"dataset is {dataset!r}; {path} holds {names or 'no array'}")
    return dataset


def _one_line(err: BaseException) -> str:
    return " ".join(str(err).split())[:120] or type(err).__name__
