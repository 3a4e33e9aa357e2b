"""What a variational problem on a volume needs of memory: said before it starts; what is done where it is not there.

Steps of the primal-dual family on a volume read and write ten arrays of its size, in order.  Where they do not fit into
memory they can be files (`ipbox.scratch`): TV's part of a step is one pass over them, and a scan's operator works on a
block of slices at a time.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import backend, shares
from ipbox.checks import check_positive
from ipbox.operators import SliceStack
from ipbox.operators.tomography.cone.panel import PanelTransform
from ipbox.scratch import Scratch
from ipbox.solvers import PDHG, Problem, Solver
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.primal_dual import saddle
from ipbox.warning import warn

LARGE = 1 << 22  # voxels of a volume from which on memory counts more than iterations
# Arrays of the size of the volume, and of the data, that are there at a time beside b, as they were counted
FRUGAL = (9, 7)  # of primal-dual steps in one pass over memory;
STEPS, SETS = 6, 8  # of others, for each block of the primal and dual variables, of which TV has 4 and TGV 13;
APART = 17  # more where a term's steps are composed of others: wavelets, TV with voxel sizes;
OTHERS = {"FISTA": (16, 2), "CGLS": (16, 5)}
BLOCKS = (3, 6)  # of the size of a block, and of the data, in memory where the volumes are files;
FILES = (10, 2)  # and of the volume and the data in these
READINGS = 5 << 23  # that operators work on, of some views


@dataclass(frozen=True)
class Room:
    """In what memory a problem is solved: by ``frugal`` steps, with volumes in files of a ``scratch``."""

    frugal: bool = False
    scratch: Scratch | None = None

    def used(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.scratch is None else self.scratch.use()


def find_room(
    problem: Problem,
    solver: Solver,
    may_change: bool,
    memory: float | None,
    scratch: str | os.PathLike[str] | None,
    progress: Any,
) -> Room:
    """What fits into ``memory`` bytes, by default those that are free, the fastest first; it is said for large volumes.

    ``may_change``: whether another solver will do.

    Raises
    ------
    MemoryError, NotSaved
        where nothing does, for want of memory or of space on the disk.
    """
    wanted = check_positive(memory, "memory", "a positive number of bytes") if memory is not None else None
    place = None if scratch is None else Scratch(scratch)
    asked = memory is not None or scratch is not None
    host = not backend.is_device(problem.xp.empty(0))
    if asked and not (host and len(problem.dims) == 3 and problem.batch is None):
        name = "memory" if memory is not None else "scratch"
        what = "an array on the device" if not host else f"an image of shape {problem.shape}"
        raise ValueError(f"{name} is given for {what}; expected it for one volume on the host")
    if not host or len(problem.dims) != 3 or not (asked or math.prod(problem.dims) >= LARGE):
        return Room()
    free = wanted or available()
    p = _parts(problem)
    need, least = needed(problem, solver), _bytes(problem, *FRUGAL) if may_change and p is not None else math.inf
    told = f"a volume of {problem.dims}: about {_gib(need)} beside the data"
    there = "" if free is None else f", of {_gib(free)} that {'it may take' if wanted else 'are free'}"
    if free is None or need <= free:
        _say(told + there, progress)
        return Room()
    if least <= free:
        _say(f"{told}{there}: by steps that are more, with {_gib(least)}", progress)
        return Room(frugal=True)
    obstacle = _no_blocks(problem, p is not None and (may_change or type(solver) is PDHG))
    inside, files = (math.inf, 0) if obstacle else in_blocks(problem)
    if inside > free:
        blocks = obstacle or f"and {_gib(inside)} in blocks"
        raise MemoryError(
            f"b and A have a volume of {problem.dims}, for which {type(solver).__name__} needs about {_gib(need)} "
            f"beside the data, {blocks}{there}; expected fewer or larger voxels, or a part of the slices"
        )
    place = place or Scratch()
    place.check_free(files)
    slices = problem.D.A.parts[0]
    how = (
        f"{told}{there}: in blocks of {slices.stop - slices.start} slices, with {_gib(inside)} and {_gib(files)} of "
        f"files in {place.folder}, of {_gib(place.free)} that are free"
    )
    _say(how, progress)
    if not (asked or progress):
        warn(f"{how}; memory= and scratch= say how much, and where", RuntimeWarning)
    return Room(True, place)


def is_frugal(p: Parts) -> bool:
    """Whether the problem is one on a large volume that primal-dual steps in one pass over memory solve."""
    return shares.agreed(math.prod(p.problem.dims) >= LARGE and _can_sweep(p))


def needed(problem: Problem, solver: Solver) -> int:
    """About the bytes that a solver needs beside the data."""
    return _bytes(problem, *_counts(problem, solver))


def lavish(blocks: float, apart: bool) -> tuple[float, int]:
    """Volumes and sets of data of primal-dual steps that go over memory several times."""
    return STEPS * blocks + APART * apart, SETS


def _counts(problem: Problem, solver: Solver) -> tuple[float, int]:
    if not isinstance(solver, PDHG):
        return OTHERS.get(type(solver).__name__, lavish(4, False))
    p = solver.prepare(problem)
    if type(solver) is PDHG and _can_sweep(p):
        return FRUGAL
    voxels, A = math.prod(problem.dims), problem.fidelity and problem.fidelity.A
    x = np.broadcast_to(np.zeros((), problem.dtype), problem.shape)
    terms = [t for t in p.dual if A is None or tuple(t.dual_dims) != tuple(A.dimsd)]
    blocks = 1 + sum(math.prod(shape) for t in terms for shape in (t.dual_dims, *t.aux)) / voxels
    return lavish(blocks, any(not t.aux and not t.can_sweep(x) for t in terms))


def in_blocks(problem: Problem) -> tuple[int, int]:
    """About the bytes that are in memory beside the data, and those that are in files, where volumes are."""
    slices = max(part.stop - part.start for part in problem.D.A.parts)
    block = slices * math.prod(problem.dims[1:])
    readings = min(READINGS, problem.D.b.size) * np.dtype(problem.dtype).itemsize
    return _bytes(problem, *BLOCKS, voxels=block) + readings, _bytes(problem, *FILES)


def available() -> int | None:
    """Bytes of memory that are free or can be freed; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)


