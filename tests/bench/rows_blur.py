"""Blur with zero boundary: cost against PyLops' Convolve2D."""

from __future__ import annotations

import numpy as np

from .registry import Figure, row
from .session import Session, median_of, seconds_of


def _agree(session: Session, n: int, size: int) -> float:
    """Relative difference of the two sides' A u and A* v: that both compute the same thing."""
    rng = np.random.default_rng(1)
    np.save(session.path("blur_x.npy"), rng.random((n, n), dtype=np.float32))
    results = {}
    for side in ("ipbox", "peers"):
        out = session.path(f"blur_{side}.npy")
        session.call(side, "blur.both", n=n, size=size, data=session.path("blur_x.npy"), out=out)
        results[side] = np.load(out).astype(np.float64)
    return float(np.linalg.norm(results["ipbox"] - results["peers"]) / np.linalg.norm(results["peers"]))


def _against_convolve2d(session: Session, n: int, size: int) -> Figure:
    difference = _agree(session, n, size)
    if difference > 1e-5:
        raise RuntimeError(f"ipbox and Convolve2D differ by {difference:.1e}; they must be the same map")
    args = {"n": n, "size": size, "seconds": 0.25}
    results = session.interleave("blur.forward_adjoint", args, args)
    ours, theirs = median_of(results["ipbox"]), median_of(results["peers"])
    note = ", ".join(
        f"{name} {1e3 * median_of(results[side], 'forward'):.2f} + {1e3 * median_of(results[side], 'adjoint'):.2f} ms"
        for side, name in (("peers", "Convolve2D"), ("ipbox", "ipbox"))
    )
    return Figure(theirs / ours, f"{note}, float32", seconds_of(results))


@row("blur-512-9x9-convolve2d", required=4, unit="x", peers=True)
def small_kernel(session: Session) -> Figure:
    """A kernel with 81 different weights, neither symmetric nor separable: summed directly."""
    return _against_convolve2d(session, 512, 9)


@row("blur-512-31x31-convolve2d", unit="x", peers=True)
def large_kernel(session: Session) -> Figure:
    """FFTs on both sides; the kernel's own is kept here."""
    return _against_convolve2d(session, 512, 31)
