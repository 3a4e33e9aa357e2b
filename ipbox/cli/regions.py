"""Where contrast and noise are measured in a simulated scan."""

from __future__ import annotations

from typing import Any

DEEP = 40.0  # mm from the middle of the brain: nearer, grey matter is that of the nuclei, farther out the cortex
SHARE = 0.003  # of the mean sensitivity: the weight of penalties for counts, which are of their degree


def regions(problem: tuple[Any, ...]) -> Any:
    """Of PET: parts of the grey matter, with white matter for a background; None elsewhere, or where it is missing."""
    x, info = problem[2], problem[3]
    if info.name != "pet":
        return None
    from ipbox.backend import array_module

    xp = array_module(x)
    white, grey = abs(x - 1) < 0.05, x > 3.5
    places = xp.indices(x.shape) * info.pixel_size
    middle = (places * x).sum(axis=(1, 2)) / x.sum() if x.any() else places.mean(axis=(1, 2))
    deep = ((places - middle[:, None, None]) ** 2).sum(axis=0) < DEEP**2
    parts = {"cortex": grey & ~deep, "deep grey": grey & deep}
    found = {name: part for name, part in parts.items() if int(part.sum()) > 1}
    return (found, white) if found and int(white.sum()) > 1 else None


def penalty_weight(A: Any) -> float:
    """λ for a penalty of degree 1, from the operator alone."""
    return SHARE * float(A.sensitivity().mean())
