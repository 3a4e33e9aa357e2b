"""What a rule for λ returns, and its picture: residual against λ, L-curve, or criterion against λ."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import figures
from ipbox.backend import Array

LABELS = {
    "gcv": "GCV",
    "sure": "SURE of ‖A(u - u*)‖²",
    "change": "‖u(λⱼ₊₁) - u(λⱼ)‖",
    "curvature": "curvature of the L-curve",
    "distance": "distance from the chord",
    "balance": "log Φ_γ(λ)",
    "psnr": "PSNR (dB)",
}
TITLES = {
    "discrepancy": "discrepancy principle",
    "gcv": "GCV",
    "l_curve": "L-curve",
    "quasi_optimality": "quasi-optimality",
    "sure": "SURE",
    "weighted_gcv": "weighted GCV",
}
CRITERION = {"gcv": "gcv", "weighted_gcv": "gcv", "sure": "sure", "quasi_optimality": "change", "balancing": "balance"}


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

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The curve with the chosen λ marked; saved at ``path`` where given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        panels = [_residual] if self.rule == "discrepancy" else []
        if self.rule == "l_curve":
            panels = [
                _l_curve,
                functools.partial(_against_lam, what="distance" if "distance" in self.curve else "curvature"),
            ]
        for what in filter(None, (CRITERION.get(self.rule), "psnr" if "psnr" in self.curve else None)):
            panels.append(functools.partial(_against_lam, what=what))
        figure = figures.new(path, figsize=(4.6 * len(panels), 3.6))
        for k, panel in enumerate(panels):
            panel(figure.add_subplot(1, len(panels), k + 1), self)
        title = TITLES.get(self.rule, self.rule)
        figure.suptitle(f"{title}: λ = {self.lam:.3g}, {self.solves} solves", fontsize=11)
        return figures.shown(figure, path)


def _residual(ax: Any, choice: Choice) -> None:
    lam, residual = choice.curve["lam"], choice.curve["residual"]
    ax.loglog(lam, residual, "o-", markersize=4)
    ax.axhline(choice.target, color="k", linestyle="--", linewidth=1, label=f"target {choice.target:.4g}")
    ax.plot(choice.lam, np.interp(np.log(choice.lam), np.log(lam), residual), "r*", markersize=12)
    figures.few_ticks(ax)
    ax.set_xlabel("λ")
    ax.set_ylabel("‖Au - b‖")
    ax.legend(fontsize=8)


def _l_curve(ax: Any, choice: Choice) -> None:
    lam, residual, R = (choice.curve[k] for k in ("lam", "residual", "R"))
    ax.loglog(residual, R, "o-", markersize=4)
    corner = [np.exp(np.interp(np.log(choice.lam), np.log(lam), np.log(v))) for v in (residual, R)]
    ax.plot(*corner, "r*", markersize=12, label=f"corner, λ = {choice.lam:.3g}")
    for k in range(0, len(lam), 4):
        ax.annotate(f"{lam[k]:.1g}", (residual[k], R[k]), fontsize=7, xytext=(4, 4), textcoords="offset points")
    ax.margins(0.1)  # room for the weights
    figures.few_ticks(ax)
    ax.set_xlabel("‖Au - b‖")
    ax.set_ylabel("R(u)")
    ax.legend(fontsize=8)


def _against_lam(ax: Any, choice: Choice, what: str) -> None:
    lam, values = choice.curve["lam"], choice.curve[what]
    known = np.isfinite(values)
    lam, values = lam[known], values[known]
    ax.semilogx(lam, values, "o-", markersize=4)
    if what in ("gcv", "sure", "change") and values.min() > 0:
        ax.set_yscale("log")
    ax.axvline(choice.lam, color="r", linestyle="--", linewidth=1, label=f"chosen λ = {choice.lam:.3g}")
    if what == "psnr":
        best = int(np.argmax(values))
        ax.plot(lam[best], values[best], "k^", label=f"best {values[best]:.2f} dB")
    figures.few_ticks(ax)
    ax.set_xlabel("λ")
    ax.set_ylabel(LABELS[what])
    ax.legend(fontsize=8)
