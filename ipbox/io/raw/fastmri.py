"""fastMRI files: HDF5 with k-space, its reference reconstruction and an ISMRMRD header; read slice by slice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.checks import is_integer
from ipbox.io.checks import Unusable, one_sentence, regular_file
from ipbox.io.hdf5 import datasets
from ipbox.io.hdf5.opened import opened
from ipbox.io.raw.kspace import Encoding, KSpace, encodings
from ipbox.keywords import answering

SUFFIXES = (".h5", ".hdf5")
_TARGETS = ("reconstruction_rss", "reconstruction_esc")


@answering
def read_fastmri(
    path: str | os.PathLike, slices: int | slice | Sequence[int] | None = None, name: str = "path"
) -> KSpace:
    """k-space of a file of the fastMRI data sets; only the slices that are asked for are read.

    Parameters
    ----------
    path : str or path
        HDF5 with ``kspace`` (slices, coils, ny, nx) or, for a single coil, (slices, ny, nx), and where there are
        ``reconstruction_rss`` or ``reconstruction_esc``, ``mask`` and ``ismrmrd_header``.
    slices : int, slice or sequence of int, optional
        Which slices; all by default.  The axis of slices stays.
    name : str
        What errors call the file.

    Returns
    -------
    KSpace
        With the image of a coil ``fftshift(ifft2(ifftshift(k), norm="ortho"))``, twice the field of view along y in
        fastMRI's own files (`ipbox.io.raw.kspace.centre_crop` gives the target's part).  ``about`` has the
        file's attributes (``acquisition``, ``max``, ``norm``, ``patient_id``, ...), ``target`` (the target's name),
        ``slices`` (those read) and ``count`` (those there are).

    Raises
    ------
    FileNotFoundError, ValueError
        for a file that is missing, cut short or of another kind, no k-space, shapes that do not fit, NaN or infinite
        entries, slices that do not exist.

    References
    ----------
    Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839, 2018.

    Examples
    --------
    >>> import h5py, numpy as np, tempfile, ipbox as ip
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(Path(folder) / "file1.h5", "w") as file:
    ...         file["kspace"] = np.ones((3, 8, 6), dtype="complex64")
    ...     ip.read_fastmri(Path(folder) / "file1.h5", slices=[0, 2]).kspace.shape
    (2, 8, 6)
    """
    path = regular_file(path, SUFFIXES, name)
    with one_sentence(path, "fastMRI file", name), opened(path) as file:
        stored = _kspace(file, path)
        wanted = _wanted(slices, stored.shape[0], path)
        kspace = _finite(stored[wanted], np.complex64, "kspace", path)
        target, target_name = _target(file, stored.shape[0], wanted, path)
        mask = _mask(file, stored.shape, len(wanted), path)
        about = {key: _plain(value) for key, value in file.attrs.items()}
        about |= {"target": target_name, "slices": tuple(wanted), "count": stored.shape[0]}
        return KSpace(kspace, mask, target, _encoding(file), about)


def read_shape(path: Path, name: str = "path") -> tuple[tuple[int, ...], dict[str, Any]]:
    """Shape of the k-space and attributes of a fastMRI file, without reading its data."""
    path = regular_file(path, SUFFIXES, name)
    with one_sentence(path, "fastMRI file", name), opened(path) as file:
        return _kspace(file, path).shape, {key: _plain(value) for key, value in file.attrs.items()}


def _kspace(file: Any, path: Path) -> Any:
    stored = datasets.dataset(file, "kspace", path)
    if stored is None:
        raise Unusable(f"{path} has no dataset kspace (it has {', '.join(file) or 'none'}); expected a fastMRI file")
    if stored.dtype.kind != "c":
        raise Unusable(f"kspace of {path} has dtype {stored.dtype}; expected complex64")
    if stored.ndim not in (3, 4) or 0 in stored.shape:
        raise Unusable(
            f"kspace of {path} has shape {stored.shape}; expected (slices, ny, nx) or (slices, coils, ny, nx)"
        )
    return stored


def _wanted(slices: int | slice | Sequence[int] | None, count: int, path: Path) -> list[int]:
    """Increasing indices of slices, as h5py takes them."""
    if slices is None or isinstance(slices, slice):
        wanted = list(range(count))[slices or slice(None)]
    else:
        given: Any = slices
        wanted = list(given) if np.iterable(given) else [given]
    if not wanted or any(not is_integer(k) or not 0 <= k < count for k in wanted):
        raise Unusable(f"slices is {slices!r}; {path} has slices 0 to {count - 1}")
    if sorted(set(wanted)) != wanted:
        raise Unusable(f"slices is {slices!r}; expected each slice once, in increasing order")
    return [int(k) for k in wanted]


def _target(file: Any, count: int, wanted: list[int], path: Path) -> tuple[np.ndarray | None, str | None]:
    for key in _TARGETS:
        if key in file:
            stored = datasets.dataset(file, key, path)
            if stored is None:
                continue
            if stored.ndim != 3 or stored.shape[0] != count or stored.dtype.kind != "f":
                raise Unusable(
                    f"{key} of {path} has shape {stored.shape} and dtype {stored.dtype}; expected {count} real images"
                )
            return _finite(stored[wanted], np.float32, key, path), key
    return None, None


def _mask(file: Any, shape: tuple[int, ...], count: int, path: Path) -> np.ndarray | None:
    """fastMRI's mask of columns, for each slice: a view of nx numbers."""
    if "mask" not in file:
        return None
    stored = np.asarray(file["mask"])
    if stored.shape != shape[-1:] or not np.isin(stored, (0, 1)).all():
        raise Unusable(f"mask of {path} has shape {stored.shape}; expected {shape[-1]} zeros and ones, one a column")
    return np.broadcast_to(stored.astype(bool), (count, *shape[-2:]))


def _finite(values: np.ndarray, dtype: type, what: str, path: Path) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = values.astype(dtype, copy=False)
    if not np.isfinite(values).all():
        raise Unusable(f"{what} of {path} has NaN or infinite entries; expected finite numbers")
    return values


def _encoding(file: Any) -> Encoding | None:
    if "ismrmrd_header" not in file:
        return None
    return encodings(file["ismrmrd_header"][()])[0]


def _plain(value: Any) -> Any:
    """Attributes as Python's own kinds."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value
