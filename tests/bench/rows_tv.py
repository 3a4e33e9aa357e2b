"""TV denoising of a 512 x 512 image: time per iteration, agreement, time to a given accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .common import LAM, denoising_bound, denoising_objective, noisy_camera
from .registry import Figure, row
from .session import Session, median_of, seconds_of

NITER = 100
ACCURACY = 1e-4  # of the optimum, above it


def _data(session: Session) -> str:
    def save() -> str:
        np.save(session.path("camera.npy"), noisy_camera())
        return session.path("camera.npy")

    return session.once("camera", save)


def _objective(session: Session, image: str) -> float:
    return denoising_objective(np.load(image), np.load(_data(session)), LAM)


def _iterations(session: Session, peer: str) -> dict[str, list[dict[str, Any]]]:
    args = {"data": _data(session), "lam": LAM, "niter": NITER}
    ipbox, peers = session.path("x_ipbox.npy"), session.path(f"x_{peer}.npy")
    return session.once(
        f"tv-iterations-{peer}",
        lambda: session.interleave("tv.iterate", {**args, "out": ipbox}, {**args, "out": peers, "peer": peer}),
    )


def _speed(session: Session, peer: str) -> Figure:
    results = _iterations(session, peer)
    ours, theirs = median_of(results["ipbox"]), median_of(results["peers"])
    note = f"{peer} {1e3 * theirs:.2f} ms, ipbox {1e3 * ours:.3f} ms per iteration, float32"
    return Figure(theirs / ours, note, seconds_of(results))


@row("tv-iteration-pyproximal", required=15, unit="x", peers=True)
def pyproximal_speed(session: Session) -> Figure:
    return _speed(session, "pyproximal")


@row("tv-iteration-deepinv", unit="x", peers=True)
def deepinv_speed(session: Session) -> Figure:
    return _speed(session, "deepinv")


@row("tv-iteration-skimage", unit="x", peers=True)
def skimage_speed(session: Session) -> Figure:
    return _speed(session, "skimage")


@row("tv-iteration-odl", unit="x", peers=True)
def odl_speed(session: Session) -> Figure:
    return _speed(session, "odl")


@row("tv-objective-agreement", required=1e-5, compare="max", peers=True)
def agreement(session: Session) -> Figure:
    """The objective after the same iterations: ipbox float32 against PyProximal float64."""
    _iterations(session, "pyproximal")
    reference = session.path("x_pyproximal64.npy")
    session.call("peers", "tv.iterate", data=_data(session), lam=LAM, niter=NITER, out=reference, dtype="float64")
    ours, theirs = _objective(session, session.path("x_ipbox.npy")), _objective(session, reference)
    note = f"after {NITER} iterations: ipbox float32 {ours:.6f}, PyProximal float64 {theirs:.6f}"
    return Figure(abs(ours - theirs) / theirs, note)


def _optimum(session: Session) -> dict[str, float]:
    """The optimal value by ipbox in float64, with a lower bound computed here from its dual variable."""

    def solve() -> dict[str, float]:
        file = session.path("optimum.npz")
        session.call("ipbox", "tv.optimum", data=_data(session), lam=LAM, gap=1e-8, out=file)
        b = np.load(_data(session))
        with np.load(file) as saved:
            return {"value": denoising_objective(saved["x"], b, LAM), "bound": denoising_bound(saved["y"], b, LAM)}

    return session.once("tv-optimum", solve)


@row("tv-optimum-gap", required=2e-8, compare="max")
def optimum_gap(session: Session) -> Figure:
    """What the accuracy below is measured against, proved by an independent evaluation of the duality gap."""
    found = _optimum(session)
    return Figure((found["value"] - found["bound"]) / found["value"], f"optimum {found['value']:.6f}", found)


@row("tv-time-to-1e-4-deepinv", required=8, unit="x", peers=True)
def time_to_accuracy(session: Session) -> Figure:
    """deepinv at the best of several step sizes (0.01 is its default) against accelerated PDHG."""
    target = _optimum(session)["value"] * (1 + ACCURACY)
    args = {"data": _data(session), "lam": LAM}
    ours = session.call("ipbox", "tv.iterations_to", **args, bound=target, limit=2000)["niter"]
    taus = (0.01,) if session.quick else (0.003, 0.01, 0.03, 0.1)
    found = {t: session.call("peers", "tv.iterations_to", **args, bound=target, limit=3000, tau=t) for t in taus}
    reached = {t: r["niter"] for t, r in found.items() if r["niter"] is not None}
    if ours is None or not reached:
        raise RuntimeError(f"the target was not reached: ipbox {ours}, deepinv {found}")
    tau = min(reached, key=reached.get)
    files = {side: session.path(f"denoised_{side}.npy") for side in ("ipbox", "peers")}
    results = session.interleave(
        "tv.denoise",
        {**args, "niter": ours, "out": files["ipbox"]},
        {**args, "niter": reached[tau], "out": files["peers"], "tau": tau},
    )
    for side, file in files.items():  # the images that were timed are as good as they are said to be
        if _objective(session, file) > target * (1 + 1e-6):
            raise RuntimeError(f"the image of {side} does not reach the target")
    a, b = median_of(results["ipbox"]), median_of(results["peers"])
    note = (
        f"deepinv {b:.2f} s, {reached[tau]} iterations at tau={tau} (of {reached}); ipbox {a:.4f} s, {ours} iterations"
    )
    return Figure(b / a, note, seconds_of(results))


@row("tv-gap-1e-4-pyproximal", required=15, unit="x", peers=True)
def time_to_gap(session: Session) -> Figure:
    """PDHG to a relative duality gap of 1e-4, against PrimalDual at the best of several τ to the same objective."""
    args = {"data": _data(session), "lam": LAM}
    ours = session.path("gap.npz")
    session.call("ipbox", "tv.denoise_to", **args, gap=ACCURACY, out=ours)
    b = np.load(_data(session))
    with np.load(ours) as saved:
        value, bound = denoising_objective(saved["x"], b, LAM), denoising_bound(saved["y"], b, LAM)
    if (value - bound) / value > ACCURACY * (1 + 1e-2):  # evaluated here, in float64
        raise RuntimeError(f"the relative gap of ipbox is {(value - bound) / value:.2e}, not {ACCURACY}")
    taus = (8**-0.5,) if session.quick else (0.1, 8**-0.5, 1.0, 3.0)
    found = {
        t: session.call("peers", "tv.pyproximal_iterations_to", **args, bound=value, limit=3000, tau=t)["niter"]
        for t in taus
    }
    reached = {t: n for t, n in found.items() if n is not None}
    if not reached:
        raise RuntimeError(f"PyProximal did not reach the objective of ipbox: {found}")
    tau, theirs = min(reached, key=reached.get), session.path("gap_peers.npy")
    results = session.interleave(
        "tv.denoise_to",
        {**args, "gap": ACCURACY, "out": ours},
        {**args, "niter": reached[tau], "out": theirs, "tau": tau},
    )
    if _objective(session, theirs) > value * (1 + 1e-6):
        raise RuntimeError("the image of PyProximal does not reach the objective of ipbox")
    a, c = median_of(results["ipbox"]), median_of(results["peers"])
    note = (
        f"PyProximal {c:.2f} s, {reached[tau]} iterations at tau={tau:.3g} (of {found}); "
        f"ipbox {a:.4f} s, {results['ipbox'][0]['niter']} iterations and their gaps"
    )
    return Figure(c / a, note, seconds_of(results))
