"""Compiling the CPU kernels: two twins from one function, kept on disk, announced when it really happens."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
from numba.core import event

from ipbox.parallel import cpu_threads, short_spins


def _choose_layer() -> None:
    """Prefer ``omp`` at the first parallel launch, and load it with a short spin; the user's settings win.

    Numba's ``workqueue`` layer aborts the process when two threads launch parallel code at once; ``omp`` allows that,
    but GNU OpenMP kills a forked child that runs parallel code after its parent did.  So ``omp`` comes first, and the
    serial twins run wherever a parallel region would be unsafe or useless: in worker threads and in forked children.
    """
    if "NUMBA_THREADING_LAYER" in os.environ or "NUMBA_THREADING_LAYER_PRIORITY" in os.environ:
        return
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    with short_spins():
        try:
            from numba.np.ufunc import omppool  # noqa: F401
        except ImportError:
            pass  # no OpenMP here: Numba takes the next layer of the list


_choose_layer()

# No fastmath: IEEE arithmetic keeps NaN and inf, and makes parallel, serial, vector and remainder code agree
# bit for bit.  Loops over a row vectorise without it, since none of them is a reduction.
OPTIONS = {"error_model": "numpy", "nogil": True}

# Numba's cache looks at a kernel's own file only: what kernels call elsewhere is told by the name they are kept under.
_called = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("rows.py", "lanes.py"))
HELPERS = hashlib.blake2b(_called, digest_size=4).hexdigest()

POSIX = os.name == "posix"

# Below this many pixels a second thread gains 10 microseconds at best, and costs 200 on a busy machine.
PARALLEL_SIZE = 1 << 15


@dataclass(frozen=True)
class Kernel:
    """One function compiled twice: with parallel rows, and serially."""

    parallel: Callable[..., Any]
    serial: Callable[..., Any]

    def twin(self, size: int) -> Callable[..., Any]:
        """The one to call for ``size`` pixels from this thread of this process; both agree bit for bit."""
        if size < PARALLEL_SIZE or (threads := cpu_threads()) < 2:
            return self.serial
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        return self.parallel

    def run(self, size: int, *args: Any) -> Any:
        """Call the twin for ``size`` pixels."""
        return self.twin(size)(*args)


def twins(function: Callable[..., Any]) -> Kernel:
    """Compile ``function``, lazily per dtype, with ``prange`` parallel and with ``prange`` a plain range."""
    return Kernel(_compiled(function, parallel=True), _compiled(function, parallel=False))


def _compiled(function: Callable[..., Any], parallel: bool) -> Callable[..., Any]:
    # Numba names the cache file after the function, not after its options: each twin needs its own name.
    name = function.__name__ if parallel else function.__name__ + "_serial"
    copy = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__)
    copy.__qualname__, copy.__module__, copy.__doc__ = f"{name}_{HELPERS}", function.__module__, function.__doc__
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
    user = str(os.getuid()) if POSIX else os.environ.get("USERNAME", "user")
    folder = os.path.join(tempfile.gettempdir(), f"ipbox-kernels-{user}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        info = os.lstat(folder)
    except OSError:
        return None
    if not stat.S_ISDIR(info.st_mode) or not os.access(folder, os.W_OK):
        return None
    if POSIX and (info.st_uid != os.getuid() or info.st_mode & 0o022):
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
            dtype = next(a.dtype for a in event.data["args"] if isinstance(a, numba.types.Buffer))
            line = f"ipbox: compiling {dispatcher.__name__} ({dtype}) once, then cached"
            print(line, file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())
