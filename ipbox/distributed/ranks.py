"""Ranks of MPI that share samples: each works on its own, and all are given what any of them found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count
from ipbox.keywords import answering


class Ranks:
    """The ranks of a communicator, each with a part of the samples.

    The script is the same on every rank: all of them hold all data, each solves for its samples, and what was found is
    gathered, so that every rank goes on with the same numbers, those of one rank alone.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        E.g. ``mpi4py.MPI.COMM_WORLD``; `world` gives that.

    Attributes
    ----------
    rank, size : int
    sent : int
        Bytes of results that this rank has sent to each of the others.

    Raises
    ------
    TypeError
        where it is no communicator.

    References
    ----------
    Message Passing Interface Forum, MPI: A Message-Passing Interface Standard, 4.1 (2023).

    Examples
    --------
    A script of n ranks is run as ``mpiexec -n 2 python script.py``, with ``ranks = ipbox.distributed.world()`` in it::

        found = ip.bilevel.learn(pairs, term, n_jobs=ranks)                # lower levels are shared
        x = ranks.solve(lambda b: ip.tv(A, b, lam=0.1)[0], b)              # b: a batch
    """

    def __init__(self, comm: Any) -> None:
        from mpi4py import MPI

        if not isinstance(comm, MPI.Comm):
            raise TypeError(f"comm is {type(comm).__name__}; expected a communicator such as mpi4py.MPI.COMM_WORLD")
        self.comm, self.rank, self.size, self.sent = comm, comm.Get_rank(), comm.Get_size(), 0

    def __repr__(self) -> str:
        return f"Ranks: {self.rank} of {self.size}"

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    def own(self, n: int) -> np.ndarray:
        """Which of n samples are this rank's: a range of them, of n // size or one more."""
        return np.array_split(np.arange(n), self.size)[self.rank]

    def gathered(self, part: Array, n: int) -> Array:
        """(n,) + shape: what all ranks have of n samples, from ``part`` with those of this rank first to last.

        Raises
        ------
        ValueError
            on every rank, where the parts are not of one shape and dtype, or not of n samples together.
        """
        xp = backend.array_module(part)
        mine = np.ascontiguousarray(backend.to_host(part))
        told = self.comm.allgather((mine.shape, mine.dtype.str))
        counts = [shape[0] if shape else -1 for shape, _ in told]
        if (
            counts != [len(k) for k in np.array_split(np.arange(n), self.size)]
            or len({(shape[1:], dtype) for shape, dtype in told}) > 1
        ):
            raise ValueError(f"part has shapes and dtypes {told} on the ranks; expected one kind, {n} samples together")
        whole = np.empty((n, *mine.shape[1:]), dtype=mine.dtype)
        sizes = [count * (whole[:1].nbytes if n else 0) for count in counts]
        self.comm.Allgatherv(mine.view(np.uint8).reshape(-1), [whole.view(np.uint8).reshape(-1), sizes])
        self.sent += mine.nbytes if self.size > 1 else 0
        return backend.to_device(whole, xp)

    @answering
    def solve(self, reconstruct: Callable[[Array], Array], b: Array) -> Array:
        """``reconstruct(b)`` of a batch, each rank with its part of it.

        Parameters
        ----------
        reconstruct : function
            From data (m,) + data dims to arrays with m samples along their first axis, each found by itself.
        b : array, shape (n,) + data dims
            The same on every rank; n is at least the number of ranks.

        Returns
        -------
        array, shape (n,) + dims
            On every rank.

        Raises
        ------
        ValueError
            where there are fewer samples than ranks, or a result is not one array for each.
        """
        backend.check_array(b, "b")
        n = check_count(len(b) if b.ndim else 0, "len(b)", least=self.size)
        own = self.own(n)
        found = reconstruct(b[own])
        backend.check_array(found, "reconstruct(b)")
        if found.shape[:1] != own.shape:
            raise ValueError(
                f"reconstruct gave shape {found.shape} for {len(own)} samples; expected one array for each"
            )
        return self.gathered(found, n)
