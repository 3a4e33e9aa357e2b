"""A strict stand-in for CuPy: device code runs on the CPU and fails where CuPy would fail.

``install()`` puts it at ``sys.modules['cupy']``, ``'cupyx...'`` and ``'cufinufft'``; it has to be called
before PyLops is imported, in a process of its own.  An array wraps (and hides) a NumPy array.  It refuses to
mix with host arrays and to be converted implicitly, knows only the names and arguments that the real CuPy
has (``cupy_api.json``, dumped from CuPy 14.2), and records every transfer and synchronisation.
"""

from __future__ import annotations

from .install import install
from .transfers import Event, clear_transfers, transfers

__all__ = ["Event", "clear_transfers", "host", "install", "transfers"]


def host(x):
    """A host copy of ``x`` for assertions, not recorded as a transfer; anything else passes through."""
    from .array import ndarray

    return x._payload.copy() if isinstance(x, ndarray) else x
