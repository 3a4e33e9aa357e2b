"""What the terms of lower levels are at a fixed θ: smoothed TV and TGV, and experts."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ipbox.bilevel.terms.smoothed_tv import SmoothedTVWithSquare
from ipbox.bilevel.terms.tgv import SmoothedTGV
from ipbox.functionals import Functional
from ipbox.functionals.regularisers.experts import Experts
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, lacking

SMOOTH = ("prox", "prox_conj", "conj")


def experts(dtype: np.dtype, xp: ModuleType) -> Functional:
    return Experts(DIMS, array(np.float64, np, (2, 3, 3)), np.array([0.5, 2.0]), np.array([2.0, 3.0]))


CASES = [
    FunctionalCase(
        "smoothed TV with a square",
        SmoothedTVWithSquare,
        lambda dtype, xp: SmoothedTVWithSquare(DIMS, 0.7, 0.2, 2.0, "neumann"),
        lacks=lacking(*SMOOTH),
    ),
    FunctionalCase(
        "smoothed TV of signals",
        SmoothedTVWithSquare,
        lambda dtype, xp: SmoothedTVWithSquare((9,), 0.7, 0.2, 2.0, "zero"),
        (9,),
        lacking(*SMOOTH),
    ),
    FunctionalCase(
        "smoothed TGV",
        SmoothedTGV,
        lambda dtype, xp: SmoothedTGV(DIMS, 0.7, 1.3, 2.0, 0.2),
        (3, *DIMS),
        lacking(*SMOOTH, "complex"),
    ),
    FunctionalCase("experts", Experts, experts, lacks=lacking(*SMOOTH, "complex")),
]
