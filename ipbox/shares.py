"""Arrays of which each of several ranks has a part: who they are, and what is asked of all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray


class Sharing(Protocol):
    """Who each have a part of an array: the ranks of `ipbox.distributed`.

    Examples
    --------
    >>> import ipbox as ip
    >>> ranks = ip.distributed.world()
    >>> ranks.total(2.0), ranks.largest(3.0)
    (2.0, 3.0)
    """

    rank: int
    size: int

    def total(self, value: Any) -> Any:
        """The sum of a float, or an array of them, over the ranks, in their order: the same bits on each."""

    def largest(self, value: Any) -> Any:
        """The largest of a float, or of each entry of an array of them, over the ranks."""

    def from_next(self, first: Array) -> Array | None:
        """What the next rank gave for ``first``, such as its first slice; None on the last."""

    def from_previous(self, last: Array) -> Array | None:
        """What the rank before gave for ``last``; None on the first."""


_sharing: ContextVar[Sharing | None] = ContextVar("sharing", default=None)


def sharing() -> Sharing | None:
    """Those who share the arrays that are worked on here; None where they are whole.

    Examples
    --------
    >>> from ipbox import shares
    >>> shares.sharing() is None
    True
    """
    return _sharing.get()


@contextlib.contextmanager
def shared_by(ranks: Sharing | None) -> Iterator[None]:
    """Within, arrays are parts of one: sums are those of all ``ranks``; nothing changes for None.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox import shares
    >>> ranks = ip.distributed.world()
    >>> with shares.shared_by(ranks):
    ...     shares.sharing() is ranks
    True
    """
    if ranks is None:
        yield
        return
    if _sharing.get() not in (None, ranks):
        raise RuntimeError("arrays are shared by other ranks here; expected one way to share them at a time")
    token = _sharing.set(ranks)
    try:
        yield
    finally:
        _sharing.reset(token)


@contextlib.contextmanager
def unshared() -> Iterator[None]:
    """Within, arrays are whole: what a rank does of its own.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox import shares
    >>> with ip.distributed.world().slabs(), shares.unshared():
    ...     shares.sharing() is None
    True
    """
    token = _sharing.set(None)
    try:
        yield
    finally:
        _sharing.reset(token)


def agreed(flag: bool, ranks: Sharing | None = None) -> bool:
    """Whether ``flag`` is true on any of the ``ranks``, or of those who share here: all are to go on, or none.

    Examples
    --------
    >>> from ipbox import shares
    >>> shares.agreed(False)
    False
    """
    ranks = sharing() if ranks is None else ranks
    return flag if ranks is None else bool(ranks.largest(float(flag)))


def sum_of(value: Any) -> Any:
    """A float, or an array of them, that is a sum over what is here: with those of the others who share it.

    Examples
    --------
    >>> from ipbox import shares
    >>> shares.sum_of(2.5)                                  # of the only one who has a part
    2.5
    """
    ranks = _sharing.get()
    return value if ranks is None else ranks.total(value)


def largest_of(value: Any) -> Any:
    """The largest of a float, or of each entry of an array of them, with those of the others who share it.

    Examples
    --------
    >>> from ipbox import shares
    >>> shares.largest_of(2.5)
    2.5
    """
    ranks = _sharing.get()
    return value if ranks is None else ranks.largest(value)
