"""Files the package writes and reads back: all of a file or nothing, no pickle, errors of one sentence."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import secrets
import struct
import sys
import time
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# what NumPy, SciPy, h5py and the others raise on files that are cut short, damaged, encrypted or of another kind
DAMAGED: tuple[type[Exception], ...] = (ValueError, OSError, EOFError, LookupError, RuntimeError, NotImplementedError)
DAMAGED += (
    TypeError,
    AttributeError,
    OverflowError,
    AssertionError,
    MemoryError,
    StopIteration,
    ZeroDivisionError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    SyntaxError,
    tokenize.TokenError,
)

SHARE = 0.015  # of a run's time that goes into its checkpoints; with the first and the last at most 0.02
_PART = 2**20  # bytes that are read at once
_WEEK = 7 * 24 * 3600.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_writing: set[str] = set()  # temporary files of this process


class NotSaved(OSError):
    """A file could not be written; what was to be saved is not lost.

    Attributes
    ----------
    path : Path
    x : array or None
        The iterate, where a solver's state was to be saved.
    k : int or None
        Its iteration.
    state : State or None
        What a solve goes on from: ``ip.solve(problem, solver, state=err.state)``.
    """

    def __init__(self, message: str, path: Path | None = None, number: int | None = None) -> None:
        super().__init__(message)
        self.path, self.errno = path, number
        self.x: Any = None
        self.k: int | None = None
        self.state: Any = None


# ---------------------------------------------------------------- writing


@contextlib.contextmanager
def replacing(path: str | os.PathLike, name: str = "path") -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` at the end: a crash leaves the old file or the new one, never half.

    Threads and processes may write to one path at once; the last one to end wins.  What a killed process left
    unfinished beside the file is removed.

    Raises
    ------
    NotSaved
        with the file's name, where the folder or the disk cannot take it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ipbox.files import replacing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as file:
    ...         _ = file.write(b"all of it")
    ...     [path.name for path in Path(folder).iterdir()]
    ['a.txt']
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name} is {type(path).__name__}; expected the path of a file")
    target = Path(os.path.realpath(path))  # a link stays one
    temporary = _temporary(target)
    _writing.add(temporary.name)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not target.is_file():  # a device or a pipe, which must not be replaced
            raise OSError(errno.EINVAL, "it is no regular file")
        _remove_abandoned(target)
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except NotSaved:
        raise
    except OSError as err:
        raise NotSaved(
            f"{name} is {path}, which cannot be written: {err.strerror or err}", Path(path), err.errno
        ) from err
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)  # there only where something failed
        _writing.discard(temporary.name)


class Pace:
    """When it is time to write again: after ``seconds``, and so that writing takes at most `SHARE` of the time.

    Examples
    --------
    >>> from ipbox.files import Pace
    >>> pace = Pace()
    >>> pace.is_due()
    True
    >>> with pace.writing():
    ...     pass
    >>> pace.seconds
    0.0
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._next = time.monotonic() + seconds  # no clock that anybody sets

    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, it is written; what that takes says when it is due again."""
        start = time.monotonic()
        yield
        end = time.monotonic()
        self._next = end + max(self.seconds, (end - start) * (1 / SHARE - 1))


def check_writable(path: str | os.PathLike, nbytes: int = 0, name: str = "path") -> None:
    """Refuse, before the work, a file that cannot be written after it; it needs ``nbytes`` on the disk.

    Raises
    ------
    NotSaved
    """
    with contextlib.suppress(_Fits), replacing(path, name) as file:
        if nbytes and "posix_fallocate" in vars(os):
            try:
                os.posix_fallocate(file.fileno(), 0, nbytes)
            except OSError as err:
                if err.errno in _FULL:
                    raise
        raise _Fits


class _Fits(Exception):
    """The way out of `replacing` that replaces nothing."""


def _temporary(target: Path) -> Path:
    """A name that tells whose it is: the machine and the process."""
    return target.with_name(f".{target.name[:40]}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files of processes that are gone; of other machines, those that are a week old."""
    ours = re.compile(re.escape(f".{target.name[:40]}.") + r"(?:([0-9a-f]{8})-)?(\d+)(?:-[0-9a-f]{8})?\.tmp")
    with os.scandir(target.parent) as entries:
        for entry in entries:
            match = ours.fullmatch(entry.name)
            if match is None or entry.name in _writing:
                continue
            with contextlib.suppress(OSError):  # another process may be faster
                old = time.time() - entry.stat().st_mtime > _WEEK
                if old if match[1] not in (None, _machine()) else not _alive(int(match[2])):
                    os.unlink(entry.path)


def _alive(pid: int) -> bool:
    """Whether a process may be writing; one with our number was there before us."""
    if pid == os.getpid():
        return False
    if os.name != "posix":  # there a signal of 0 ends the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


# ---------------------------------------------------------------- reading


def read_npy(file: IO[bytes], nbytes: int, empty: Callable[..., np.ndarray] | None = None) -> np.ndarray:
    """The array of a .npy file of ``nbytes`` bytes, all of which it fills; memory is taken after its header is checked.

    It is written to what ``empty`` makes, by default ``np.empty``.

    Raises
    ------
    ValueError, EOFError
        for objects, which would be unpickled, and a header that claims less or more than there is.
    """
    import numpy as np

    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it has version {version} of the format; expected 1.0 or 2.0")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    count = int(np.prod(shape, dtype=object))
    size = count * dtype.itemsize
    if count < 0 or file.tell() + size != nbytes:
        raise ValueError(f"its header claims {shape} of {dtype}, and {nbytes - file.tell()} bytes are there")
    array = (empty or np.empty)((count,), dtype)
    stored = array.view(np.uint8) if size else array
    for at in range(0, size, _PART):
        part = file.read(min(_PART, size - at))
        if len(part) != min(_PART, size - at):
            raise EOFError(f"it ends after {at + len(part)} bytes of data")
        stored[at : at + _PART] = np.frombuffer(part, np.uint8)
    if dtype.kind == "U" and size and array.view(np.dtype("u4").newbyteorder(dtype.byteorder)).max() > sys.maxunicode:
        raise ValueError("it holds text with characters that are none")  # Python ends in a SystemError
    if file.read(1):  # at its end a ZIP's checksum has been compared
        raise ValueError("it goes on after its last byte")
    return array.reshape(shape, order="F" if fortran else "C")


class Npz:
    """The arrays of an .npz file, read when asked for and to their last byte, so that their checksums are compared.

    Examples
    --------
    >>> import io, numpy as np
    >>> from ipbox.files import Npz
    >>> file = io.BytesIO()
    >>> np.savez(file, a=np.arange(3))
    >>> Npz(file)["a"]
    array([0, 1, 2])
    """

    def __init__(self, file: IO[bytes], empty: Callable[..., np.ndarray] | None = None) -> None:
        self._zip, self._empty = zipfile.ZipFile(file), empty
        self.names = [name.removesuffix(".npy") for name in self._zip.namelist()]

    def __getitem__(self, name: str) -> np.ndarray:
        info = self._zip.NameToInfo.get(f"{name}.npy") or self._zip.getinfo(name)
        # deflate packs at most 1032 to one
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name!r} is packed in way {info.compress_type}; expected stored or deflated data")
        if info.file_size > 1040 * info.compress_size + 4096:
            raise ValueError(f"{name!r} has {info.compress_size} bytes and claims {info.file_size}")
        with self._zip.open(info) as file:
            return read_npy(file, info.file_size, self._empty)
