"""Measured HAADF tilt series: how far CGLS fits the data, and how far that carries over to angles it has not seen."""

from __future__ import annotations

import statistics

from .registry import Figure, row
from .session import Session

NITER, SLICES = 50, 11


def _residuals(session: Session) -> list[float]:
    return session.once(
        "haadf",
        lambda: [session.call("ipbox", "measured.residual", slice=i, niter=NITER)["residual"] for i in range(SLICES)],
    )


@row("haadf-cgls-slice-0", required=0.009, compare="max")
def first_slice(session: Session) -> Figure:
    return Figure(_residuals(session)[0], f"relative residual after {NITER} iterations")


@row("haadf-cgls-median", required=0.0125, compare="max")
def median_slice(session: Session) -> Figure:
    found = _residuals(session)
    note = f"{SLICES} slices: " + " ".join(f"{r:.4f}" for r in found)
    return Figure(statistics.median(found), note, {"residuals": found})


@row("haadf-held-out")
def held_out(session: Session) -> Figure:
    """Every fifth angle held out: its residual after 50 iterations over its own minimum (semi-convergence)."""
    found = session.call("ipbox", "measured.held_out", slice=0, niter=NITER, step=5)
    held, used = found["held_out"], found["used"]
    best = min(range(len(held)), key=held.__getitem__)
    note = (
        f"held out: {held[-1]:.4f} after {NITER} iterations, minimum {held[best]:.4f} at {best}; "
        f"used angles: {used[-1]:.4f} and {used[best]:.4f}"
    )
    return Figure(held[-1] / held[best], note, found)
