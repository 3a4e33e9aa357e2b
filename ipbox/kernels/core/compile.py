"""Compiling the CPU kernels: two twins from one function, kept on disk, announced when it really happens."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numba
from numba.core import event

from ipbox.kernels.core.threads import parallel_is_safe

# No fastmath: IEEE arithmetic keeps NaN and inf, and makes parallel, serial, vector and remainder code agree
# bit for bit.  Loops over a row vectorise without it, since none of them is a reduction.
OPTIONS = {"error_model": "numpy", "nogil": True}

# Below this many pixels a second thread gains 10 microseconds at best, and costs 200 on a busy machine.
PARALLEL_SIZE = 1 << 15

# A launch that takes longer, about five times the serial twin, was held up.
HELD_UP, HELD_UP_PER_PIXEL = 3e-4, 4e-9  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 50, 1600  # launches


@dataclass(frozen=True)
class Kernel:
    """One function compiled twice: with parallel rows, and serially."""

    parallel: Callable[..., Any]
    serial: Callable[..., Any]

    def twin(self, size: int) -> Callable[..., Any]:
        """The one to call for ``size`` pixels from this thread of this process."""
        return self.parallel if size >= PARALLEL_SIZE and parallel_is_safe() else self.serial

    def run(self, size: int, *args: Any) -> Any:
        """Call the twin for ``size`` pixels; the serial one for a while after a parallel one was held up."""
        if self.twin(size) is self.serial or _busy.skip():
            return self.serial(*args)
        compiled = len(self.parallel.overloads)
        start = time.perf_counter()
        result = self.parallel(*args)
        if len(self.parallel.overloads) == compiled:  # loading or compiling takes its time
            _busy.note(time.perf_counter() - start > HELD_UP + HELD_UP_PER_PIXEL * size)
        return result


class _Busy:
    """Whether other processes take the cores.

    A parallel region ends when its last thread has had its turn: where another process holds a core, that is a time
    slice of the scheduler, many times the work itself.  The twins agree bit for bit, so changing over is harmless.
    After each hold-up in a row the serial twin is used twice as long before the parallel one is tried again.
    """

    def __init__(self) -> None:
        self.left, self.length = 0, FIRST_PAUSE

    def skip(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def note(self, held_up: bool) -> None:
        if held_up:
            self.left, self.length = self.length, min(2 * self.length, LONGEST_PAUSE)
        else:
            self.left, self.length = 0, FIRST_PAUSE


_busy = _Busy()


def twins(function: types.FunctionType) -> Kernel:
    """Compile ``function``, lazily per dtype, with ``prange`` parallel and with ``prange`` a plain range."""
    return Kernel(_compiled(function, parallel=True), _compiled(function, parallel=False))


def _compiled(function: types.FunctionType, parallel: bool) -> Callable[..., Any]:
    # Numba names the cache file after the function, not after its options: each twin needs its own name.
    name = function.__name__ if parallel else function.__name__ + "_serial"
    copy = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__)
    copy.__qualname__, copy.__module__, copy.__doc__ = name, function.__module__, function.__doc__
    dispatcher = numba.njit(parallel=parallel, **OPTIONS)(copy)
    if not numba.config.DISABLE_JIT:
        _enable_cache(dispatcher)
        _ours.add(dispatcher)
    return dispatcher


# ---------------------------------------------------------------- cache on disk


def _enable_cache(dispatcher: Any) -> None:
    """Keep compiled code beside the package or in Numba's user cache, or else in a temporary folder."""
    try:
        dispatcher.enable_caching()
    except RuntimeError as err:  # raised where neither of the two is writable
        if "no locator available" not in str(err):
            raise
        folder = _private_temp_folder()
        if folder is None:
            return  # nothing is writable and private: compiled once per process
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, folder
        try:
            dispatcher.enable_caching()
        finally:
            numba.config.CACHE_DIR = before


def _private_temp_folder() -> str | None:
    """A cache folder of this user alone: cached code is executed, so nobody else may write it."""
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = os.path.join(tempfile.gettempdir(), f"ipbox-kernels-{user}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        info = os.lstat(folder)
    except OSError:
        return None
    if not stat.S_ISDIR(info.st_mode) or not os.access(folder, os.W_OK):
        return None
    if hasattr(os, "getuid") and (info.st_uid != os.getuid() or info.st_mode & 0o022):
        return None
    return folder


# ---------------------------------------------------------------- saying what is compiled

_ours: set[Any] = set()  # the event is global, and other people's kernels are not our business
_silenced: list[None] = []


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Compile without a word."""
    _silenced.append(None)
    try:
        yield
    finally:
        _silenced.pop()


class _Announcer(event.Listener):
    """One line on stderr per kernel and dtype compiled; the event does not fire on a load from cache."""

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if dispatcher in _ours and not _silenced:
            dtype = next(a.dtype for a in event.data["args"] if hasattr(a, "dtype"))
            line = f"ipbox: compiling {dispatcher.__name__} ({dtype}) once, then cached"
            print(line, file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())
