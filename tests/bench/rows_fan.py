"""The fan-beam transform: cost against ASTRA's CPU projector, accuracy against exact sinograms."""

from __future__ import annotations

import numpy as np

from .registry import Figure, row
from .session import Session, median_of, seconds_of

N, VIEWS, N_DET = 512, 180, 775  # detector pixels cover the image's disc


def _agree(session: Session) -> float:
    """Relative difference of the projections of a smooth image, and of their back-projections.

    Each ray gives to single pixels, in both models: the back-projections are compared as averages over 8 x 8 pixels.
    """
    y, x = np.mgrid[:N, :N] / N - 0.5
    image = np.exp(-20 * ((x - 0.1) ** 2 + 2 * (y + 0.05) ** 2)).astype(np.float32)
    np.save(session.path("blob.npy"), image)
    found = {}
    for side in ("ipbox", "peers"):
        out = session.path(f"fan_{side}.npz")
        session.call(side, "fan.project", data=session.path("blob.npy"), n_angles=VIEWS, n_det=N_DET, out=out)
        with np.load(out) as file:
            blocks = file["x"].astype(np.float64).reshape(N // 8, 8, N // 8, 8).mean(axis=(1, 3))
            found[side] = [file["y"].astype(np.float64), blocks]
    pairs = zip(found["ipbox"], found["peers"], strict=True)
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


@row("fan-512x180-astra", required=5, unit="x", peers=True)
def against_astra(session: Session) -> Figure:
    difference = _agree(session)
    if difference > 2e-3:
        raise RuntimeError(f"ipbox and ASTRA differ by {difference:.1e} on a smooth image; they must be the same map")
    args = {"n": N, "n_angles": VIEWS, "n_det": N_DET, "seconds": 0.25}
    results = session.interleave("fan.forward_adjoint", args, args)
    ours, theirs = median_of(results["ipbox"]), median_of(results["peers"])
    note = ", ".join(
        f"{name} {1e3 * median_of(results[side], 'forward'):.1f} + {1e3 * median_of(results[side], 'adjoint'):.1f} ms"
        for side, name in (("peers", "ASTRA"), ("ipbox", "ipbox"))
    )
    return Figure(theirs / ours, f"{note}; they differ by {difference:.1e}", seconds_of(results))


@row("fan-accuracy-512", required=0.5, compare="max", unit="%")
def accuracy(session: Session) -> Figure:
    result = session.call("ipbox", "fan.accuracy", n=N)
    return Figure(100 * result["error"], f"{result['n_det']} detector pixels, {VIEWS} views over 2π", result)


@row("fan-rebinning-cost", unit="x")
def rebinning(session: Session) -> Figure:
    """Rebinning's transform of as many angles as there are pixels to turn through at the rim, against direct rays."""
    parallel = 804  # π/2 * 512: neighbouring angles are a pixel apart there
    args = {"n": N, "n_angles": VIEWS, "n_det": N_DET, "seconds": 0.25}
    seconds = {"direct": [], "rebinned": []}
    for _ in range(session.repeats):
        seconds["direct"].append(session.call("ipbox", "fan.forward_adjoint", **args)["seconds"])
        seconds["rebinned"].append(session.call("ipbox", "fan.rebinned", parallel=parallel, **args)["seconds"])
    direct, rebinned = (float(np.median(seconds[name])) for name in ("direct", "rebinned"))
    note = (
        f"{1e3 * rebinned:.1f} ms for the parallel transform of {parallel} angles alone, {1e3 * direct:.1f} ms direct"
    )
    return Figure(rebinned / direct, note, seconds)
