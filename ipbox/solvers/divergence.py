"""The error of a run that diverges; it keeps the last good iterate."""

from __future__ import annotations

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
