"""What the readers share: checks of a path, errors of one line, a bound on what a header may claim."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from ipbox.checks import check_type
from ipbox.files import DAMAGED

# Deflate packs at most about 1000 to one, images seldom 10 to one: a header that claims more is damaged, or made to
# exhaust the memory.
_RATIO, _SLACK = 2000, 2**24


class Unusable(Exception):
    """The file is sound, but not what was asked for; the message is the whole sentence."""


def regular_file(path: str | os.PathLike, kinds: Sequence[str], name: str = "path") -> Path:
    """``path`` as a Path, after a check that it is a file that ends in one of ``kinds``.

    Raises
    ------
    FileNotFoundError, ValueError
        for a file that does not exist, a folder, another ending.
    """
    check_type(name, "name", str, "text")
    path = Path(check_type(path, name, str | os.PathLike, "the path of a file"))
    if path.is_dir():
        raise ValueError(f"{name} is {path}, a folder; expected a file that ends in {', '.join(kinds)}")
    if not path.is_file():
        raise FileNotFoundError(f"{name} is {path}; there is no such file")
    if not path.name.lower().endswith(tuple(kinds)):
        raise ValueError(f"{name} is {path}; expected a file that ends in {', '.join(kinds)}")
    return path


def folder(path: str | os.PathLike, name: str = "root") -> Path:
    """``path`` as a Path, after a check that it is a folder."""
    check_type(name, "name", str, "text")
    path = Path(check_type(path, name, str | os.PathLike, "the path of a folder"))
    if not path.exists():
        raise FileNotFoundError(f"{name} is {path}; there is no such folder")
    if not path.is_dir():
        raise ValueError(f"{name} is {path}, a file; expected a folder")
    return path


class Bounded(io.BufferedReader):
    """A file of which nobody gets more than is left: a length that is damaged takes no memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(os.fspath(path)))
        self._nbytes = path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(-1 if size is None or size < 0 else min(size, max(0, self._nbytes - self.tell())))


@contextlib.contextmanager
def one_sentence(path: Path, what: str, name: str = "path") -> Iterator[None]:
    """Whatever goes wrong inside with the file ``path`` becomes a ValueError of one sentence."""
    try:
        yield
    except Unusable as err:
        raise ValueError(str(err)) from None
    except MemoryError as err:
        raise ValueError(f"{name} {path} asks for more memory than there is ({one_line(err)})") from err
    except DAMAGED as err:
        raise ValueError(f"{name} is {path}, which is not a complete {what} ({one_line(err)})") from err


@contextlib.contextmanager
def io_extra(what: str) -> Iterator[None]:
    """Import inside what only the extra ``io`` installs."""
    try:
        yield
    except ImportError as err:
        raise ImportError(f"{what} needs {err.name}, which is not installed: pip install 'ipbox[io]'") from err


def check_claim(nbytes: int, path: Path, size: int | None = None, ratio: int = _RATIO) -> None:
    """Refuse a header that claims far more data than a file of that size can hold, before memory is taken."""
    size = path.stat().st_size if size is None else size
    if nbytes < 0 or nbytes > ratio * size + _SLACK:
        raise Unusable(f"{path} has {size} bytes and claims {nbytes} bytes of data; expected a complete file")


def read_exactly(file: IO[bytes], nbytes: int) -> bytes:
    """``nbytes`` bytes, the last ones of ``file``; of a compressed file, reading to its end checks the checksum."""
    data = file.read(nbytes)
    if len(data) != nbytes:
        raise EOFError(f"expected {nbytes} bytes of data, found {len(data)}")
    if file.read(1):
        raise ValueError(f"expected {nbytes} bytes of data, found more")
    return data


def pick(path: Path, dataset: str | None, found: Sequence[str]) -> str:
    """The array that is asked for, or the only one there is."""
    names = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
    if dataset is None:
        if len(found) != 1:
            raise Unusable(f"dataset is not given; {path} holds {len(found)} arrays ({names}), expected one's name")
        return found[0]
    if dataset not in found:
        raise Unusable(f"dataset is {dataset!r}; {path} holds {names or 'no array'}")
    return dataset


def one_line(err: object) -> str:
    return " ".join(str(err).split())[:120] or type(err).__name__
