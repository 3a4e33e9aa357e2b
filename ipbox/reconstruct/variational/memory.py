"""What a variational problem on a volume needs of memory: said before it starts, and refused where it is not there."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.solvers import PDHG, Problem, Solver
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.primal_dual import saddle

LARGE = 1 << 22  # voxels of a volume from which on memory counts more than iterations
# Arrays of the size of the volume, and of the data, that are there at a time beside b, as they were counted
FRUGAL = (9, 7)  # of primal-dual steps in one pass over memory;
STEPS, SETS = 6, 8  # of others, for each block of the primal and dual variables, of which TV has 4 and TGV 13;
APART = 17  # more where a term's steps are composed of others: wavelets, TV with voxel sizes;
OTHERS = {"FISTA": (16, 2), "CGLS": (16, 5)}


def is_frugal(p: Parts) -> bool:
    """Whether the problem is one on a large volume that primal-dual steps in one pass over memory solve."""
    return backend.agreed(_is_frugal(p))


def _is_frugal(p: Parts) -> bool:
    problem = p.problem
    if p.batch is not None or len(problem.dims) != 3 or math.prod(problem.dims) < LARGE:
        return False
    return saddle.can_sweep(p, np.broadcast_to(np.zeros((), problem.dtype), problem.shape))


def needed(problem: Problem, solver: Solver) -> int:
    """About the bytes that a solver needs beside the data."""
    volumes, sets = _counts(problem, solver)
    D = problem.fidelity
    data = 0 if D is None or D.b is None else D.b.nbytes
    return round(volumes * math.prod(problem.shape)) * np.dtype(problem.dtype).itemsize + sets * data


def lavish(blocks: float, apart: bool) -> tuple[float, int]:
    """Volumes and sets of data of primal-dual steps that go over memory several times."""
    return STEPS * blocks + APART * apart, SETS


def _counts(problem: Problem, solver: Solver) -> tuple[float, int]:
    if not isinstance(solver, PDHG):
        return OTHERS.get(type(solver).__name__, lavish(4, False))
    p = solver.prepare(problem)
    if is_frugal(p):
        return FRUGAL
    voxels, A = math.prod(problem.dims), problem.fidelity and problem.fidelity.A
    x = np.broadcast_to(np.zeros((), problem.dtype), problem.shape)
    terms = [t for t in p.dual if A is None or tuple(t.dual_dims) != tuple(A.dimsd)]
    blocks = 1 + sum(math.prod(shape) for t in terms for shape in (t.dual_dims, *t.aux)) / voxels
    return lavish(blocks, any(not t.aux and not t.can_sweep(x) for t in terms))


def announce(problem: Problem, solver: Solver, progress: Any) -> None:
    """Say what a large volume needs where ``progress`` is asked for; refuse it where it is not there.

    Raises
    ------
    MemoryError
        where less is free than the solver needs.
    """
    if len(problem.dims) != 3 or math.prod(problem.dims) < LARGE or backend.is_device(problem.xp.empty(0)):
        return
    need, free = needed(problem, solver), available()
    if progress:
        there = "" if free is None else f", of {free / 2**30:.1f} GiB that are free"
        print(f"a volume of {problem.dims}: about {need / 2**30:.1f} GiB beside the data{there}", file=sys.stderr)
    if free is not None and need > free:
        raise MemoryError(
            f"b and A have a volume of {problem.dims}, for which {type(solver).__name__} needs about "
            f"{need / 2**30:.1f} GiB beside the data, and {free / 2**30:.1f} GiB are free; expected fewer or larger "
            f"voxels, or a part of the slices"
        )


def available() -> int | None:
    """Bytes of memory that are free or can be freed; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)
