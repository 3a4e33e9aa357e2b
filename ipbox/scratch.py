"""Arrays on a disk, for what does not fit into memory.

While a `Scratch` is in use, `zeros` and `copied` make NumPy arrays that are files, mapped into memory: the system keeps
them there as far as there is room, and reads and writes what is touched.  Nothing else is different, so that one code
serves both.  The files have no names: they are gone with the last array in them, however the process ends.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.backend import Array, is_device
from ipbox.files import NotSaved

SMALL = 1 << 16  # bytes below which arrays stay in memory
_used: ContextVar[Scratch | None] = ContextVar("scratch", default=None)


class Scratch:
    """A folder in whose disk's free space arrays are kept.

    Parameters
    ----------
    folder : path, optional
        By default that for temporary files, or /var/tmp where that one is in memory.

    Raises
    ------
    TypeError, ValueError, NotSaved
        where it is no path, or an empty one, or nothing can be written there, or is but kept in memory (tmpfs).

    Examples
    --------
    >>> from ipbox import scratch
    >>> with scratch.Scratch().use():
    ...     x = scratch.zeros((200, 100), "float32")
    >>> x += 1
    >>> type(x).__name__, float(x.sum()), x.flags.owndata
    ('ndarray', 20000.0, False)
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is None:
            usual = tempfile.gettempdir()
            folder = "/var/tmp" if _is_in_memory(usual) and os.access("/var/tmp", os.W_OK) else usual
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"scratch is {type(folder).__name__}; expected the path of a folder")
        if not os.fspath(folder):  # of a variable that is not set: the working directory is not meant
            raise ValueError(f"scratch is {folder!r}; expected the path of a folder")
        self.folder = Path(folder)
        with self._file():
            pass
        if _is_in_memory(folder):
            raise NotSaved(f"scratch is {folder}, which is kept in memory; expected a folder on a disk", self.folder)

    def __repr__(self) -> str:
        return f"Scratch: {self.folder}, {self.free / 2**30:.1f} GiB free"

    @property
    def free(self) -> int:
        """Bytes that can be had."""
        return shutil.disk_usage(self.folder).free

    def check_free(self, nbytes: int) -> None:
        """Refuse a disk with less space.

        Raises
        ------
        NotSaved
        """
        free = self.free
        if nbytes > free:
            needed = f"expected a folder with {nbytes / 2**30:.3g} GiB"
            raise NotSaved(f"scratch is {self.folder}, where {free / 2**30:.3g} GiB are free; {needed}", self.folder)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array of zeros in a file, whose space on the disk is taken at once.

        Raises
        ------
        NotSaved
            where there is too little.
        """
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < SMALL:
            return np.zeros(shape, dtype)
        with self._file() as file:
            if "posix_fallocate" in vars(os):  # else a full disk would end the process where it writes
                os.posix_fallocate(file.fileno(), 0, nbytes)
            else:
                file.truncate(nbytes)
            return np.frombuffer(mmap.mmap(file.fileno(), nbytes), dtype).reshape(shape)

    @contextlib.contextmanager
    def _file(self) -> Iterator[Any]:
        try:
            with tempfile.TemporaryFile(prefix="ipbox-", dir=self.folder) as file:
                yield file
        except OSError as err:
            reason = f"scratch is {self.folder}, where nothing can be written: {err.strerror or err}"
            raise NotSaved(reason, self.folder, err.errno) from err

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Let `zeros` and `copied` make arrays here, in this thread."""
        token = _used.set(self)
        try:
            yield
        finally:
            _used.reset(token)


def zeros(shape: tuple[int, ...], dtype: Any, xp: Any = np) -> Array:
    """``xp.zeros``; for NumPy, where a scratch is in use, in a file of it."""
    used = _used.get()
    return xp.zeros(shape, dtype=dtype) if used is None or xp is not np else used.zeros(tuple(shape), dtype)


def copied(x: Array) -> Array:
    """``x.copy()``, made as `zeros` are."""
    if _used.get() is None or is_device(x):
        return x.copy()
    copy = zeros(x.shape, x.dtype)
    copy[...] = x
    return copy


def _is_in_memory(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder's files are kept in memory; where the system does not say, they are not."""
    try:
        device, mounts = os.stat(folder).st_dev, Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.partition(" - ")[2].split()[0] for line in mounts if line.split()[2] == number]
    return any(kind in ("tmpfs", "ramfs") for kind in kinds)
