"""What an iteration costs each of several ranks: bytes, messages, operations and memory, counted before it is run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.checks import check_choice, check_count, check_dims
from ipbox.keywords import answering

SOLVERS = ("PDHG", "FISTA", "CGLS")
AGREED = 8  # bytes: whether a callback has said stop, once an iteration
SUMS = {"PDHG": (0, 0), "FISTA": (0, 0), "CGLS": (1, 3)}  # of one number: over the data, and over all there is
ARRAYS = {"PDHG": (9, 2), "FISTA": (4, 2), "CGLS": (5, 3)}  # of the image's size (with TV's), and of the data's


@dataclass(frozen=True)
class Cost:
    """Of one iteration, of the rank that has most.

    Attributes
    ----------
    sent, messages : int
        Bytes that a rank gives to others, and how often; an array that is summed counts once, as in `Ranks.sent`.
    flops : float
        Operations on floating-point numbers, by a projector that follows every ray through every row.
    memory : int
        Bytes of the arrays that the solver holds, and of the data.
    summed : int
        Bytes of ``sent`` that are summed over the ranks: of these an optimal algorithm moves 2(P - 1)/P times as many.
    ranks : int

    Examples
    --------
    >>> from ipbox.distributed import cost_of_slices
    >>> [cost_of_slices((64, 128, 128), 60, 182, n).sent for n in (1, 2, 4)]
    [0, 65544, 131080]
    """

    sent: int
    messages: int
    flops: float
    memory: int
    summed: int
    ranks: int

    def seconds(self, flops_per_second: float, bytes_per_second: float, latency: float) -> float:
        """Computing, then sending, of which nothing overlaps.

        Examples
        --------
        >>> from ipbox.distributed import cost_of_slices
        >>> cost = cost_of_slices((2048, 2048, 2048), 2048, 2048, ranks=64)
        >>> round(cost.seconds(1e11, 12.5e9, 5e-6), 1)
        22.1
        """
        moved = self.sent - self.summed + 2 * (self.ranks - 1) / self.ranks * self.summed
        return self.flops / flops_per_second + moved / bytes_per_second + self.messages * latency


@answering
def cost_of_views(
    dims: tuple[int, ...], views: int, n_det: int, ranks: int, solver: str = "PDHG", dtype: Any = "float32"
) -> Cost:
    """Of data whose views are shared (`MPIVStack`): the image is on every rank, and one is summed each iteration.

    Parameters
    ----------
    dims : tuple of int
        (ny, nx), or (nz, ny, nx), in parallel beam.
    views, n_det : int
        Of all ranks, and detector pixels in a row.
    ranks : int
    solver : {"PDHG", "FISTA", "CGLS"}
        PDHG with total variation, the others with one L2 term and what acts on single pixels.
    dtype : dtype

    Returns
    -------
    Cost

    Examples
    --------
    >>> from ipbox.distributed import cost_of_views
    >>> cost = cost_of_views((512, 512), 180, 725, ranks=2)
    >>> cost.sent, cost.messages
    (1048584, 2)
    """
    dims, n_det, ranks = check_dims(dims, "dims"), check_count(n_det, "n_det"), check_count(ranks, "ranks")
    own = -(-check_count(views, "views") // ranks)
    size, image, alone = np.dtype(dtype).itemsize, math.prod(dims), ranks == 1
    sums = SUMS[check_choice(solver, "solver", SOLVERS)][0]
    return Cost(
        0 if alone else image * size + 8 * sums + AGREED,
        0 if alone else 2 + sums,
        _flops(dims, own, n_det, solver, image),
        _memory(image, own * n_det * _slices(dims), solver, size),
        0 if alone else image * size,
        ranks,
    )


@answering
def cost_of_slices(
    dims: tuple[int, ...], views: int, n_det: int, ranks: int, solver: str = "PDHG", dtype: Any = "float32"
) -> Cost:
    """Of slices that are shared (`MPIBlockDiag`): total variation sends one of them to each neighbour.

    Parameters
    ----------
    dims : tuple of int
        (nz, ny, nx), in parallel beam.
    views, n_det : int
        Detector pixels: of a row.
    ranks : int
        At most nz.
    solver : {"PDHG", "FISTA", "CGLS"}
        PDHG with total variation, the others with one L2 term and what acts on single pixels.
    dtype : dtype

    Returns
    -------
    Cost
        Of a rank with two neighbours where there is one.

    Examples
    --------
    >>> from ipbox.distributed import cost_of_slices
    >>> cost = cost_of_slices((64, 128, 128), 60, 182, ranks=2)
    >>> cost.sent, cost.messages
    (65544, 2)
    """
    dims, n_det, ranks = check_dims(dims, "dims"), check_count(n_det, "n_det"), check_count(ranks, "ranks")
    own = (-(-dims[0] // ranks), *dims[1:])
    size, image = np.dtype(dtype).itemsize, math.prod(own)
    sums = SUMS[check_choice(solver, "solver", SOLVERS)][1]
    neighbours = min(2, ranks - 1) if solver == "PDHG" else 0
    return Cost(
        0 if ranks == 1 else neighbours * math.prod(dims[1:]) * size + 8 * sums + AGREED,
        0 if ranks == 1 else neighbours + sums + 1,
        _flops(own, check_count(views, "views"), n_det, solver, image),
        _memory(image, views * n_det * own[0], solver, size),
        0,
        ranks,
    )


def _slices(dims: tuple[int, ...]) -> int:
    return math.prod(dims[:-2])


def _flops(dims: tuple[int, ...], views: int, n_det: int, solver: str, image: int) -> float:
    """A and A*, four operations for a ray in a row, and the steps, with 40 for a voxel of total variation."""
    return 8.0 * views * n_det * dims[-2] * _slices(dims) + (50.0 if solver == "PDHG" else 10.0) * image


def _memory(image: int, data: int, solver: str, size: int) -> int:
    images, sets = ARRAYS[solver]
    return size * (images * image + (sets + 1) * data)
