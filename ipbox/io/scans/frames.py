"""Frames of a detector on disk, (frames, rows, columns): what is indexed is read, and nothing else."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.checks import is_integer, shown
from ipbox.io.checks import Unusable, one_sentence
from ipbox.io.hdf5 import datasets
from ipbox.io.hdf5.opened import opened

_KINDS = "iuf"


class Frames(ABC):
    """Frames (frames, rows, columns); ``frames[k, rows, columns]`` reads that part, as an array of NumPy would give it.

    Attributes
    ----------
    shape : (int, int, int)
        Frames, rows, columns.
    dtype : numpy.dtype
        As stored, in native byte order.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        views, rows, columns = map(int, shape)
        self.shape = views, rows, columns
        self.dtype = np.dtype(dtype).newbyteorder("=")

    ndim = 3

    @abstractmethod
    def _read(self, frames: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """Frames of ascending or other numbers, parts of their rows and columns."""

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.shape} {self.dtype}"

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > 3 or any(k is Ellipsis or k is None for k in keys):
            raise IndexError(f"index is {shown(key)}; expected one of frames, of rows and of columns")
        keys += (slice(None),) * (3 - len(keys))
        frames = self.numbers(keys[0])
        rows, columns = (_part(k, n) for k, n in zip(keys[1:], self.shape[1:], strict=True))
        found = self._read(frames, rows, columns).astype(self.dtype, copy=False)
        return found[tuple(0 if is_integer(k) else slice(None) for k in keys)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def numbers(self, which: Any) -> np.ndarray:
        """The numbers of frames that an index, a slice or a sequence of indices means."""
        count = self.shape[0]
        if isinstance(which, slice):
            return np.arange(count)[which]
        found = np.atleast_1d(np.asarray(which))
        if found.dtype == bool and found.shape == (count,):
            return np.flatnonzero(found)
        if found.ndim != 1 or found.dtype.kind not in "iu" or ((found < -count) | (found >= count)).any():
            raise IndexError(f"frames is {shown(which)}; expected indices of {count} frames")
        return np.where(found < 0, found + count, found)

    def part(self, frames: Any = None, rows: slice | None = None, columns: slice | None = None) -> Frames:
        """Some of the frames, and a part of their rows and columns, still on disk."""
        numbers = np.arange(len(self)) if frames is None else self.numbers(frames)
        limits = (_part(k or slice(None), n) for k, n in zip((rows, columns), self.shape[1:], strict=True))
        return PartOfFrames(self, numbers, *limits)


def _part(key: Any, n: int) -> slice:
    """A slice that goes forward, its ends within n."""
    if is_integer(key) and -n <= key < n:
        return slice(int(key) % n, int(key) % n + 1, 1)
    if not isinstance(key, slice) or (key.step is not None and key.step < 1):
        raise IndexError(f"index is {shown(key)}; expected a number within {n}, or a slice that goes forward")
    return slice(*key.indices(n))


class HeldFrames(Frames):
    """Frames of an array."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array.shape, array.dtype)
        self._array = array

    def _read(self, frames: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        return self._array[frames][:, rows, columns]


class PartOfFrames(Frames):
    """A part of other frames."""

    def __init__(self, whole: Frames, numbers: np.ndarray, rows: slice, columns: slice) -> None:
        shape = (len(numbers), *(len(range(s.start, s.stop, s.step)) for s in (rows, columns)))
        super().__init__(shape, whole.dtype)
        self._whole, self._numbers, self._rows, self._columns = whole, numbers, rows, columns

    def _read(self, frames: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        inner = (_inner(of, part) for of, part in ((self._rows, rows), (self._columns, columns)))
        return self._whole._read(self._numbers[frames], *inner)


def _inner(of: slice, part: slice) -> slice:
    """A part of a part."""
    found = range(of.start, of.stop, of.step)[part]
    return slice(found.start, found.stop, found.step)


class Hdf5Frames(Frames):
    """Frames of an HDF5 dataset, which is opened for each reading; all of it has been written."""

    def __init__(self, path: Path, node: Any) -> None:
        if node.shape is None or node.ndim != 3 or 0 in node.shape or node.dtype.kind not in _KINDS:
            told = f"shape {node.shape} and dtype {node.dtype}"
            raise Unusable(f"{node.name} of {path} has {told}; expected real frames (frames, rows, columns)")
        _check_written(path, node)
        super().__init__(node.shape, node.dtype)
        self._path, self._name = path, node.name

    def _read(self, frames: np.ndarray, rows: slice, columns: slice) -> np.ndarray:

        with one_sentence(self._path, "HDF5 file of a scan"), opened(self._path) as file:
            node = datasets.dataset(file, self._name, self._path)
            if node is None or node.shape != self.shape:
                raise Unusable(f"{self._name} of {self._path} has changed since the scan was opened")
            parts = [node[run, rows, columns] for run in _runs(frames)]
        return np.concatenate(parts) if len(parts) != 1 else parts[0]


def _check_written(path: Path, node: Any) -> None:
    """HDF5 reads zeros where a scan that ended early has written nothing."""
    if node.chunks is None or node.is_virtual:
        return
    there = node.id.get_num_chunks()
    expected = int(np.prod([-(-n // c) for n, c in zip(node.shape, node.chunks, strict=True)]))
    if there < expected:
        raise Unusable(
            f"{node.name} of {path} holds {there} of its {expected} chunks; expected a scan that was written to its end"
        )


def _runs(numbers: np.ndarray) -> list[slice]:
    """Numbers as slices that go forward with one step each."""
    if not numbers.size:
        return [slice(0, 0)]
    steps = np.unique(np.diff(numbers))
    if steps.size == 0 or (steps.size == 1 and steps[0] > 0):
        return [slice(int(numbers[0]), int(numbers[-1]) + 1, int(steps[0]) if steps.size else 1)]
    ends = np.flatnonzero(np.diff(numbers) != 1) + 1
    return [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(numbers, ends)]


@dataclass(frozen=True)
class Place:
    """Where in a file a frame is, uncompressed; or of a TIFF its page, where ``offset`` is None."""

    path: Path
    offset: int | None
    page: int = 0


class PlacedFrames(Frames):
    """Frames that lie in one or more files, each in one piece that is mapped into memory, or on a page of a TIFF."""

    def __init__(self, places: Sequence[Place], shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__((len(places), *shape), dtype)
        self._places, self._stored = tuple(places), np.dtype(dtype)

    def _read(self, frames: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        part = (len(range(of.start, of.stop, of.step)) for of in (rows, columns))
        out = np.empty((len(frames), *part), dtype=self.dtype)
        k = 0
        for path, run in itertools.groupby((self._places[number] for number in frames), lambda place: place.path):
            with one_sentence(path, "file of frames"):
                for frame in self._of_file(path, list(run)):
                    if frame.shape != self.shape[1:]:
                        raise Unusable(f"{path} has changed since the scan was opened")
                    out[k] = frame[rows, columns]
                    k += 1
        return out

    def _of_file(self, path: Path, places: list[Place]) -> Iterator[np.ndarray]:
        if places[0].offset is None:
            from ipbox.io.formats.tiff import read_pages

            return read_pages(path, [place.page for place in places])
        return (np.memmap(path, self._stored, "r", place.offset, self.shape[1:]) for place in places)
