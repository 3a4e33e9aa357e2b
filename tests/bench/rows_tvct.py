"""TV reconstruction of a 512 x 512 chest-CT slice from 180 views, each code to its own discretisation's optimum."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .registry import Figure, row
from .session import ROOT, Session, median_of

SIZE, VIEWS, LAM = 512, 180, 0.5
ACCURACY = 1e-3
BALANCED = (0.0003, 0.0002, 0.0005, 0.001, 0.002)  # γ = √(0.99 τ/μ); the best ones first, the search is cut off by them
PLAIN = (0.0003, 0.001, 0.003)
OLD_BUILD = "IPBOX_OLD_BUILD"  # names the folder of a build to compare the default path with
PEERS_OPTIMUM = {"balanced": True, "gamma": 0.0005, "niter": 800}


def _data(session: Session) -> str:
    """ipbox's CT problem (data by Joseph's projector on finer pixels, 1 % noise), in units of pixels."""
    import ipbox as ip

    file = session.path("tvct.npz")
    A, b, x, info = ip.problem("ct", size=SIZE, views=VIEWS, noise=0.01, seed=0)
    np.savez(file, b=b, dims=A.dims, angles=info.angles, x=x * info.pixel_size)
    return file


def _hash(file: str) -> str:
    with np.load(file) as d:
        return hashlib.sha256(np.ascontiguousarray(d["b"])).hexdigest()


def _peers(session: Session, data: str) -> dict[str, Any]:
    """PyProximal's optimum and iterations for each pair, measured once and kept in build/ (no times in it)."""
    versions = session.once("peers-versions", lambda: session.call("peers", "about.versions"))
    settings = {
        "data": _hash(data), "lam": LAM, "accuracy": ACCURACY, "optimum": PEERS_OPTIMUM,
        "pyproximal": versions["pyproximal"], "pylops": versions["pylops"], "astra": versions["astra-toolbox"],
    }  # fmt: skip
    print("  (PyProximal's iterations are counted once, about 20 minutes, and kept in build/bench-cache)", flush=True)
    optimum = session.cached(
        "tvct-optimum", settings, lambda: session.call("peers", "tvct.optimum", data=data, lam=LAM, **PEERS_OPTIMUM)
    )["value"]
    pairs, best = {}, PEERS_OPTIMUM["niter"]
    for balanced, gamma in [(True, g) for g in BALANCED] + [(False, g) for g in PLAIN]:
        args = {"balanced": balanced, "gamma": gamma, "bound": optimum * (1 + ACCURACY), "limit": best}
        found = session.cached(
            "tvct-pair", {**settings, **args},
            lambda args=args: session.call("peers", "tvct.iterations_to", data=data, lam=LAM, **args),
        )  # fmt: skip
        pairs[balanced, gamma] = found
        best = min(best, found["niter"] or best)  # a pair that needs more is not the best one
    reached = {pair: found["niter"] for pair, found in pairs.items() if found["niter"] is not None}
    return {"optimum": optimum, "pairs": pairs, "best": min(reached, key=reached.get)}


@row("tvct-time-to-1e-3-pyproximal", required=20, unit="x", peers=True)
def time_to_accuracy(session: Session) -> Figure:
    data = _data(session)
    peers = _peers(session, data)
    balanced, gamma = peers["best"]
    iterations = peers["pairs"][peers["best"]]["niter"]
    args = {"data": data, "lam": LAM}
    optimum = session.call("ipbox", "tvct.optimum", **args, niter=1000 if session.quick else 3000)["value"]
    target = optimum * (1 + ACCURACY)
    found = session.call("ipbox", "tvct.iterations_to", **args, bound=target, limit=3000)
    if found["niter"] is None:
        raise RuntimeError(f"ipbox did not reach the target {target} within 3000 iterations")
    results = session.interleave(
        "tvct.run",
        {**args, "niter": found["niter"], "out": session.path("tvct_ipbox.npy")},
        {**args, "balanced": balanced, "gamma": gamma, "niter": 5},
    )
    if max(r["objective"] for r in results["ipbox"]) > target * (1 + 1e-6):
        raise RuntimeError("the image that was timed does not reach the target")
    ours, each = median_of(results["ipbox"]), median_of(results["peers"])
    theirs = iterations * each
    note = (
        f"PyProximal {theirs:.1f} s, {iterations} iterations of {1e3 * each:.0f} ms "
        f"({'balanced' if balanced else 'plain'} stack, γ = {gamma}, best of {len(peers['pairs'])}); "
        f"ipbox {ours:.2f} s, {found['niter']} iterations of {1e3 * ours / found['niter']:.1f} ms ({found['solver']}); "
        f"optima {peers['optimum']:.3f} and {optimum:.3f}"
    )
    raw = {side: [r["seconds"] for r in rs] for side, rs in results.items()}
    pairs = [{"balanced": b, "gamma": g, **f} for (b, g), f in peers["pairs"].items()]
    return Figure(theirs / ours, note, {**raw, "pairs": pairs})


def _default_path(folder: str | Path, *args: Any) -> dict[str, Any]:
    """What ``tvct_default.py`` prints, run with the build in ``folder``."""
    script = str(Path(__file__).with_name("tvct_default.py"))
    done = subprocess.run(
        [sys.executable, script, *map(str, args)], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"tvct_default.py failed in {folder}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


@row("tvct-default-path-to-1e-3", required=1.5, unit="x")
def default_path(session: Session) -> Figure:
    """`ip.tv` with its defaults against an older build's, to within 1e-3 of the optimum, the objective's true one.

    The older build's path was PDHG from zero with the default steps; where the variable names no folder, it is run by
    this one's solvers.  An operator's norm, which is found once, is not timed.
    """
    data, old = _data(session), os.environ.get(OLD_BUILD)
    settings = {"data": _hash(data), "lam": LAM, "niter": 1000}
    optimum = session.cached(
        "tvct-own-optimum", settings, lambda: session.call("ipbox", "tvct.optimum", data=data, lam=LAM, niter=1000)
    )["value"]
    sides = {"now": (ROOT, "None"), "before": (old, "None") if old else (ROOT, "PDHG")}
    niter: dict[str, Any] = dict.fromkeys(sides, f"bound={optimum * (1 + ACCURACY)}")
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(session.repeats + 1):
        for side, (folder, solver) in sides.items():
            found = _default_path(folder, data, LAM, niter[side], solver)
            niter[side] = found["niter"]
            runs[side].append(found)
    runs = {side: found[1:] for side, found in runs.items()}
    if max(r["objective"] for found in runs.values() for r in found) > optimum * (1 + ACCURACY) * (1 + 1e-6):
        raise RuntimeError("an image that was timed does not reach the target")
    seconds = {side: statistics.median(r["seconds"] for r in found) for side, found in runs.items()}
    note = "; ".join(
        f"{side} {seconds[side]:.2f} s, {niter[side]} iterations ({found[0]['solver']})" for side, found in runs.items()
    )
    note += f"; optimum {optimum:.4f}, {'the build that ' + OLD_BUILD + ' names' if old else 'PDHG from zero'}"
    return Figure(seconds["before"] / seconds["now"], note, runs)
