"""What looks at HDF5 files in a process of its own, which a damaged one may end; `ipbox.io.hdf5.opened` runs it.

It reads the name of a file from each line, and answers with a line for every object it has looked at and one at the
end.  Errors are the reader's to tell; what ends or stops this process would have ended or stopped the reader's.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

SMALL = 2**22  # bytes: datasets up to that size are read whole, of others the ends
SECONDS = 20.0  # that an object of a file may take
PROCESSOR = 2.0  # seconds of the processor that its links, attributes and filters may take, which are small
ROOM = 2**30  # bytes of memory for a file, beside four times its size


def look_at(path: str) -> None:
    """Look at all that a reader may: links, attributes, filters, the places of chunks, numbers."""
    import h5py

    size = os.path.getsize(path) if os.path.exists(path) else 0

    def visit(name: str, link: Any) -> None:
        print(".", flush=True)
        end_late()
        end_busy(PROCESSOR)
        with contextlib.suppress(Exception):
            _look_at(file[name], size)

    end_late()
    end_busy(PROCESSOR)
    with limited(4 * size + ROOM), contextlib.suppress(Exception), h5py.File(path, "r") as file:
        _look_at(file, size)
        file.visititems_links(visit)


def _look_at(node: Any, size: int) -> None:
    import h5py

    for name in list(node.attrs):
        with contextlib.suppress(Exception):
            node.attrs[name]
    if not isinstance(node, h5py.Dataset) or node.shape is None:
        return
    made = node.id.get_create_plist()
    for k in range(made.get_nfilters()):
        made.get_filter(k)
    end_busy(0)
    with contextlib.suppress(Exception):
        node.id.chunk_iter(lambda chunk: None)
    with contextlib.suppress(Exception):
        if node.nbytes <= SMALL or (node.dtype.hasobject and node.nbytes <= size):
            node[()]
        elif node.ndim:
            node[0], node[-1]
    end_busy(PROCESSOR)


def end_late() -> None:
    """The system ends the process soon after the reader would have: one that was killed ends none.

    The signal's default, since HDF5 holds the interpreter's lock where it does not get on.
    """
    if sys.platform != "win32":
        signal.alarm(int(SECONDS) + 5)


def end_busy(seconds: float) -> None:
    """The system ends the process that computes for so long from now on: in a damaged file HDF5 may go in circles.

    0 takes the limit away: chunks may be many, and numbers packed.
    """
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


@contextlib.contextmanager
def limited(nbytes: int) -> Iterator[None]:
    """Inside, the process may take so much more memory, where the system can say so."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = used + nbytes if before[1] == resource.RLIM_INFINITY else min(used + nbytes, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main() -> None:
    """Serve until there are no more names."""
    importlib.import_module("h5py")  # what this takes is no fault of a file
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the reader, which ends this where it waits for it
    print("ready", flush=True)
    for line in sys.stdin:
        look_at(json.loads(line))
        if sys.platform != "win32":
            signal.alarm(0)
        end_busy(0)
        print("done", flush=True)


if __name__ == "__main__":
    main()
