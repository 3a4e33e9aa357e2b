"""What a bilevel method returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.bilevel.cost import Cost


@dataclass
class BilevelResult:
    """The best parameters that were found, and the way there.

    Attributes
    ----------
    theta : array, shape (p,)
    f, bound : float
        f̃(θ), and the bound on |f̃(θ) - f(θ)|.
    stop : str
        What ended the method.
    history : list of dict
        A row for every iterate (for L-BFGS-B, every evaluation): ``iteration``, ``theta``, ``f``, ``f_bound``,
        ``grad_norm``, ``accuracy``, ``gradients``, ``hessians`` and ``work`` (their sum) so far, ``step`` and ``kind``.
    cost : Cost
        All work in the lower level.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import BilevelResult, Cost
    >>> rows = [{"work": 10.0, "f": 2.0}, {"work": 30.0, "f": 1.0}]
    >>> BilevelResult(np.zeros(1), 1.0, 0.1, "iterations", rows, Cost(20.0, 10.0)).column("f")
    array([2., 1.])
    """

    theta: np.ndarray
    f: float
    bound: float
    stop: str
    history: list[dict[str, Any]]
    cost: Cost

    def column(self, name: str) -> np.ndarray:
        """One entry of all rows."""
        return np.array([row[name] for row in self.history])
