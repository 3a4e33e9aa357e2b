"""What an iteration costs each of several ranks: bytes, messages, operations and memory, counted before it is run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.checks import check_choice, check_count, check_dims, check_flag
from ipbox.keywords import answering

FEW = 32  # parameters of a hypergradient, up to which B*B is put together
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
    summed, gathered : int
        Bytes of ``sent`` that are summed over the ranks, and that all are given: of these an optimal algorithm moves
        2(P - 1)/P and P - 1 times as many.
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
    gathered: int = 0

    def seconds(self, flops_per_second: float, bytes_per_second: float, latency: float) -> float:
        """Computing, then sending, of which nothing overlaps.

        Examples
        --------
        >>> from ipbox.distributed import cost_of_slices
        >>> cost = cost_of_slices((2048, 2048, 2048), 2048, 2048, ranks=64)
        >>> round(cost.seconds(1e11, 12.5e9, 5e-6), 1)
        22.1
        """
        alike = self.sent - self.summed - self.gathered
        moved = alike + 2 * (self.ranks - 1) / self.ranks * self.summed + (self.ranks - 1) * self.gathered
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


@answering
def cost_of_samples(
    dims: tuple[int, ...],
    samples: int,
    parameters: int,
    ranks: int,
    products: int = 100,
    evaluations: int = 1,
    gradients: int = 1,
    dtype: Any = "float64",
    vectors: bool = False,
) -> Cost:
    """Of bilevel learning whose samples are shared: numbers of them, and sums of the parameters' size.

    Parameters
    ----------
    dims : tuple of int
        Of an image.
    samples, parameters : int
        n of all ranks, and p.
    ranks : int
    products : int
        Gradients and Hessian products of the lower level for each sample; denoising by total variation.
    evaluations, gradients : int
        Of the objective, and of its hypergradient: one of each is a step of `HOAG`.  A checkpoint, or a callback, sends
        one number more in each step.
    dtype : dtype
    vectors : bool
        Whether the evaluations are those of `DFO` for so few images that it is told û_i - u_i: they are sent, as no
        image is elsewhere.

    Returns
    -------
    Cost
        ``memory`` is that of true images, data, û and q.

    Notes
    -----
    An evaluation sends ‖û_i - u_i‖, the bound of its error and the iterations of every sample; a hypergradient z,
    with B*B of all samples for its bound where p <= 32, else the two p-vectors of a power method (ten at first); and
    the work of both.

    Examples
    --------
    >>> from ipbox.distributed import cost_of_samples
    >>> [cost_of_samples((128, 128), 32, 3, n).sent for n in (1, 2, 4)]
    [0, 576, 384]
    """
    dims, ranks, p = check_dims(dims, "dims"), check_count(ranks, "ranks"), check_count(parameters, "parameters")
    own, image = -(-check_count(samples, "samples") // ranks), math.prod(dims)
    for name, value in (("products", products), ("evaluations", evaluations), ("gradients", gradients)):
        check_count(value, name, least=0)
    bound, sums = (p * p + 2, 1) if p <= FEW else (2 * p + 1, 3)
    images = own * image * np.dtype(dtype).itemsize
    told = images if check_flag(vectors, "vectors") else 0
    sent = evaluations * (8 * (3 * own + 3) + told) + 8 * gradients * (p + 3 + bound + 4)
    sent = 0 if ranks == 1 else sent
    return Cost(
        sent,
        0 if ranks == 1 else (3 if vectors else 2) * evaluations + (2 + sums) * gradients,
        50.0 * image * own * products,
        4 * images,
        0,
        ranks,
        sent,
    )


def _slices(dims: tuple[int, ...]) -> int:
    return math.prod(dims[:-2])


def _flops(dims: tuple[int, ...], views: int, n_det: int, solver: str, image: int) -> float:
    """A and A*, four operations for a ray in a row, and the steps, with 40 for a voxel of total variation."""
    return 8.0 * views * n_det * dims[-2] * _slices(dims) + (50.0 if solver == "PDHG" else 10.0) * image


def _memory(image: int, data: int, solver: str, size: int) -> int:
    images, sets = ARRAYS[solver]
    return size * (images * image + (sets + 1) * data)
