"""Masks, sampled entries, downsampling and Gaussian measurements at odd, non-square sizes."""

from __future__ import annotations

import numpy as np

from ipbox.backend import complex_dtype
from ipbox.operators import Downsampling, GaussianMeasurements, Mask, Sampling
from tests.contracts.operators.case import OperatorCase

RNG = np.random.default_rng(11)
CHOSEN = RNG.random((7, 5)) < 0.4
WEIGHTS = RNG.standard_normal((3, 5, 4)) * (RNG.random((3, 5, 4)) < 0.7)


def downsampling(name: str, dims, factor, average: bool = True) -> OperatorCase:
    return OperatorCase(
        f"downsampling {name}", Downsampling, lambda dtype, xp: Downsampling(dims, factor, average, dtype), "exact"
    )


CASES = [
    OperatorCase("mask", Mask, lambda dtype, xp: Mask(xp.asarray(CHOSEN), dtype), "exact"),
    OperatorCase("mask of weights", Mask, lambda dtype, xp: Mask(WEIGHTS, dtype), "exact"),
    OperatorCase("complex mask", Mask, lambda dtype, xp: Mask(CHOSEN, complex_dtype(dtype)), "exact"),
    OperatorCase("sampling", Sampling, lambda dtype, xp: Sampling(xp.asarray(CHOSEN), dtype), "exact"),
    OperatorCase("sampling of one entry", Sampling, lambda dtype, xp: Sampling(np.eye(1, 6) > 0, dtype), "exact"),
    OperatorCase(
        "complex sampling", Sampling, lambda dtype, xp: Sampling(WEIGHTS > 0, complex_dtype(dtype)), "exact"
    ),
    downsampling("by 3 x 2", (9, 10), (3, 2)),
    downsampling("1-D", (15,), 5),
    downsampling("3-D", (2, 9, 4), (1, 3, 2)),
    downsampling("by 1", (7, 5), 1),
    downsampling("decimation", (9, 6), 3, average=False),
    OperatorCase(
        "complex downsampling", Downsampling, lambda dtype, xp: Downsampling((9, 6), 3, True, complex_dtype(dtype)),
        "exact",
    ),
    OperatorCase(
        "wide Gaussian measurements",
        GaussianMeasurements,
        lambda dtype, xp: GaussianMeasurements((7, 5), 13, dtype=dtype),
        "exact",
    ),
    OperatorCase(
        "tall Gaussian measurements",
        GaussianMeasurements,
        lambda dtype, xp: GaussianMeasurements((11,), 29, seed=4, dtype=dtype),
        "exact",
    ),
]  # fmt: skip
