"""HDF5 files opened for reading, after another process has looked at them: damaged ones can end it, or stop it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipbox.io.checks import Unusable
from ipbox.io.hdf5.child import PROCESSOR, SECONDS

START = 60.0  # that the process may take to begin
_KNOWN = 4096  # files that are not looked at again, as long as they do not change

_lock = threading.Lock()
_seen: dict[tuple[Any, ...], None] = {}
_child: Child | None = None


def _forget() -> None:
    """In a forked process: a lock that a thread of the parent's may hold, for good, and the pipes of its process."""
    global _lock
    _lock = threading.Lock()
    if _child is not None:
        _child.let_go()


os.register_at_fork(after_in_child=_forget)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, by h5py, for reading.

    Raises
    ------
    ValueError
        where looking at it ends a process, or takes one longer than `SECONDS`, or than `PROCESSOR` of its own time.
    """
    import h5py

    check(path)
    with h5py.File(path, "r") as file:
        yield file


def check(path: Path) -> None:
    """Let another process look at a file, unless it has and the file is as it was."""
    told = os.stat(path)
    key = (os.path.abspath(path), told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns)
    with _lock:
        if key in _seen:
            return
        _ask(path)
        if len(_seen) >= _KNOWN:
            del _seen[next(iter(_seen))]
        _seen[key] = None


def _ask(path: Path) -> None:
    global _child
    if _child is None or not _child.serves():
        _child = Child(path)
    try:
        _child.look_at(path)
    except BaseException:
        _child.end()
        _child = None
        raise


class Child:
    """The process; it is started by the first file, and serves all others."""

    def __init__(self, path: Path) -> None:
        self.of = os.getpid()
        command = [sys.executable or "python", "-P", str(Path(__file__).with_name("child.py"))]
        pipe = subprocess.PIPE
        self.process: Any = subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="ipbox-hdf5", daemon=True).start()
        atexit.register(self.end)
        if self._line(START) != "ready":
            self.end()
            raise Unusable(
                f"{path} is not read: {command[0]} does not start as a Python with h5py, in which HDF5 files are "
                "looked at first"
            )

    def look_at(self, path: Path) -> None:
        """Wait as long as it gets on.

        Raises
        ------
        ValueError
        """
        with contextlib.suppress(OSError):  # it has ended, which is seen below
            self.process.stdin.write(json.dumps(os.path.abspath(path)) + "\n")
            self.process.stdin.flush()
        while (line := self._line(SECONDS)) == ".":
            pass
        if line is None:
            raise ValueError(f"HDF5 does not get on with it in {SECONDS:g} s")
        if line != "done" and sys.platform != "win32" and self.process.wait() == -signal.SIGPROF:
            raise ValueError(f"HDF5 does not get on with it in {PROCESSOR:g} s of the processor's time")
        if line != "done":
            raise ValueError("HDF5 ends the process that reads it")

    def serves(self) -> bool:
        """Whether it is this process's, and has not been ended since by another."""
        return self.of == os.getpid() and self.process.poll() is None

    def let_go(self) -> None:
        """In a forked process: hold no end of the pipes, by which the child sees that the parent's has gone.

        The numbers stay taken, so that what Python closes later is nothing of another's.
        """
        nothing = os.open(os.devnull, os.O_RDWR)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError, ValueError):  # closed
                os.dup2(nothing, pipe.fileno(), inheritable=False)
        os.close(nothing)

    def end(self) -> None:
        """End the process, and what waits for it."""
        atexit.unregister(self.end)
        if self.of != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed
            for line in self.process.stdout:
                self.lines.put(line.strip())
        self.lines.put("")

    def _line(self, seconds: float) -> str | None:
        """What it says next: an empty line where it has ended, None where it says nothing for so long."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            return None
