"""Which threading layer Numba uses, how its threads wait, and where a parallel kernel may be launched.

Numba's ``workqueue`` layer aborts the process when two threads launch parallel code at once; ``omp`` allows
that, but GNU OpenMP kills a forked child that runs parallel code after its parent did.  So ``omp`` comes
first, and the serial twins run wherever a parallel region would be unsafe or useless: in worker threads and
in forked children.
"""

from __future__ import annotations

import os
import threading

import numba

# A thread of GNU OpenMP that waits spins for milliseconds by default.  Where another process, or another
# OpenMP pool of this one (FINUFFT's, torch's), wants the core, that makes a step of 0.1 ms last 6 ms.  This
# many rounds (a fraction of a millisecond) still bridge the gap between two steps of a solver.
SPIN_COUNT = "10000"


def _choose_layer() -> None:
    """Prefer ``omp`` at the first parallel launch, and load it with a short spin; the user's settings win."""
    if "NUMBA_THREADING_LAYER" in os.environ or "NUMBA_THREADING_LAYER_PRIORITY" in os.environ:
        return
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT  # read once, when the library is loaded
    try:
        from numba.np.ufunc import omppool  # noqa: F401
    except ImportError:
        pass  # no OpenMP here: Numba takes the next layer of the list
    finally:
        del os.environ["GOMP_SPINCOUNT"]


_choose_layer()

_in_forked_child = False


def _note_fork() -> None:
    global _in_forked_child
    _in_forked_child = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def parallel_is_safe() -> bool:
    """Whether a parallel kernel may be launched here: in the main thread of a process that was not forked."""
    return not _in_forked_child and threading.get_ident() == threading.main_thread().ident
