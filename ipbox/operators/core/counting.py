"""Counting the applications of an operator: what an iteration costs, on any machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipbox.keywords import answering
from ipbox.operators.core.adapters import as_operator
from ipbox.operators.core.base import counts


class Count:
    """Applications of an operator: ``forward`` of A, ``adjoint`` of A*, ``total`` of both."""

    def __init__(self, A: Any) -> None:
        self.kind, self.dims, self.size = type(A), tuple(A.dims), math.prod(A.dimsd)
        self.forward = self.adjoint = 0.0

    @property
    def total(self) -> float:
        return self.forward + self.adjoint

    def add(self, op: Any, batch: int, forward: bool) -> None:
        """Operators of A's class on A's images are A itself, or subsets, which count by their share of the data."""
        if type(op) is self.kind and tuple(op.dims) == self.dims:
            share = batch * math.prod(op.dimsd) / self.size
            if forward:
                self.forward += share
            else:
                self.adjoint += share


@contextmanager
@answering
def counting(A: Any, *, shape: tuple[int, ...] | None = None) -> Iterator[Count]:
    """Count the applications of A, A* and those of A's subsets (by their share of the data) in this thread.

    A batch counts by its samples.  Operators made of A, such as 2 A, count where they are what is given.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.Gradient((4, 4))
    >>> with ip.counting(A) as count:
    ...     x, info = ip.cgls(A, np.ones((2, 4, 4), "float32"), niter=3)
    >>> count.forward, count.adjoint
    (4.0, 4.0)
    """
    count = Count(as_operator(A, shape))
    token = counts.set((*counts.get(), count))
    try:
        yield count
    finally:
        counts.reset(token)
