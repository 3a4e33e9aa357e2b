"""The ranks of a run: where one of them fails, all end."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

from ipbox.distributed.ranks import Ranks


def world() -> Ranks:
    """All ranks of this run; where one of them fails, all end.

    An error that nobody catches would leave the others waiting for what never comes: it is printed, and the run is
    aborted with exit code 1.

    Raises
    ------
    ImportError
        without mpi4py, which the extra ``mpi`` brings.

    Examples
    --------
    In a script that is run as ``mpiexec -n 2 python script.py``::

        ranks = ipbox.distributed.world()
        x = ranks.solve(lambda b: ip.tv(A, b, lam=0.1)[0], b)              # b: a batch
    """
    try:
        from mpi4py import MPI
    except ImportError as err:
        raise ImportError("mpi4py is not installed: pip install 'ipbox[mpi]' brings it, with MPICH") from err
    comm = MPI.COMM_WORLD

    def abort(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(kind, value, trace)
        sys.stderr.flush()
        comm.Abort(1)

    if comm.Get_size() > 1:
        sys.excepthook = abort
    return Ranks(comm)
