"""The ranks of a run: where one of them fails, all end."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

from ipbox.distributed.communicator import Alone, launched
from ipbox.distributed.ranks import Ranks


def world() -> Ranks:
    """All ranks of this run; where one of them fails, all end.

    A script that mpiexec has not started is its one rank, with mpi4py or without.  An error that nobody catches would
    leave the others waiting for what never comes: it is printed, and the run is aborted with exit code 1.

    Raises
    ------
    ImportError
        below mpiexec without mpi4py, which the extra ``mpi`` brings.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.distributed.world()
    Ranks: 0 of 1
    """
    try:
        from mpi4py import MPI
    except ImportError as err:
        if launched():  # each of them would take itself for the only one
            raise ImportError("mpi4py is not installed: pip install 'ipbox[mpi]' brings it, with MPICH") from err
        return Ranks(Alone())
    comm = MPI.COMM_WORLD

    def abort(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(kind, value, trace)
        sys.stderr.flush()
        comm.Abort(1)

    if comm.Get_size() > 1:
        sys.excepthook = abort
    return Ranks(comm)
