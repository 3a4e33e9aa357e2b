"""Cone beam: the projectors and `ip.fdk` against RTK's on the same cores, and beside mbirjax and diffct."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import cone_phantom
from .registry import Figure, row
from .session import Session, median_of, seconds_of

SIZE = {"n": 128, "views": 120, "n_det": 192}
SMALL = {"n": 64, "views": 60, "n_det": 96}  # for trying out, and beside what takes minutes for the other
SCALES = (64, 256)  # of the growth, with views and panel in proportion


def _size(session: Session) -> dict[str, int]:
    return SMALL if session.quick else SIZE


def differences(session: Session) -> tuple[float, float]:
    """Relative differences of the projections of the ellipsoids, and of their back-projections."""

    def measure() -> tuple[float, float]:
        size, found = _size(session), {}
        np.save(session.path("ellipsoids.npy"), cone_phantom.volume(size["n"]))
        for side in ("ipbox", "peers"):
            out = session.path(f"cone_{side}.npz")
            args = {"data": session.path("ellipsoids.npy"), "views": size["views"], "n_det": size["n_det"]}
            session.call(side, "cone.project", out=out, **args)
            with np.load(out) as file:
                found[side] = [file[key].astype(np.float64) for key in ("y", "x")]
        pairs = zip(found["ipbox"], found["peers"], strict=True)
        y, x = (float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)
        return y, x

    return session.once("cone differences", measure)


def _against(session: Session, task: str, **options: Any) -> Figure:
    projections, _ = differences(session)
    if projections > 1e-5:
        raise RuntimeError(f"projections of ipbox and RTK differ by {projections:.1e}; they must be the same to 1e-5")
    args = {**_size(session), "seconds": 0.25, **options}
    results = session.interleave(task, args, args)
    ours, theirs = median_of(results["ipbox"]), median_of(results["peers"])
    note = f"RTK {1e3 * theirs:.0f} ms, ipbox {1e3 * ours:.0f} ms; projections differ by {projections:.1e}"
    return Figure(theirs / ours, note, seconds_of(results))


@row("cone-forward-rtk", required=5, unit="x", peers=True)
def forward(session: Session) -> Figure:
    return _against(session, "cone.forward")


@row("cone-adjoint-rtk", required=8, unit="x", peers=True)
def adjoint(session: Session) -> Figure:
    return _against(session, "cone.adjoint")


@row("cone-adjoint-rtk-voxels", required=1.5, unit="x", peers=True)
def voxel_driven(session: Session) -> Figure:
    """Against RTK's back-projection that is not the transpose of its projection."""
    return _against(session, "cone.adjoint", voxel_driven=True)


def _fdk(session: Session) -> dict[str, Any]:
    """Results of both sides from the closed-form projections of the ellipsoids, with their errors."""

    def measure() -> dict[str, Any]:
        size, data = _size(session), session.path("cone_projections.npy")
        np.save(data, cone_phantom.projections(**size))
        args = [{"data": data, "n": size["n"], "out": session.path(f"fdk_{side}.npy")} for side in ("ipbox", "peers")]
        results: dict[str, Any] = session.interleave("cone.fdk", *args)
        truth = cone_phantom.volume(size["n"])
        errors = {a["out"]: cone_phantom.error(np.load(a["out"]), truth) for a in args}
        return {"results": results, "ipbox": errors[args[0]["out"]], "peers": errors[args[1]["out"]]}

    return session.once("cone fdk", measure)


@row("cone-fdk-rtk", required=3, unit="x", peers=True)
def fdk(session: Session) -> Figure:
    found = _fdk(session)
    ours, theirs = (median_of(found["results"][side]) for side in ("ipbox", "peers"))
    note = f"RTK {1e3 * theirs:.0f} ms, ipbox {1e3 * ours:.0f} ms"
    return Figure(theirs / ours, note, seconds_of(found["results"]))


@row("cone-fdk-error-rtk", required=1, compare="max", unit="of RTK's", peers=True)
def fdk_error(session: Session) -> Figure:
    """Relative errors in the cylinder that is seen, of ellipsoids averaged over the voxels."""
    found = _fdk(session)
    note = f"RTK {100 * found['peers']:.2f} %, ipbox {100 * found['ipbox']:.2f} %"
    return Figure(found["ipbox"] / found["peers"], note, {side: found[side] for side in ("ipbox", "peers")})


def _growth(session: Session, task: str) -> Figure:
    """The p of cost ~ n^p between two sizes."""
    seconds = []
    for n in SCALES:
        args = {"n": n, "views": n * 15 // 16, "n_det": n * 3 // 2, "seconds": 0.25}
        session.call("ipbox", task, **args)
        seconds.append(min(session.call("ipbox", task, **args)["seconds"] for _ in range(min(session.repeats, 3))))
    low, high = seconds
    p = math.log(high / low) / math.log(SCALES[1] / SCALES[0])
    note = f"{1e3 * low:.1f} ms for {SCALES[0]}³, {1e3 * high:.0f} ms for {SCALES[1]}³"
    return Figure(p, note, {"seconds": seconds})


@row("cone-forward-growth", required=4, compare="max", unit="power")
def forward_growth(session: Session) -> Figure:
    return _growth(session, "cone.forward")


@row("cone-adjoint-growth", required=4, compare="max", unit="power")
def adjoint_growth(session: Session) -> Figure:
    return _growth(session, "cone.adjoint")


def _beside(library: str) -> Callable[[Session], Figure]:
    """`ip.fdk` beside the FDK and the projector of a library whose discretisation is another one."""

    def measure(session: Session) -> Figure:
        data, n, found, errors = session.path("cone_small.npy"), SMALL["n"], {}, {}
        np.save(data, cone_phantom.projections(**SMALL))
        truth = cone_phantom.volume(n)
        for side, task, more in (("ipbox", "cone.fdk", {}), ("peers", "cone_others.fdk", {"library": library})):
            out = session.path(f"fdk_small_{side}.npy")
            args = {"data": data, "n": n, "out": out, **more}
            found[side] = [session.call(side, task, **args) for _ in range(2)][-1]  # the first one compiles
            errors[side] = cone_phantom.error(np.load(out), truth)
        ours, theirs = found["ipbox"]["seconds"], found["peers"]
        note = (
            f"FDK of {n}³: {library} {theirs['seconds']:.2f} s with {100 * errors['peers']:.2f} % error, ipbox "
            f"{ours:.3f} s with {100 * errors['ipbox']:.2f} %; {library}'s projection {theirs['forward']:.2f} s, "
            f"transpose {theirs['adjoint']:.2f} s"
        )
        return Figure(theirs["seconds"] / ours, note, {**found, "errors": errors})

    return measure


for _library in ("diffct", "mbirjax"):
    row(f"cone-{_library}", unit="x", peers=True)(_beside(_library))
