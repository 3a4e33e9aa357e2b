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

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> steep = ip.functional(lambda x: 50 * np.sum(x**2), grad=lambda x: 100 * x, L=1.0)      # L is 100
    >>> problem = ip.Problem(ip.L2(b=np.ones(4)) + steep)
    >>> try:
    ...     ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(1000))
    ... except ip.solvers.Diverged as err:
    ...     print(err.k < 1000, np.isfinite(err.x).all())
    True True
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
