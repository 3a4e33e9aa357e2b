"""The algebra and the parallel-beam ray transform at odd, non-square sizes, on any device."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ipbox.backend import complex_dtype
from ipbox.operators import (
    Adjoint,
    Composition,
    Gradient,
    Identity,
    JosephTransform,
    MatrixOperator,
    Normal,
    Operator,
    RayNormal,
    RayTransform,
    Scaled,
    Sum,
    VStack,
    as_operator,
)
from ipbox.operators.core.held import HeldArray
from ipbox.operators.core.weighted import Weighted
from tests.contracts.operators.case import OperatorCase

DIMS = (7, 5)
VIEWS = np.arange(23) * (math.pi / 23)


def ray(dtype: np.dtype, dims: tuple[int, int] = DIMS, angles: Any = VIEWS, **geometry: Any) -> RayTransform:
    return RayTransform(dims, angles, dtype=dtype, **geometry)


def rays(name: str, kind: str = "bound", **geometry: Any) -> OperatorCase:
    return OperatorCase(f"ray {name}", RayTransform, lambda dtype, xp: ray(dtype, **geometry), kind)


def matrix(dtype: Any, xp: ModuleType, shape: tuple[int, int] = (11, 15)) -> Any:
    """A random (complex) matrix on the device."""
    rng = np.random.default_rng(5)
    m = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        m = m + 1j * rng.standard_normal(shape)
    return xp.asarray(m.astype(dtype))


def complex_matrix(dtype: np.dtype, xp: ModuleType) -> Operator:
    return as_operator(matrix(complex_dtype(dtype), xp))


def complex_case(cls: type[Operator], change: Callable[[Operator], Operator]) -> OperatorCase:
    """A case of ``cls`` made from a complex matrix."""
    name = f"complex {cls.__name__.lower()}"
    return OperatorCase(name, cls, lambda dtype, xp: change(complex_matrix(dtype, xp)), "estimate")


def normal(A: Operator) -> Operator:
    return A.H @ A


def stack(dtype: np.dtype, xp: ModuleType) -> Operator:
    return VStack([Identity(DIMS, dtype), Gradient(DIMS, dtype), ray(dtype)])


def weighed(A: Operator, dtype: np.dtype) -> Weighted:
    """Views of weights from 0 to 2."""
    return Weighted(A, HeldArray(np.resize(np.arange(7) / 3, A.dimsd).astype(dtype)))


CASES = [
    OperatorCase("identity", Identity, lambda dtype, xp: Identity(DIMS, dtype), "exact"),
    OperatorCase("adjoint", Adjoint, lambda dtype, xp: Gradient(DIMS, dtype).H, "exact"),
    OperatorCase("scaled", Scaled, lambda dtype, xp: -2.5 * Gradient(DIMS, dtype), "exact"),
    OperatorCase(
        "composition", Composition, lambda dtype, xp: Gradient(ray(dtype).dimsd, dtype) @ ray(dtype), "estimate"
    ),
    OperatorCase("A*A", Composition, lambda dtype, xp: normal(Gradient(DIMS, dtype)), "exact"),
    OperatorCase("A A*", Composition, lambda dtype, xp: normal(Gradient(DIMS, dtype).H), "exact"),
    OperatorCase("sum", Sum, lambda dtype, xp: ray(dtype).H @ ray(dtype) + 3 * Identity(DIMS, dtype), "estimate"),
    OperatorCase("stack", VStack, stack, "estimate"),
    OperatorCase("matrix", MatrixOperator, lambda dtype, xp: as_operator(matrix(dtype, xp)), "estimate"),
    OperatorCase("complex identity", Identity, lambda dtype, xp: Identity(DIMS, complex_dtype(dtype)), "exact"),
    complex_case(MatrixOperator, lambda M: M),
    complex_case(Adjoint, lambda M: M.H),
    complex_case(Scaled, lambda M: -0.5 * M),
    complex_case(Composition, lambda M: M.H @ M),
    complex_case(Normal, lambda M: M.N),
    complex_case(Sum, lambda M: M + 2 * M),
    complex_case(VStack, lambda M: VStack([M, 2 * M])),
    OperatorCase(
        "stack of matrices",
        VStack,
        lambda dtype, xp: VStack([matrix(dtype, xp), matrix(dtype, xp, (4, 15))]),
        "estimate",
    ),
    OperatorCase("normal of the gradient", Normal, lambda dtype, xp: Gradient(DIMS, dtype).N, "exact"),
    OperatorCase("ray normal", RayNormal, lambda dtype, xp: ray(dtype).normal(), "bound"),
    OperatorCase("weighted ray", Weighted, lambda dtype, xp: weighed(ray(dtype), dtype), "estimate"),
    OperatorCase(
        "weighted joseph",
        Weighted,
        lambda dtype, xp: weighed(JosephTransform(DIMS, VIEWS, dtype=dtype), dtype),
        "bound",
    ),
    complex_case(Weighted, lambda M: Weighted(M, HeldArray(np.sin(np.arange(11.0)).astype(M.dtype_out.char.lower())))),
    rays("odd x odd"),
    rays("even x even", dims=(8, 6)),
    rays("even x odd", dims=(6, 9)),
    rays("odd x even, pixel size", dims=(5, 8), pixel_size=0.7),
    rays("shift", n_det=13, det_shift=0.3),
    rays("spacing 0.5", det_spacing=0.5),
    rays("spacing 2", det_spacing=2.0),
    rays("unordered, repeated angles", angles=np.concatenate([VIEWS[::-2], -VIEWS[3:6], VIEWS])),
    rays("truncated", "estimate", n_det=4),
    rays("truncated, shifted", "estimate", n_det=5, det_shift=-2.3, det_spacing=0.8),
    rays("one angle", angles=[0.4]),
    rays("rectangular pixels, off the axis", pixel_size=(0.6, 1.1), image_centre=(0.4, -1.7)),
    rays("a shift for each view", det_shift=0.5 * np.sin(9 * VIEWS), n_det=6, kind="estimate"),
]
