"""Ranks of MPI that share samples, data or volumes: all run one script, and sums are those over all of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.checks import check_axes, check_count, check_type, counted
from ipbox.distributed.communicator import Communicator, MPICommunicator
from ipbox.distributed.operators import MPIBlockDiag, MPIVStack
from ipbox.keywords import answering
from ipbox.operators import as_operator


@runtime_checkable
class HasShape(Protocol):
    """Data that are read where they are: an array, a memory map, a dataset of a file."""

    shape: tuple[int, ...]

    def __getitem__(self, index: Any) -> Any: ...


class Ranks:
    """The ranks of a communicator: each has a part of the samples, the data or the volume.

    The script is the same on every rank.  Samples are solved for by the rank that has them, and what was found is
    gathered.  Data are split with `vstack`, the image being the same on all ranks; images and data are split by
    slices with `blockdiag` and `slabs`.  Solvers and functionals are those of one core: their sums are over all ranks,
    so that every rank goes on with the same numbers, those of one rank alone.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm or Communicator
        E.g. ``mpi4py.MPI.COMM_WORLD``; `world` gives that.

    Attributes
    ----------
    rank, size : int
    sent, messages : int
        Bytes that this rank has given to others, and how often: see `Communicator`.

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
        x, info = ip.tv(*ranks.views(A, b), lam=0.1)                       # views are shared, the image is whole
        with ranks.slabs():                                                # A, b of this rank's slices
            x, info = ip.tv(ranks.blockdiag(A), b, lam=0.1)

    A script that mpiexec has not started is the one rank:

    >>> import ipbox as ip
    >>> ranks = ip.distributed.world()
    >>> ranks, ranks.own(3), ranks.sent
    (Ranks: 0 of 1, array([0, 1, 2]), 0)
    """

    def __init__(self, comm: Any) -> None:
        if not isinstance(comm, Communicator):
            theirs = sys.modules.get("mpi4py.MPI")  # imported where there is a communicator of theirs
            if theirs is None or not isinstance(comm, theirs.Comm):
                raise TypeError(f"comm is {type(comm).__name__}; expected a communicator such as mpi4py.MPI.COMM_WORLD")
            comm = MPICommunicator(comm)
        self.comm, self.rank, self.size = comm, comm.rank, comm.size

    def __repr__(self) -> str:
        return f"Ranks: {self.rank} of {self.size}"

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    @property
    def sent(self) -> int:
        return self.comm.sent

    @property
    def messages(self) -> int:
        return self.comm.messages

    # ------------------------------------------------------------ parts

    def own(self, n: int) -> np.ndarray:
        """Which of n samples (views, slices) are this rank's: a range of them, of n // size or one more."""
        return np.array_split(np.arange(check_count(n, "n", least=0)), self.size)[self.rank]

    def slab(self, data: Any, axis: int = 0) -> np.ndarray:
        """This rank's part of ``data`` along an axis, read from where it is.

        Parameters
        ----------
        data : array, memory map, h5py.Dataset, or the ``projections`` of `ipbox.read_scan`
            Anything with ``shape`` that slices; no more than the part is read.
        axis : int
            From the first, or with -1 from the last.

        Raises
        ------
        TypeError, ValueError
            where there are fewer entries than ranks, or no such axis.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> ip.distributed.world().slab(np.arange(3))
        array([0, 1, 2])
        """
        check_type(data, "data", HasShape, "an array, or what has a shape and slices as one")
        (axis,) = check_axes(axis, len(data.shape), "axis")
        n = check_count(data.shape[axis], f"data.shape[{axis}]", least=self.size)
        own = self.own(n)
        return np.asarray(data[(slice(None),) * axis + (slice(int(own[0]), int(own[-1]) + 1),)])

    def gather(self, part: Array) -> Array:
        """All slices (views), on every rank, from ``part`` with those of this one; of as many for each as `own` has."""
        backend.check_array(part, "part")
        check_count(part.ndim, "part.ndim")
        return self.gathered(part, sum(self.comm.told(len(part))))

    def gathered(self, part: Array, n: int) -> Array:
        """(n,) + shape: what all ranks have of n samples, from ``part`` with those of this rank first to last.

        Raises
        ------
        ValueError
            on every rank, where the parts are not of one shape and dtype, or not of n samples together.
        """
        n, xp = check_count(n, "n", least=0), backend.array_module(part)
        mine = np.ascontiguousarray(backend.to_host(part))
        told = self.comm.told((mine.shape, mine.dtype.str))
        counts = [shape[0] if shape else -1 for shape, _ in told]
        if (
            counts != [len(k) for k in np.array_split(np.arange(n), self.size)]
            or len({(shape[1:], dtype) for shape, dtype in told}) > 1
        ):
            raise ValueError(f"part has shapes and dtypes {told} on the ranks; expected one kind, {n} samples together")
        whole = np.empty((n, *mine.shape[1:]), dtype=mine.dtype)
        sizes = [count * (whole[:1].nbytes if n else 0) for count in counts]
        self.comm.gather(mine, whole, sizes)
        return backend.to_device(whole, xp)

    def joined(self, part: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
        """The float64 numbers of all ranks, from those of this one; all know how many there are of each.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> ip.distributed.world().joined(np.array([1.0, 2.0]), [2])
        [array([1., 2.])]
        """
        whole = np.empty(sum(counts))
        self.comm.gather(np.ascontiguousarray(part, dtype=np.float64), whole, [8 * count for count in counts])
        return np.split(whole, np.cumsum(counts)[:-1])

    # ------------------------------------------------------------ problems

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
                f"reconstruct gave shape {found.shape} for {counted(len(own), 'sample')}; expected one array for each"
            )
        return self.gathered(found, n)

    def vstack(self, A: Any) -> MPIVStack:
        """All rows of an operator, of which this rank has those of ``A``: data are split, images are whole."""
        return MPIVStack(self, A)

    def blockdiag(self, A: Any) -> MPIBlockDiag:
        """The operator of all slices, of which this rank has those of ``A``: images and data are split."""
        return MPIBlockDiag(self, A)

    @answering
    def views(self, A: Any, b: Array) -> tuple[MPIVStack, np.ndarray]:
        """`vstack` of this rank's views of a scan, and their data.

        Parameters
        ----------
        A : Operator
            Of all views; it has a method ``subset(indices)``.
        b : array, memory map, h5py.Dataset, or whatever `slab` takes
            Of shape A.dimsd, on every rank.

        Raises
        ------
        TypeError, ValueError
            for an operator without subsets, or with fewer views than ranks.

        Examples
        --------
        >>> import ipbox as ip
        >>> A, b, x_true, info = ip.problem("ct", size=32, views=20, noise=0.02)
        >>> x, run = ip.cgls(*ip.distributed.world().views(A, b), noise_level=info.noise_level)
        >>> run.stop
        'discrepancy'
        """
        A = as_operator(A)
        check_type(b, "b", HasShape, "an array, or what has a shape and slices as one")
        if not A.has_subsets:
            raise TypeError(f"A is {A.name}, which has no subsets; expected an operator of views, or ranks.vstack")
        if tuple(b.shape) != tuple(A.dimsd):
            raise ValueError(f"b has shape {tuple(b.shape)}; {A.name} gives {tuple(A.dimsd)}")
        part = self.slab(b)
        return self.vstack(A.subset(self.own(A.dimsd[0]))), part

    def slabs(self) -> contextlib.AbstractContextManager[None]:
        """Within ``with ranks.slabs():`` images and data are this rank's slices of a volume that all ranks share.

        Solvers, stop rules and functionals then are those of the whole volume.  A functional must be known to act on
        slices, as fidelities of a `blockdiag`, bounds, norms of single pixels and total variation do; others are
        refused.  All ranks do the same within: one that leaves early, or that alone asks for an objective, leaves the
        others waiting.
        """
        return shares.shared_by(self)

    # ------------------------------------------------------------ what the backend asks

    def total(self, value: Any) -> Any:
        """The sum of a float, or an array of them, over the ranks, in their order: the same bits on each."""
        return self._reduced(value, lambda every: every.sum(axis=0))

    def largest(self, value: Any) -> Any:
        """The largest of a float, or of each entry of an array of them, over the ranks; NaN where one is."""
        return self._reduced(value, lambda every: every.max(axis=0))

    def _reduced(self, value: Any, how: Callable[[np.ndarray], np.ndarray]) -> Any:
        found = self.comm.reduce(np.atleast_1d(np.asarray(value, dtype=np.float64)), how)
        return float(found[0]) if np.ndim(value) == 0 else found

    def add(self, x: Array) -> None:
        """x <- Σ x of all ranks, in place."""
        if self.size == 1:
            return
        host = np.ascontiguousarray(backend.to_host(x))
        self.comm.add(host)
        if host is not x:
            x[...] = backend.to_device(host, backend.array_module(x))

    def from_next(self, first: Array) -> Array | None:
        """What the next rank gave for ``first``, such as its first slice; None on the last."""
        return self._shifted(first, -1)

    def from_previous(self, last: Array) -> Array | None:
        """What the rank before gave for ``last``; None on the first."""
        return self._shifted(last, 1)

    def _shifted(self, a: Array, by: int) -> Array | None:
        if self.size == 1:
            return None
        found = self.comm.shift(np.ascontiguousarray(backend.to_host(a)), by)
        return None if found is None else backend.to_device(found, backend.array_module(a))
