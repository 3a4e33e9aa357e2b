"""Operators of other rooms: the ramp filter by several windows, the image of a pair (u, v), parts that ranks have."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ipbox.backend import complex_dtype
from ipbox.bilevel.terms.tgv import ImagePart
from ipbox.distributed import MPIBlockDiag, MPIVStack, Ranks
from ipbox.distributed.communicator import Alone
from ipbox.operators import CartesianMRI, JosephTransform, RayTransform
from ipbox.operators.tomography.ramp import RampFilter
from tests.contracts.operators.case import OperatorCase


def ramp(dtype: np.dtype, xp: ModuleType) -> RampFilter:
    return RampFilter(RayTransform((7, 6), np.array([0.1, 0.9, 1.3, 2.8]), n_det=31, dtype=dtype))


def hann(dtype: np.dtype, xp: ModuleType) -> RampFilter:
    return RampFilter(RayTransform((5, 8), np.linspace(0, 3, 6), pixel_size=0.5, dtype=dtype), "hann")


def views(dtype: np.dtype, xp: ModuleType) -> JosephTransform:
    return JosephTransform((7, 6), np.array([0.1, 0.9, 1.3, 2.8]), dtype=dtype)


def kspace(dtype: np.dtype, xp: ModuleType) -> CartesianMRI:
    return CartesianMRI(np.random.default_rng(0).random((5, 6)) < 0.5, dtype=complex_dtype(dtype))


RANKS = Ranks(Alone())

CASES = [
    OperatorCase("rows on ranks", MPIVStack, lambda dtype, xp: MPIVStack(RANKS, views(dtype, xp)), "bound"),
    OperatorCase("complex rows on ranks", MPIVStack, lambda dtype, xp: MPIVStack(RANKS, kspace(dtype, xp)), "estimate"),
    OperatorCase("blocks on ranks", MPIBlockDiag, lambda dtype, xp: MPIBlockDiag(RANKS, views(dtype, xp)), "bound"),
    OperatorCase(
        "complex blocks on ranks", MPIBlockDiag, lambda dtype, xp: MPIBlockDiag(RANKS, kspace(dtype, xp)), "exact"
    ),
    OperatorCase("ramp filter", RampFilter, ramp, "bound"),
    OperatorCase("hann filter", RampFilter, hann, "bound"),
    OperatorCase("image of (u, v)", ImagePart, lambda dtype, xp: ImagePart((4, 3), dtype), "exact"),
    OperatorCase(
        "complex image of (u, v)", ImagePart, lambda dtype, xp: ImagePart((5,), complex_dtype(dtype)), "exact"
    ),
]
