"""Total variation of a parallel beam in three dimensions: all slices at once, or blocks of them that overlap.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import ipbox
from ipbox.cli.scans import methods
from ipbox.cli.scans.corrected import Corrected

HALO = 8  # slices on both sides of a block that are reconstructed with it, so that it does not end where it is cut


def couples(args: argparse.Namespace, beam: str, rows: int) -> bool:
    """Whether the method is one that couples the slices of a parallel beam."""
    return beam == "parallel" and args.method == "tv" and rows > 1 and not args.slicewise


def planned(args: argparse.Namespace, A: Any, corrected: Corrected) -> tuple[list[range], str]:
    """The slices of each block, and what is told of them: one block where its memory is free, else as few as fit.

    Raises
    ------
    MemoryError
        where not even a block of as many slices as are beside it fits.
    """
    from ipbox.reconstruct.variational.memory import available

    rows, free = corrected.shape[1], available()
    for count in range(1, rows + 1):
        size = -(-rows // count)
        held = min(rows, size + 2 * HALO * (count > 1))
        need = _needed(args, stack(A, corrected, held)) + 4 * rows * math.prod(A.dims) * (count > 1)
        if free is None or need <= free:
            break
        if size <= 2 * HALO:
            raise MemoryError(
                f"tv of {held} slices at once needs about {methods.size(need)} of memory, of {methods.size(free)} that "
                f"are free; expected --slicewise, or fewer voxels or readings (--bin, --every, --size)"
            )
    blocks = [range(first, min(first + size, rows)) for first in range(0, rows, size)]
    together = f"all {rows}" if count == 1 else f"in {len(blocks)} blocks of {size}, with {HALO} more on each side,"
    there = "" if free is None else f", of {methods.size(free)} that are free"
    return blocks, f"tv couples the slices, {together} at once; memory: about {methods.size(need)}{there}"


def stack(A: Any, corrected: Corrected, slices: int) -> Any:
    """The operator of so many slices, as far apart as the panel's rows."""
    size = corrected.geometry().pixel_size
    return ipbox.SliceStack(A, slices, 1.0 if size is None else size[0])


def _needed(args: argparse.Namespace, S: Any) -> int:
    return methods.needed(args, 4 * math.prod(S.dims), 4 * math.prod(S.dimsd), methods.slice_distance(S))


def coupled(args: argparse.Namespace, A: Any, corrected: Corrected, told: dict[str, Any], blocks: list[range]) -> Any:
    """The volume, a block of slices at a time."""
    import numpy as np

    views, rows, columns = corrected.shape
    lam = methods.weight(args, A, *methods.middle_slice(corrected, told), told)
    told["coupled"] = {"slices": rows, "blocks": [[block.start, block.stop] for block in blocks]}
    x = np.empty((rows, *A.dims), dtype=np.float32) if len(blocks) > 1 else None
    b, read = np.empty((views, 0, columns), dtype=np.float32), range(0)
    for block in blocks:
        held = range(max(0, block.start - HALO), min(rows, block.stop + HALO))
        b, read = _read(corrected, held, b, read), held
        u = methods.total_variation(args, stack(A, corrected, len(held)), b, lam)
        if x is None:
            return u
        x[block.start : block.stop] = u[block.start - held.start : block.stop - held.start]
    return x


def _read(corrected: Corrected, held: range, before: Any, read: range) -> Any:
    """Line integrals (views, rows, columns) of the rows ``held``, of which those in ``read`` are there already."""
    import numpy as np

    views, _, columns = corrected.shape
    b = np.empty((views, len(held), columns), dtype=np.float32)
    first = max(held.start, read.stop)
    b[:, : first - held.start] = before[:, held.start - read.start : first - read.start]
    many = max(methods.SLAB, methods.READ // (4 * views * columns))
    for k in range(first, held.stop, many):
        rows = slice(k, min(k + many, held.stop))
        b[:, rows.start - held.start : rows.stop - held.start] = corrected(rows)
    return b
