"""Derivatives: every scheme and boundary, one to four dimensions, voxel sizes, real and complex."""

from __future__ import annotations

from typing import Any

from ipbox.backend import complex_dtype
from ipbox.operators import FiniteDifference, Gradient, Operator, SymmetrisedGradient
from tests.contracts.operators.case import OperatorCase

SCHEMES = ("forward", "backward", "central")


def case(
    cls: type[Operator], dims: tuple[int, ...], kind: str, is_complex: bool = False, **options: Any
) -> OperatorCase:
    """A case of ``cls`` on images (for the symmetrised gradient, vector fields) of shape ``dims``."""
    name = " ".join([cls.__name__, "x".join(map(str, dims)), *map(str, options.values())])
    if cls is SymmetrisedGradient:
        dims = (len(dims), *dims)
    if is_complex:
        return OperatorCase(
            f"complex {name}", cls, lambda dtype, xp: cls(dims, dtype=complex_dtype(dtype), **options), kind
        )
    return OperatorCase(name, cls, lambda dtype, xp: cls(dims, dtype=dtype, **options), kind)


CASES = [
    # the fused kernels
    *(case(Gradient, dims, "exact") for dims in ((9,), (7, 5), (1, 6), (3, 4, 5))),
    case(Gradient, (7, 5), "exact", spacing=(0.5, 1.25)),
    case(Gradient, (3, 4, 5), "exact", spacing=(2.0, 0.7, 0.9)),
    *(case(Gradient, dims, "exact", is_complex=True) for dims in ((6,), (7, 5), (3, 2, 5))),
    case(SymmetrisedGradient, (9,), "exact", spacing=0.3),
    case(SymmetrisedGradient, (7, 5), "bound"),
    case(SymmetrisedGradient, (7, 5), "bound", spacing=(0.5, 1.25)),
    case(SymmetrisedGradient, (3, 4, 5), "bound", spacing=(2.0, 0.7, 0.9)),
    case(SymmetrisedGradient, (2, 3, 2), "exact"),
    case(SymmetrisedGradient, (1, 6), "exact"),
    case(SymmetrisedGradient, (7, 6), "bound", is_complex=True, spacing=1.7),
    case(SymmetrisedGradient, (3, 4, 5), "bound", is_complex=True),
    # every scheme and boundary
    *(case(Gradient, (7, 4), "exact", spacing=(0.5, 1.25), scheme=s, boundary="neumann") for s in SCHEMES),
    *(case(Gradient, (7, 4), "exact", spacing=(0.5, 1.25), scheme=s, boundary="periodic") for s in SCHEMES),
    case(Gradient, (3, 2, 4, 3), "exact", spacing=(1.0, 2.0, 0.5, 0.7)),
    case(Gradient, (5, 4), "exact", is_complex=True, scheme="central"),
    *(case(SymmetrisedGradient, (7, 6), "exact", scheme=s, boundary="periodic") for s in SCHEMES),
    case(SymmetrisedGradient, (7, 6), "bound", scheme="forward"),
    case(SymmetrisedGradient, (7, 6), "estimate", scheme="central"),
    case(SymmetrisedGradient, (3, 4, 5), "exact", spacing=(2.0, 0.7, 0.9), boundary="periodic"),
    case(SymmetrisedGradient, (2, 3, 2, 3), "bound"),
    *(
        case(FiniteDifference, (7, 5), "exact", axis=0, spacing=0.3, scheme=s, boundary=b)
        for s in SCHEMES
        for b in ("neumann", "periodic")
    ),
    *(case(FiniteDifference, (6, 5), "exact", axis=0, scheme="central", boundary=b) for b in ("neumann", "periodic")),
    case(FiniteDifference, (4, 3, 5), "exact", axis=-1),
    case(FiniteDifference, (4, 3, 5), "exact", is_complex=True, axis=1, scheme="backward"),
]
