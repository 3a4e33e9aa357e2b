"""Indicators of sets, group and rank sparsity, wavelets and Tikhonov's penalties."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ipbox.functionals import (
    Affine,
    Functional,
    GroupSparsity,
    L1Ball,
    L2Ball,
    LinfBall,
    NuclearNorm,
    Simplex,
    Tikhonov,
    WaveletL1,
)
from ipbox.operators import as_operator
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, lacking, simple

LABELS = np.array([[0, 0, 1], [1, 2, -1], [2, 2, 0], [3, 3, -1]])


def rows(dtype: Any, xp: ModuleType) -> Any:
    """Three constraints on the twelve pixels."""
    return array(dtype, xp, (3, 12))


def affine_operator(dtype: np.dtype, xp: ModuleType) -> Functional:
    return Affine(as_operator(rows(dtype, xp)), array(dtype, xp, (3,)))


CASES = [
    simple("simplex", Simplex, Simplex(DIMS, 2.0), "grad", "complex"),
    simple("simplex in each row", Simplex, Simplex(DIMS, axis=1), "grad", "complex"),
    simple("L1 ball", L1Ball, L1Ball(DIMS, 3.0), "grad"),
    simple("L1 ball in each column", L1Ball, L1Ball(DIMS, axis=0), "grad"),
    simple("L2 ball", L2Ball, L2Ball(DIMS, 1.5), "grad"),
    simple("L2 ball of the channels", L2Ball, L2Ball((2, 4, 3), axis=0), "grad", dims=(2, 4, 3)),
    FunctionalCase(
        "L2 ball about b", L2Ball, lambda dtype, xp: L2Ball(DIMS, 0.5, array(dtype, xp)), lacks=lacking("grad")
    ),
    simple("L∞ ball", LinfBall, LinfBall(0.75), "grad"),
    FunctionalCase(
        "affine, of a matrix",
        Affine,
        lambda dtype, xp: Affine(rows(dtype, xp), array(dtype, xp, (3,)), DIMS),
        lacks=lacking("grad"),
    ),
    FunctionalCase(
        "affine, of an operator",
        Affine,
        affine_operator,
        (12,),
        lacking("grad", "complex"),
        lambda dtype, xp: 1e-4 if dtype == np.float32 else 1e-9,
    ),
    simple("groups along an axis", GroupSparsity, 0.7 * GroupSparsity(DIMS, axis=0), "grad"),
    simple(
        "groups by labels",
        GroupSparsity,
        0.7 * GroupSparsity(DIMS, groups=LABELS, weights=[1.0, 0.5, 0.0, 2.0]),
        "grad",
    ),
    simple("nuclear norm", NuclearNorm, 0.7 * NuclearNorm(DIMS), "grad"),
    simple("nuclear norm of a series", NuclearNorm, NuclearNorm((2, 3, 2), axis=1), "grad", dims=(2, 3, 2)),
    simple("wavelets", WaveletL1, 0.7 * WaveletL1((4, 8), "db2", 1), "grad", dims=(4, 8)),
    simple("wavelets of odd sizes", WaveletL1, 0.7 * WaveletL1((5, 7), "haar", 2), "grad", dims=(5, 7)),
    simple("all wavelets", WaveletL1, WaveletL1((4, 4), "haar", coarse=True), "grad", dims=(4, 4)),
    simple("Tikhonov of u", Tikhonov, 0.5 * Tikhonov(DIMS, 0)),
    simple("Tikhonov of the gradient", Tikhonov, 0.5 * Tikhonov(DIMS, 1, (1.0, 0.5))),
    simple("Tikhonov of the Laplacian", Tikhonov, Tikhonov(DIMS, 2)),
    simple("Tikhonov, periodic", Tikhonov, 2 * Tikhonov(DIMS, 1, boundary="periodic")),
]
