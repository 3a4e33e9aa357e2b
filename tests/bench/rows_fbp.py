"""Filtered back-projection of exact sinograms against scikit-image's iradon: error and cost."""

from __future__ import annotations

from .registry import Figure, row
from .session import Session, median_of, seconds_of

N, VIEWS = 512, 720
RAMP = (["ramp"], ["ramp linear", "ramp cubic"])
# Without the average over a detector pixel, a window that does as much belongs to the filter (ipbox), or to the
# interpolation (linear): each side with what suits it best.
WINDOWED = (["ramp", "shepp-logan"], ["ramp linear", "ramp cubic", "shepp-logan linear"])


def _data(session: Session, phantom: str, bins: bool, n: int = N) -> dict[str, dict[str, str]]:
    """Paths of sinogram and truth for each side."""
    sides, kinds = ("ipbox", "peers"), ("sinogram", "truth")
    paths = {f"{s} {k}": session.path(f"fbp_{phantom}_{n}_{bins}_{s}_{k}.npy") for s in sides for k in kinds}
    args = {"n": n, "n_angles": VIEWS, "phantom": phantom, "bins": bins, "paths": paths}
    session.once(f"fbp {phantom} {n} {bins}", lambda: session.call("ipbox", "fbp.phantom", **args))
    return {side: {kind: paths[f"{side} {kind}"] for kind in kinds} for side in sides}


def _error(session: Session, phantom: str, bins: bool, n: int = N) -> Figure:
    """The lowest error of ipbox over the lowest of scikit-image."""
    data = _data(session, phantom, bins, n)
    methods = dict(zip(("ipbox", "peers"), RAMP if bins else WINDOWED, strict=True))
    found = {side: session.call(side, "fbp.errors", **data[side], methods=methods[side]) for side in data}
    note = "; ".join(
        f"{name}: " + ", ".join(f"{method} {100 * e:.3f} %" for method, e in found[side].items())
        for side, name in (("ipbox", "ipbox"), ("peers", "iradon"))
    )
    return Figure(min(found["ipbox"].values()) / min(found["peers"].values()), note, found)


@row("fbp-error-iradon", required=1, compare="max", unit="x", peers=True)
def error_of_bins(session: Session) -> Figure:
    """Readings are averages over detector pixels, as `RayTransform` models them; the ramp filter on both sides."""
    return _error(session, "ellipses", bins=True)


@row("fbp-error-iradon-points", required=1, compare="max", unit="x", peers=True)
def error_of_points(session: Session) -> Figure:
    """Readings are line integrals through the middle of the detector pixels."""
    return _error(session, "ellipses", bins=False)


@row("fbp-error-iradon-513", unit="x", peers=True)
def error_on_one_grid(session: Session) -> Figure:
    """Odd, so that the pixels of both sides are the same: half a pixel changes the error of the edges by some %."""
    return _error(session, "ellipses", bins=True, n=513)


@row("fbp-error-iradon-513-points", unit="x", peers=True)
def error_on_one_grid_at_points(session: Session) -> Figure:
    return _error(session, "ellipses", bins=False, n=513)


@row("fbp-error-iradon-shepp-logan", unit="x", peers=True)
def error_of_a_head(session: Session) -> Figure:
    return _error(session, "shepp-logan", bins=True)


@row("fbp-error-iradon-shepp-logan-points", unit="x", peers=True)
def error_of_a_head_at_points(session: Session) -> Figure:
    return _error(session, "shepp-logan", bins=False)


@row("fbp-seconds-iradon", required=20, unit="x", peers=True)
def cost(session: Session) -> Figure:
    """The ramp filter; iradon with linear interpolation, several times faster than cubic."""
    data = _data(session, "ellipses", bins=True)
    for side, methods in (("ipbox", ["ramp"]), ("peers", ["ramp linear"])):
        (error,) = session.call(side, "fbp.errors", **data[side], methods=methods).values()
        if error > 0.02:
            raise RuntimeError(f"{side} is {100 * error:.1f} % off the phantom; both must reconstruct it")
    args = {side: {"sinogram": data[side]["sinogram"]} for side in data}
    results = session.interleave("fbp.seconds", args["ipbox"], args["peers"])
    ours, theirs = median_of(results["ipbox"]), median_of(results["peers"])
    return Figure(theirs / ours, f"iradon {1e3 * theirs:.0f} ms, ipbox {1e3 * ours:.1f} ms", seconds_of(results))
