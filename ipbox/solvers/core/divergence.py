"""The error of a run that diverges; it keeps the last good iterate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ipbox.backend import Array


class Diverged(FloatingPointError):
    """A solver diverged.

    Attributes
    ----------
    x : array
        The last iterate before its norm began to grow without end.
    k : int
        Its iteration.
    """

    def __init__(self, message: str, x: Array | None = None, k: int | None = None) -> None:
        super().__init__(message)
        self.x, self.k = x, k


@contextlib.contextmanager
def located(k: int, good: tuple[int, Array]) -> Iterator[None]:
    """Tell where `Diverged` was raised in a run after k iterations, ``good`` being an earlier good one.

    A term that diverges, such as a network that gives NaN, knows no iteration, and at first no iterate.
    """
    try:
        yield
    except Diverged as err:
        if err.k is not None:
            raise
        last, x = good if err.x is None else (k, err.x.copy())
        raise Diverged(f"{err} after {k} iterations; the error's x is the iterate after {last}", x, last) from err
