"""Bounds on the parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Bounds:
    """{θ : lower <= θ <= upper}, θ of p entries; ``pair`` is what the user gave, None for no bounds.

    Examples
    --------
    >>> bounds = Bounds((-1.0, [2.0, 3.0]), 2)
    >>> bounds.project(np.array([-4.0, 1.0])), str(bounds)
    (array([-1.,  1.]), 'within [-1.0, -1.0], [2.0, 3.0]')
    """

    def __init__(self, pair: Any, p: int) -> None:
        given = (-math.inf, math.inf) if pair is None else pair
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise TypeError(f"bounds is {pair!r}; expected a pair (lower, upper)")
        try:
            self.lower, self.upper = (np.broadcast_to(np.asarray(b, dtype=np.float64), (p,)).copy() for b in given)
        except (ValueError, TypeError) as err:
            raise ValueError(f"bounds is {pair!r}; expected a pair of numbers, or of arrays of shape ({p},)") from err
        if not (self.lower <= self.upper).all():
            raise ValueError(f"bounds cross: lower is {self.lower} and upper {self.upper}; expected lower <= upper")

    def __str__(self) -> str:
        return f"within {self.lower.tolist()}, {self.upper.tolist()}"

    def check(self, theta0: np.ndarray) -> np.ndarray:
        """A start, which has to lie within."""
        if not ((self.lower <= theta0) & (theta0 <= self.upper)).all():
            raise ValueError(f"theta0 is {theta0}, outside its bounds; expected {self.lower} <= theta0 <= {self.upper}")
        return theta0

    def project(self, theta: np.ndarray) -> np.ndarray:
        """The nearest point within."""
        return np.clip(theta, self.lower, self.upper)

    def free(self, theta: np.ndarray, z: np.ndarray) -> np.ndarray:
        """z without the entries along which θ - αz leaves the bounds at once."""
        held = ((theta <= self.lower) & (z > 0)) | ((theta >= self.upper) & (z < 0))
        return np.where(held, 0.0, z)
