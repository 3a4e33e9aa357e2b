"""What happens to a file while it is written: full disks, folders that cannot be written, ends in the middle."""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import ipbox as ip
from ipbox import files
from ipbox.files import NotSaved

Fault = Callable[[int], Any]  # of the bytes of the file, a context in which it cannot be written

X = np.linspace(0, 1, 3 * 24 * 20).reshape(3, 24, 20)


# ---------------------------------------------------------------- what is written


@dataclass(frozen=True)
class Writer:
    """A file that is written: ``write`` writes it, with other numbers for another ``k``."""

    name: str
    write: Callable[[Path, int], Any]

    def __repr__(self) -> str:
        return self.name


def _saved(path: Path, k: int) -> None:
    spaced = {} if path.suffix in (".npy", ".png") else {"spacing": 2.0}
    window = {"window": (0.0, 1.0 + k)} if path.suffix == ".png" else {}
    x = (X + k).astype("float32")
    ip.save(x, path, **spaced, **window)


def _state(path: Path, k: int) -> None:
    ip.solvers.State(x=X + k, y=[X]).save(path)


def _picture(path: Path, k: int) -> None:
    ip.show(X[0] + k, path=path)


def _parameters(path: Path, k: int) -> None:
    from ipbox.bilevel import GridSearch, Weight, learn

    u = np.repeat([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], 3, axis=0)
    method, bounds = GridSearch(points=2), ([-2.0 - k], [-1.0])
    learn((u, u + 0.1), Weight(ip.SmoothedTV((6,), eps=0.05)), method, bounds=bounds).save(path)


def _weights(path: Path, k: int) -> None:
    import torch

    from ipbox.learned.weights import save_weights

    torch.manual_seed(k)
    save_weights(path, torch.nn.Linear(30, 40), {"trained on": "nothing"})


WRITERS = [
    *(Writer(f"a{end}", _saved) for end in (".npy", ".h5", ".tif", ".png", ".nii", ".nii.gz", ".dcm", ".mrc")),
    Writer("state.npz", _state),
    Writer("parameters.npz", _parameters),
    Writer("weights.safetensors", _weights),
    Writer("figure.png", _picture),
]


# ---------------------------------------------------------------- what goes wrong


@contextlib.contextmanager
def full_after(nbytes: int) -> Iterator[None]:
    """No file may be longer: to a program, as a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def _failing(of: Any, name: str, number: int) -> Any:
    def fail(*args: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    return mock.patch.object(of, name, fail, create=True)


def full_at(fraction: float) -> Fault:
    """A disk that is full when that part of the file is on it."""
    return lambda nbytes: full_after(int(fraction * (nbytes - 1)))


def full_at_the_end(nbytes: int) -> Any:
    """The disk says so when all is to be on it."""
    return _failing(os, "fsync", errno.ENOSPC)


def read_only(nbytes: int) -> Any:
    """Nothing can be made in the folder."""
    whole = builtins.open

    def fail(path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if "r" in mode and "+" not in mode:
            return whole(path, mode, *args, **options)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    return mock.patch.object(files, "open", fail, create=True)


def unreplaceable(nbytes: int) -> Any:
    """The old file cannot be replaced."""
    return _failing(os, "replace", errno.EIO)


FAULTS: dict[str, Fault] = {
    "full": full_at(0.4),
    "full at the end": full_at_the_end,
    "read-only": read_only,
    "input/output": unreplaceable,
}


def refused(writer: Writer, folder: Path, fault: Fault) -> str | None:
    """What is wrong about how a fault is met; None where the old file is there, alone, and the error names it."""
    path = folder / writer.name
    path.unlink(missing_ok=True)
    writer.write(path, 0)
    before = path.read_bytes()
    try:
        with fault(len(before)):
            writer.write(path, 1)
    except NotSaved as err:
        if str(path) not in str(err) or "\n" in str(err) or err.path != path:
            return f"{writer} says {err}"
    except BaseException as err:
        return f"{writer} raises {type(err).__name__}: {err}"
    else:
        return f"{writer} says nothing"
    if path.read_bytes() != before:
        return f"{writer} has lost the file"
    left = [one.name for one in folder.iterdir() if one != path]
    return f"{writer} leaves {left}" if left else None
