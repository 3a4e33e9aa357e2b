"""λ of TV chosen by rules on ten named problems: the discrepancy reached, and the PSNR lost against the best λ."""

from __future__ import annotations

from typing import Any

from .ipbox_choice import PROBLEMS
from .registry import Figure, row
from .session import Session

NEAR = 0.5  # dB from the best λ


def _discrepancy(session: Session) -> dict[str, dict[str, Any]]:
    return session.once(
        "choice-discrepancy",
        lambda: {name: session.call("ipbox", "choice.discrepancy", name=name) for name in PROBLEMS},
    )


def _rules(session: Session) -> dict[str, dict[str, float]]:
    return session.once(
        "choice-rules", lambda: {name: session.call("ipbox", "choice.rules", name=name) for name in PROBLEMS}
    )


@row("lam-discrepancy-error", required=0.01, compare="max")
def error(session: Session) -> Figure:
    """Worst | ‖Au - b‖/target - 1 |, of the images returned and of accurate solves for the same λ."""
    found = _discrepancy(session)
    note = ", ".join(f"{name} {r['error']:.4f} (solved again {r['again']:.4f})" for name, r in found.items())
    return Figure(max(max(r["error"], r["again"]) for r in found.values()), note, found)


@row("lam-discrepancy-solves", required=12, compare="max")
def solves(session: Session) -> Figure:
    found = _discrepancy(session)
    note = ", ".join(f"{name} {r['solves']}" for name, r in found.items())
    return Figure(max(r["solves"] for r in found.values()), note, found)


def _near(session: Session, rule: str) -> Figure:
    lost = {name: r[rule] for name, r in _rules(session).items()}
    note = "dB below the best λ: " + ", ".join(f"{name} {value:.2f}" for name, value in lost.items())
    return Figure(sum(value <= NEAR for value in lost.values()), note, lost)


@row("lam-lcurve", required=7, unit="of 10")
def l_curve(session: Session) -> Figure:
    return _near(session, "l_curve")


@row("lam-gcv", required=7, unit="of 10")
def gcv(session: Session) -> Figure:
    return _near(session, "gcv")


@row("lam-sure", required=7, unit="of 10")
def sure(session: Session) -> Figure:
    return _near(session, "sure")
