"""The field's pictures: residual against λ, L-curve, and criteria against λ, with the choice marked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox import plot

if TYPE_CHECKING:
    from ipbox.choose.result import Choice

LABELS = {
    "gcv": "GCV",
    "sure": "SURE of ‖A(u - u_true)‖²",
    "change": "‖u_{λ_{j+1}} - u_{λ_j}‖",
    "curvature": "curvature of the L-curve",
    "distance": "distance from the chord of the L-curve",
    "balance": "log Φ_γ(λ)",
    "psnr": "PSNR [dB]",
}
TITLES = {
    "discrepancy": "discrepancy principle",
    "gcv": "GCV",
    "l_curve": "L-curve",
    "quasi_optimality": "quasi-optimality",
    "sure": "SURE",
    "weighted_gcv": "weighted GCV",
}
CRITERION = {
    "gcv": "gcv",
    "weighted_gcv": "gcv",
    "sure": "sure",
    "quasi_optimality": "change",
    "balancing": "balance",
}


def draw(choice: Choice, path: str | os.PathLike | None) -> Any:
    """The figure of `Choice.plot`."""
    panels = [_residual] if choice.rule == "discrepancy" else []
    if choice.rule == "l_curve":
        corner = "distance" if "distance" in choice.curve else "curvature"
        panels = [_l_curve, lambda ax, c: _against_lam(ax, c, corner)]
    criterion = CRITERION.get(choice.rule)
    if criterion is not None:
        panels = [lambda ax, c: _against_lam(ax, c, criterion)]
    if "psnr" in choice.curve and criterion != "psnr":
        panels.append(lambda ax, c: _against_lam(ax, c, "psnr"))
    figure = plot._figure(path, figsize=(4.6 * len(panels), 3.6), layout="constrained")
    for k, panel in enumerate(panels):
        panel(figure.add_subplot(1, len(panels), k + 1), choice)
    figure.suptitle(
        f"{TITLES.get(choice.rule, choice.rule)}: λ = {choice.lam:.3g}, {choice.solves} solves", fontsize=11
    )
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _residual(ax: Any, choice: Choice) -> None:
    lam, residual = choice.curve["lam"], choice.curve["residual"]
    ax.loglog(lam, residual, "o-", markersize=4)
    ax.axhline(choice.target, color="k", linestyle="--", linewidth=1, label=f"target {choice.target:.4g}")
    ax.plot(choice.lam, np.interp(np.log(choice.lam), np.log(lam), residual), "r*", markersize=12)
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
    ax.set_xlabel("λ")
    ax.set_ylabel(LABELS[what])
    ax.legend(fontsize=8)