def _can_sweep(p: Parts) -> bool:
    problem = p.problem
    if p.batch is not None or len(problem.dims) != 3:
        return False
    return saddle.can_sweep(p, np.broadcast_to(np.zeros((), problem.dtype), problem.shape))


def _parts(problem: Problem) -> Parts | None:
    """The problem as steps in one pass over memory have it; None where it has none."""
    try:
        p = PDHG().prepare(problem)
    except ValueError:  # PDHG does not take it
        return None
    return p if _can_sweep(p) else None


def _no_blocks(problem: Problem, sweeps: bool) -> str | None:
    """Why the problem cannot be solved in blocks, or None."""
    D = problem.fidelity
    if D is None or not isinstance(D.A, PanelTransform | SliceStack) or problem.ranks is not None:
        return "and it is in blocks for scans alone (SliceStack, ConeBeamTransform, transforms by vectors)"
    return None if sweeps else "and it is in blocks for TV alone, with PDHG"


def _bytes(problem: Problem, volumes: float, sets: int, voxels: int | None = None) -> int:
    D = problem.fidelity
    data = 0 if D is None or D.b is None else D.b.nbytes
    voxels = math.prod(problem.shape) if voxels is None else voxels
    return round(volumes * voxels) * np.dtype(problem.dtype).itemsize + sets * data


def _gib(nbytes: float) -> str:
    return f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**29 else f"{nbytes / 2**20:.2f} MiB"


def _say(text: str, progress: Any) -> None:
    if progress:
        print(text, file=sys.stderr)
