"""What a rule for λ returns."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox.backend import Array


@dataclass(frozen=True)
class Choice:
    """The weight that a rule chose, and the curve it was chosen on.

    Attributes
    ----------
    rule : str
        Name of the rule.
    lam : float
        λ.
    x : array
        The image for λ.
    info : object
        What the last solve returned beside it.
    curve : dict
        Arrays with one entry for each λ that was tried, ascending in λ: ``"lam"``, ``"residual"`` (‖Au - b‖, or
        √(2D) of another fidelity), and as the rule goes ``"R"``, ``"dof"``, ``"gcv"``, ``"sure"``, ``"change"``,
        ``"curvature"``, ``"balance"``; ``"psnr"`` where the truth was given.
    solves : int
        Inner solves, those for perturbed data and the last one included.
    target : float or None
        Of the discrepancy principle.
    at_end : bool
        Whether the criterion had no extremum inside the grid, so that λ is an end of it.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b = np.diag([2.0, 1.0, 0.1]), np.array([2.1, 0.9, 0.2])
    >>> choice = ip.tikhonov(A, b, "discrepancy", noise_level=0.2)[1].extra["choice"]
    >>> choice.rule, bool(abs(choice.curve["residual"] - 0.2).min() < 2e-3)
    ('discrepancy', True)
    """

    rule: str
    lam: float
    x: Array = field(repr=False)
    info: Any = field(repr=False)
    curve: dict[str, np.ndarray] = field(repr=False)
    solves: int
    target: float | None = None
    at_end: bool = False

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """The curve with the chosen λ marked; saved at ``path`` where given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from ipbox.choose.picture import draw

        return draw(self, path)
