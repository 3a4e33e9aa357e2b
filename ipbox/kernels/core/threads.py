"""Which threading layer Numba uses, how its threads wait, and where a parallel kernel may be launched.

Numba's ``workqueue`` layer aborts the process when two threads launch parallel code at once; ``omp`` allows
that, but GNU OpenMP kills a forked child that runs parallel code after its parent did.  So ``omp`` comes
first, and the serial twins run wherever a parallel region would be unsafe or useless: in worker threads and
in forked children.
"""

from __future__ import annotations

import os

import numba

from ipbox.backend import parallel_is_safe, short_spins

__all__ = ["parallel_is_safe"]


def _choose_layer() -> None:
    """Prefer ``omp`` at the first parallel launch, and load it with a short spin; the user's settings win."""
    if "NUMBA_THREADING_LAYER" in os.environ or "NUMBA_THREADING_LAYER_PRIORITY" in os.environ:
        return
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    with short_spins():
        try:
            from numba.np.ufunc import omppool  # noqa: F401
        except ImportError:
            pass  # no OpenMP here: Numba takes the next layer of the list


_choose_layer()
