"""What ranks say to each other, counted: messages, and bytes that a rank hands over."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

LAUNCHED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # set by mpiexec, for those that it starts


@runtime_checkable
class HasCommunicator(Protocol):
    """What operators and checkpoints take for `Ranks`."""

    comm: Any


RANKS = "ipbox.distributed.world(), or other Ranks"


class Communicator:
    """One rank of several that run the same script; a subclass has the five ways to exchange host arrays.

    Attributes
    ----------
    rank, size : int
    messages, sent : int
        Calls that exchanged something, and bytes that this rank gave to them: those of an array that is summed, of a
        part that all are given, of a plane that a neighbour is given.  Both stay 0 where there is one rank.

    Examples
    --------
    >>> import ipbox as ip
    >>> comm = ip.distributed.world().comm
    >>> comm.told("here"), comm.messages
    (['here'], 0)
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.messages, self.sent = rank, size, 0, 0

    def told(self, value: Any) -> list[Any]:
        """The ``value``s of all ranks, of small Python objects; not counted."""
        raise NotImplementedError("abstract")

    def _gather(self, part: np.ndarray, whole: np.ndarray, sizes: list[int]) -> None:
        """whole <- the parts of all, as bytes, one after the other."""
        raise NotImplementedError("abstract")

    def _add(self, x: np.ndarray) -> None:
        """x <- Σ x of all ranks, in place."""
        raise NotImplementedError("abstract")

    def _pass(self, given: np.ndarray | None, to: int, taken: np.ndarray | None, of: int) -> None:
        """Give ``given`` to one rank and receive ``taken`` of another, where there is something."""
        raise NotImplementedError("abstract")

    def wait(self) -> None:
        """Until all ranks are here."""
        raise NotImplementedError("abstract")

    # ------------------------------------------------------------ counted

    def _count(self, a: np.ndarray) -> bool:
        """Whether there is anybody to talk to."""
        if self.size > 1:
            self.messages, self.sent = self.messages + 1, self.sent + a.nbytes
        return self.size > 1

    def gather(self, part: np.ndarray, whole: np.ndarray, sizes: list[int]) -> None:
        """whole <- the parts of all, one after the other; ``sizes`` in bytes."""
        mine, all_ = part.reshape(-1).view(np.uint8), whole.reshape(-1).view(np.uint8)
        if self._count(part):
            self._gather(mine, all_, sizes)
        else:
            all_[...] = mine

    def add(self, x: np.ndarray) -> None:
        """x <- Σ x of all ranks, in place; the same bits on all of them."""
        if self._count(x):
            self._add(x)

    def reduce(self, value: np.ndarray, how: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """``how`` of the values of all ranks, in their order along the first axis: the same bits on all of them."""
        if not self._count(value):
            return value
        every = np.empty((self.size, *value.shape), dtype=value.dtype)
        self._gather(value.reshape(-1).view(np.uint8), every.reshape(-1).view(np.uint8), [value.nbytes] * self.size)
        return how(every)

    def shift(self, a: np.ndarray, by: int) -> np.ndarray | None:
        """Give ``a`` to the rank ``by`` behind this one; what this is given, of the same kind, None where it is not."""
        to, of = self.rank + by, self.rank - by
        taken = np.empty_like(a) if 0 <= of < self.size else None
        given = a if 0 <= to < self.size and self._count(a) else None
        if given is not None or taken is not None:
            self._pass(given, to, taken, of)
        return taken


class Alone(Communicator):
    """The one rank of a script that was started as any other."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def told(self, value: Any) -> list[Any]:
        return [value]

    def wait(self) -> None:
        pass


class MPICommunicator(Communicator):
    """A rank of MPI."""

    def __init__(self, comm: Any) -> None:
        super().__init__(comm.Get_rank(), comm.Get_size())
        self.comm = comm

    def told(self, value: Any) -> list[Any]:
        return self.comm.allgather(value)

    def _gather(self, part: np.ndarray, whole: np.ndarray, sizes: list[int]) -> None:
        self.comm.Allgatherv(part, [whole, sizes])

    def _add(self, x: np.ndarray) -> None:
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, x, op=MPI.SUM)

    def _pass(self, given: np.ndarray | None, to: int, taken: np.ndarray | None, of: int) -> None:
        from mpi4py import MPI

        none = np.empty(0)
        to, of = (MPI.PROC_NULL if a is None else r for a, r in ((given, to), (taken, of)))
        self.comm.Sendrecv(none if given is None else given, to, 0, none if taken is None else taken, of, 0)

    def wait(self) -> None:
        self.comm.Barrier()


def launched() -> bool:
    """Whether this process is one of several that a launcher of MPI has started."""
    return any(os.environ.get(name, "1") != "1" for name in LAUNCHED)
