"""What every simulated problem begins and ends with: the checks of common options, and (A, b, x, info)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_not_negative, check_seed
from ipbox.problems import ProblemInfo

COUNTS = "ipbox.problems.measuring.noise.poisson(A.apply(x))"  # of an A x that is not negative


def check_common(xp: str, seed: int, noise: float = 0.0, counts: str = COUNTS) -> None:
    """The library, the seed of the noise and its level relative to the data; ``counts`` says how to have Poisson's."""
    backend.as_module(xp)
    check_seed(seed)
    if isinstance(noise, str):
        kind = f", or {counts} for Poisson's" if noise.lower() == "poisson" else ""
        raise ValueError(f"noise is {noise!r}; expected zero or a positive number{kind}")
    check_not_negative(noise, "noise")


def pose(
    A: Any, b: Array, x: np.ndarray, noise_level: float, clean: np.ndarray | None, xp: str, **about: Any
) -> tuple[Any, Array, Array, ProblemInfo]:
    """The problem in the library ``xp``; ``clean`` are the data before noise, None where they are A x itself."""
    error = 0.0 if clean is None else backend.norm(A.apply(x) - clean)
    peak = float(np.abs(x).max())
    info = ProblemInfo(**{"noise_level": noise_level, "model_error": error, "peak": peak} | about)
    return A, backend.to_device(b, xp), backend.to_device(x, xp), info
