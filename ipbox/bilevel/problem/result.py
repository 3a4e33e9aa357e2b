"""What a bilevel method returns, and what it spends in its lower level, on any machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import reports, summary
from ipbox.checks import shown
from ipbox.keywords import answering


@dataclass
class Cost:
    """Work in the lower level, summed over the samples.

    ``gradients`` of Φ_i (the iterations of gradient descent and FISTA), ``hessians`` (Hessian-vector products, each
    about the work of a gradient or two), ``applications`` of A and A*.

    Examples
    --------
    >>> from ipbox.bilevel import Cost
    >>> (Cost(gradients=20, hessians=5) + Cost(gradients=1)).total
    26.0
    """

    gradients: float = 0.0
    hessians: float = 0.0
    applications: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.gradients + other.gradients, self.hessians + other.hessians, self.applications + other.applications
        )

    @property
    def total(self) -> float:
        """Gradients and Hessian-vector products together: the work axis of the comparisons."""
        return self.gradients + self.hessians


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

    __repr__ = summary.of_fields
    report = reports.of_fields

    def column(self, name: str) -> np.ndarray:
        """One entry of all rows."""
        return np.array([row[name] for row in self.history])


@answering
def work_to(
    history: Iterable[dict[str, Any]], target: float, objective: Callable[[np.ndarray], float] | None = None
) -> float:
    """Lower-level work until f <= target at an iterate; inf where it never is.

    Parameters
    ----------
    history : list of dict
        Rows with ``work`` and ``f``; with ``objective`` also ``theta`` and ``f_bound``.
    target : float
    objective : function, optional
        θ -> f(θ), computed accurately: asked where the bound of a row's f̃ leaves open on which side of the target f is.
        Without it f̃ is taken for f.

    Examples
    --------
    >>> from ipbox.bilevel import work_to
    >>> rows = [{"work": w, "f": 1.0 / w, "f_bound": 0.1, "theta": [w]} for w in (1.0, 2.0, 4.0)]
    >>> work_to(rows, 0.5), work_to(rows, 0.5, lambda theta: 1.01 / theta[0])
    (2.0, 4.0)
    """
    known: dict[tuple[float, ...], float] = {}
    for row in history:
        if not isinstance(row, Mapping) or not {"f", "work"} <= row.keys():
            raise ValueError(f"history has {shown(row)}; expected rows with 'f' and 'work'")
        f = row["f"]
        if objective is not None and not abs(f - target) > row["f_bound"]:
            theta = tuple(row["theta"])
            if theta not in known:
                known[theta] = objective(np.array(theta))
            f = known[theta]
        if f <= target:
            return float(row["work"])
    return math.inf
