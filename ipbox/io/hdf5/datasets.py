"""Datasets of HDF5 files, also where their data lie beside the file; what HDF5 would fill with zeros is refused."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, check_claim
from ipbox.io.hdf5.opened import opened

_PAIRS = {("r", "i"), ("real", "imag"), ("re", "im")}  # how complex numbers are written as compounds


def dataset(file: Any, name: str, path: Path) -> Any | None:
    """The dataset called ``name``, checked by `check_dataset`; None where that is none.

    Raw data beside the file are looked for there, as HDF5's own tools do with the prefix ``${ORIGIN}``; HDF5 alone
    looks in the working directory.
    """
    import h5py

    node, link = file.get(name), file.get(name, getlink=True)
    if not isinstance(node, h5py.Dataset):
        if isinstance(link, h5py.ExternalLink) and _find(link.filename, path) is None:
            raise Unusable(f"{name} of {path} has its data in {link.filename}; there is no such file")
        return None
    if not node.is_virtual and node.external:
        home = Path(node.file.filename)
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        for folder in (home.parent.absolute(), Path(os.path.realpath(home)).parent):
            if all((folder / part).is_file() for part, *_ in node.external):
                access.set_efile_prefix(os.fsencode(folder))
                break
        del node  # one that is open keeps its prefix
        node = h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))
    check_dataset(node, path)
    return node


def check_dataset(node: Any, path: Path) -> None:
    """`check_claim` for a dataset; what a link leads to, external files and the sources of a virtual dataset count.

    Raises
    ------
    Unusable
        also for a source that is missing or too small, which HDF5 would read as zeros, and for a missing filter.
    """
    import h5py

    if node.shape is None:
        return
    check_claim(node.nbytes, path, _stored(node, path))
    made = node.id.get_create_plist()
    for k in range(made.get_nfilters()):
        code, _, _, what = made.get_filter(k)
        if not h5py.h5z.filter_avail(code):
            raise Unusable(
                f"{node.name} of {path} is packed by filter {code} ({what.decode('ascii', 'replace')}), which is not "
                "installed; expected one of HDF5's own, or the package hdf5plugin imported before"
            )


def numbers(node: Any, path: Path) -> np.ndarray:
    """The array of a dataset; pairs of real and imaginary parts as complex numbers."""
    if node.shape is None or node.dtype.hasobject:
        raise Unusable(f"dataset is {node.name!r}; that of {path} holds no array of numbers")
    return as_complex(np.asarray(node[()]))


def as_complex(array: np.ndarray) -> np.ndarray:
    """Pairs of real and imaginary parts as complex numbers; other arrays as they are."""
    names = array.dtype.names
    if names not in _PAIRS:
        return array
    real, imag = (array[name] for name in names)
    out = np.empty(array.shape, dtype=np.result_type(real, imag, np.complex64))
    out.real, out.imag = real, imag
    return out


def _stored(node: Any, path: Path) -> int:
    """Bytes of the files that hold the dataset."""
    here = Path(node.file.filename)
    size = here.stat().st_size
    if node.is_virtual:  # of those, HDF5 does not answer what is external
        return size + sum(_source(source, here, node, path) for source in _unlike(node.virtual_sources()))
    return size + (_beside(node, here, path) if node.external else 0)


def _unlike(sources: list[Any]) -> list[Any]:
    """One for each file, dataset and part of it."""
    return list({(source.file_name, source.dset_name, _last(source.src_space)): source for source in sources}.values())


def _last(space: Any) -> tuple[int, ...] | None:
    """The last entry that is taken; None where it is all, or as many as there are."""
    import h5py

    with contextlib.suppress(RuntimeError):
        if space.get_select_type() == h5py.h5s.SEL_HYPERSLABS:
            return tuple(int(k) for k in space.get_select_bounds()[1])
    return None


def _taken(source: Any) -> int:
    """So many entries are taken of a source; 0 where the number grows with the files."""
    with contextlib.suppress(RuntimeError):
        return source.vspace.get_select_npoints()
    return 0


def _source(source: Any, here: Path, node: Any, path: Path) -> int:
    """Bytes of the files of one source of a virtual dataset, which must hold what is taken of it."""
    import h5py

    name, inside = (text.replace("%b", "0").replace("%%", "%") for text in (source.file_name, source.dset_name))
    file = here if name == "." else _find(name, here)
    if file is None:
        raise Unusable(f"{node.name} of {path} has its data in {here.parent / name}; there is no such file")
    with opened(file) as home:
        part = home.get(inside)
        if not isinstance(part, h5py.Dataset):
            raise Unusable(f"{node.name} of {path} has its data in {file}, which has no dataset {inside}")
        least = tuple(k + 1 for k in _last(source.src_space) or ())
        if any(n < m for n, m in zip(part.shape, least, strict=False)) or part.size < _taken(source):
            raise Unusable(
                f"{node.name} of {path} has its data in {file}, whose {inside} has shape {part.shape}; expected "
                f"{least or f'{_taken(source)} entries'}"
            )
        return _stored(part, path)


def _beside(node: Any, here: Path, path: Path) -> int:
    """Bytes of the raw files that hold the dataset, which must be there to the last one."""
    left, size = node.nbytes, 0
    for name, offset, most in node.external:
        file = _find(name, here)
        if file is None:
            raise Unusable(f"{node.name} of {path} has its data in {here.parent / name}; there is no such file")
        part, there = min(left, most), file.stat().st_size
        if there < offset + part:
            raise Unusable(
                f"{node.name} of {path} has its data in {file}, which has {there} bytes; expected {offset + part}"
            )
        left, size = left - part, size + there
    return size


def _find(name: str, here: Path) -> Path | None:
    """A file that another one names: beside it (also where a link leads), by its whole path, in the working folder."""
    folders = (here.parent, Path(os.path.realpath(here)).parent, Path.cwd())
    tried = [folder / name for folder in folders] + [here.parent / Path(name).name]
    return next((file for file in tried if file.is_file()), None)
