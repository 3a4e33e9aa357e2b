"""Every operator of the contracts' registry: dot tests and norms against dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

import ipbox as ip

from .common import parallel_angles


def _registry() -> tuple[list[Any], Any]:
    """The cases, and what the contracts share."""
    from tests.contracts import support

    return support.listed("operators"), support


def _large(dtype: str) -> dict[str, Any]:
    """Operators larger than those of the registry."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 23)
    return {
        "ray 63x50": ip.RayTransform((63, 50), angles, dtype=dtype),
        "ray truncated": ip.RayTransform((64, 64), angles, n_det=31, dtype=dtype),
        "ray shifted": ip.RayTransform((64, 64), angles, n_det=97, det_spacing=0.5, det_shift=0.3, dtype=dtype),
        "ray coarse": ip.RayTransform((33, 64), angles, det_spacing=2.0, pixel_size=0.7, dtype=dtype),
        "ray 256x256": ip.RayTransform((256, 256), parallel_angles(50), dtype=dtype),
        "gradient 63x50": ip.Gradient((63, 50), dtype=dtype),
        "gradient 17x20x33": ip.Gradient((17, 20, 33), dtype=dtype, spacing=(2.5, 0.9, 0.9)),
        "symmetrised gradient 17x20x33": ip.SymmetrisedGradient((3, 17, 20, 33), dtype=dtype, spacing=(2.5, 0.9, 0.9)),
    }


def dot_test(dtype: str) -> dict[str, Any]:
    """The worst |Re<Au, v> - Re<u, A*v>| / (‖Au‖ ‖v‖) of each operator over five pairs of random u and v."""
    cases, support = _registry()
    rng = np.random.default_rng(0)
    operators = {f"{i}: {case.name}": case.make(np.dtype(dtype), np) for i, case in enumerate(cases)} | _large(dtype)
    classes = {type(A).__name__ for A in operators.values()}
    errors = {name: max(support.dot_test(A, rng, np) for _ in range(5)) for name, A in operators.items()}
    return {"errors": errors, "classes": len(classes)}


def norms() -> dict[str, Any]:
    """norm() over the largest singular value of the dense matrix, for every case in float64, with the norm's kind."""
    cases, support = _registry()
    ratios: dict[str, dict[str, float]] = {"exact": {}, "bound": {}, "estimate": {}}
    for i, case in enumerate(cases):
        A = case.make(np.dtype("float64"), np)
        true = np.linalg.norm(support.dense(A, np), 2)
        ratios[A.norm_kind][f"{i}: {case.name}"] = float(A.norm() / true)
    return ratios
