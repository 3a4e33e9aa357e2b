"""Threads: how many may be used here, where starting them is safe, and running parts of one piece of work in them."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ipbox.checks import check_count

if TYPE_CHECKING:
    from queue import SimpleQueue

# A thread of GNU OpenMP that waits spins for milliseconds by default.  Where another process, or another OpenMP pool of
# this one (Numba's, FINUFFT's, torch's), wants the core, that makes a step of 0.1 ms last 6 ms.  This many rounds (a
# fraction of a millisecond) still bridge the gap between two steps of a solver.
_SPIN_COUNT = "10000"
_MAIN_PID = os.getpid()

_asked: list[int] = []  # what `threads` asked for, innermost last


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Inside, at most ``n`` threads share a piece of work; `set_threads` says so for good.

    Examples
    --------
    >>> from ipbox import parallel
    >>> with parallel.threads(1):
    ...     parallel.cpu_threads()
    1
    """
    _asked.append(check_count(n, "n"))
    try:
        yield
    finally:
        _asked.pop()


def set_threads(n: int | None) -> None:
    """From now on at most ``n`` threads share a piece of work; None: as many as there are cores.

    Raises
    ------
    ValueError
        where ``n`` is no positive integer.
    """
    _asked[:] = [] if n is None else [check_count(n, "n")]


@contextlib.contextmanager
def short_spins() -> Iterator[None]:
    """While a library that brings GNU OpenMP is loaded: let its threads wait asleep.  The user's settings win."""
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT  # read once, when the library is loaded
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def parallel_is_safe() -> bool:
    """Whether threads may be started here: in the main thread of a process that was not forked.

    OpenMP regions started in a forked child hang or are killed, Numba's ``workqueue`` aborts when two threads launch
    parallel code at once, and solves that already run in threads gain nothing from more.
    """
    return threading.current_thread() is threading.main_thread() and os.getpid() == _MAIN_PID


def available_cores() -> int:
    """Cores this process may use: those of its affinity, where the system tells."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def allowed_threads() -> int:
    """Threads that may share a piece of work: as many as cores, or what ``OMP_NUM_THREADS`` or `set_threads` say."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    limits = [available_cores(), *_asked[-1:], *([int(allowed)] if allowed.isdigit() and int(allowed) else [])]
    return min(limits)


def cpu_threads() -> int:
    """`allowed_threads`, or 1 where starting threads is not safe."""
    return allowed_threads() if parallel_is_safe() else 1


def parts(count: int, most: int | None = None) -> list[slice]:
    """``count`` things in as many nearly equal parts, none empty, as threads may share them, and at most ``most``.

    The same parts where the threads are unsafe and the parts are run in turn: so sums over parts do not differ.
    """
    n = max(1, min(count, allowed_threads(), count if most is None else most))
    ends = [-(-count * i // n) for i in range(n + 1)]
    return [slice(start, stop) for start, stop in zip(ends, ends[1:], strict=False)]


def run_all(tasks: Sequence[Callable[[], None]]) -> None:
    """Run tasks that release Python's lock, spread over the threads that may be used.

    The first error, in the order of the tasks, is raised again after all have ended.
    """
    n = min(len(tasks), cpu_threads())
    if n < 2:
        for task in tasks:
            task()
        return
    helpers = [_helper(i) for i in range(n - 1)]
    for (inbox, _), share in zip(helpers, (tasks[i::n] for i in range(1, n)), strict=True):
        inbox.put(share)
    errors = [_in_turn(tasks[::n]), *(outbox.get() for _, outbox in helpers)]
    for error in errors:
        if error is not None:
            raise error


def _in_turn(tasks: Sequence[Callable[[], None]]) -> BaseException | None:
    try:
        for task in tasks:
            task()
    except BaseException as err:  # raised again by `run_all`
        return err
    return None


@functools.cache
def _helper(i: int) -> tuple[SimpleQueue, SimpleQueue]:
    """A thread that waits for tasks; two queues hand over several times faster than a pool of one."""
    from queue import SimpleQueue

    inbox: SimpleQueue = SimpleQueue()
    outbox: SimpleQueue = SimpleQueue()

    def serve() -> None:
        while True:
            outbox.put(_in_turn(inbox.get()))

    threading.Thread(target=serve, name=f"ipbox-{i}", daemon=True).start()
    return inbox, outbox
