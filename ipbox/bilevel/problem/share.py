"""The samples that a process works on: all of them, or those of one rank; and what all ranks know of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.bilevel.problem.result import Cost
from ipbox.distributed.ranks import Ranks


class Share:
    """The samples of a problem that this process has: images stay where they are, numbers go over the ranks.

    Parameters
    ----------
    problem : BilevelProblem
        Of all samples.
    ranks : Ranks, optional
        Who share them; None where there is one process.

    Attributes
    ----------
    problem : BilevelProblem
        Of these samples, with the scale of all.  A rank beyond the samples repeats the last, which does not count.
    n : int
        Of all samples.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.ones((3, 4)), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> share = Share(BilevelProblem(np.ones((3, 4)), lower), ip.distributed.world())
    >>> share.problem.lower.n, share.total(np.arange(3.0))
    (3, array([3.]))
    """

    def __init__(self, problem: Any, ranks: Ranks | None = None) -> None:
        self.ranks, self.n, self.problem = ranks, problem.lower.n, problem
        self.count, self._index = self.n, np.arange(self.n)  # of the samples here, those that count
        if ranks is not None:
            own = ranks.own(self.n)
            self.count = len(own)
            self._index = own if len(own) else np.array([self.n - 1])
            if ranks.size > 1:
                self.problem = problem.part(self._index)

    def part(self, values: Any) -> Any:
        """Of numbers or images of all samples those that are here; of a number itself."""
        return values if self.ranks is None or np.ndim(values) == 0 else values[self._index]

    def random(self, seed: int, like: Array, batches: int = 1) -> list[Array]:
        """Normal deviates for the images here, so often; those of all samples are drawn, on one rank or many."""
        rng, first = backend.generator(seed, like), int(self._index[0])
        found = []
        for _ in range(batches):
            drawn = backend.array_module(like).empty(like.shape, dtype=backend.real_dtype(like.dtype))
            for i in range(self.n):  # one image at a time: those of the others are not kept
                image = rng.standard_normal(like.shape[1:], dtype=drawn.dtype)
                if first <= i < first + len(drawn):
                    drawn[i - first] = image
            found.append(drawn.astype(like.dtype))
        return found

    def whole(self, images: Array) -> Array:
        """The images of all samples, on every rank, from those here."""
        return images if self.ranks is None else self.ranks.gathered(images[: self.count], self.n)

    def numbers(self, *values: np.ndarray, cost: Cost | None = None) -> Any:
        """Numbers (n,) of all samples from those of the samples here, and the cost of all, where it is given."""
        if self.ranks is None:
            return list(values) if cost is None else (list(values), cost)
        rows = np.array([v[: self.count] for v in values], dtype=np.float64).reshape(-1)
        own, rest = (rows, 0) if cost is None else (np.append(rows, self._own(cost)), 3)
        counts = [len(k) for k in np.array_split(np.arange(self.n), self.ranks.size)]
        told = self.ranks.joined(own, [len(values) * count + rest for count in counts])
        parts = zip(told, counts, strict=True)
        found = list(np.concatenate([part[: len(values) * k].reshape(len(values), k) for part, k in parts], axis=1))
        return found if cost is None else (found, Cost(*np.sum([part[-3:] for part in told], axis=0).tolist()))

    def total(self, *values: Any, cost: Cost | None = None) -> Any:
        """Σ over all samples of numbers (n,), or arrays (n, ...), one after the other in a vector; and of ``cost``."""
        sums = [np.sum(v[: self.count], axis=0, dtype=np.float64).reshape(-1) for v in values]
        vector = np.concatenate(sums if cost is None else [*sums, self._own(cost)])
        with shares.shared_by(self.ranks):
            found = shares.sum_of(vector)
        return found if cost is None else (found[:-3], Cost(*found[-3:].tolist()))

    def largest(self, *values: np.ndarray) -> np.ndarray:
        """The largest entry of each, over all samples; 0 at least."""
        with shares.shared_by(self.ranks):
            return shares.largest_of(np.array([max([0.0, *v[: self.count]]) for v in values]))

    def some(self, mask: np.ndarray) -> bool:
        """Whether it is so for some sample."""
        return shares.agreed(bool(mask[: self.count].any()), self.ranks)

    def _own(self, cost: Cost) -> Sequence[float]:
        return list(vars(cost).values()) if self.count else [0.0, 0.0, 0.0]
