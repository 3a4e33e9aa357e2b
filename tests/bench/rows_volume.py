"""TV denoising of a volume of 256³ voxels in float32: a step against a copy, and scikit-image's to one objective."""

from __future__ import annotations

import statistics

import numpy as np

from .common import LAM, SIGMA, denoising_objective
from .registry import Figure, row
from .session import Session, median_of, seconds_of

SIZE, NITER = 256, 20


def _data(session: Session) -> str:
    """Three ellipsoids in one another with Gaussian noise."""

    def save() -> str:
        z, y, x = np.meshgrid(*3 * [np.linspace(-1, 1, SIZE, dtype=np.float32)], indexing="ij", sparse=True)
        u = 0.7 * ((z / 0.8) ** 2 + (y / 0.9) ** 2 + (x / 0.7) ** 2 < 1).astype(np.float32)
        u += 0.3 * ((z - 0.2) ** 2 + y**2 + (x + 0.1) ** 2 < 0.1) - 0.4 * (z**2 + (y / 0.3) ** 2 + x**2 < 0.04)
        noise = np.random.default_rng(0).standard_normal(u.shape, np.float32)
        np.save(session.path("volume.npy"), u + np.float32(SIGMA) * noise)
        return session.path("volume.npy")

    return session.once("volume", save)


@row("tv-volume-iteration-over-copy", required=2.5, compare="max", unit="x")
def iteration(session: Session) -> Figure:
    """A step over a copy of as many bytes as the arrays that it has to read and to write have."""
    runs = [session.call("ipbox", "volume.iterate", data=_data(session), lam=LAM, niter=NITER)]
    runs += [session.call("ipbox", "volume.iterate", data=_data(session), lam=LAM, niter=NITER) for _ in range(2)]
    seconds, copy = (statistics.median(r[key] for r in runs) for key in ("seconds", "copy"))
    moved = runs[0]["bytes"]
    note = f"{1e3 * seconds:.1f} ms; copy of {moved / 2**20:.0f} MiB {1e3 * copy:.1f} ms, {moved / copy / 1e9:.1f} GB/s"
    return Figure(seconds / copy, note, {"runs": runs})


@row("tv-volume-skimage", required=15, unit="x", peers=True)
def same_objective(session: Session) -> Figure:
    """scikit-image as it stops by itself, and accelerated PDHG to the same objective."""
    args, theirs = {"data": _data(session), "lam": LAM}, session.path("volume_peers.npy")
    session.call("peers", "volume.denoise", **args, out=theirs)
    b = np.load(_data(session))
    bound = denoising_objective(np.load(theirs), b, LAM)
    niter = session.call("ipbox", "volume.iterations_to", **args, bound=bound, limit=500)["niter"]
    if niter is None:
        raise RuntimeError(f"ipbox did not reach scikit-image's objective {bound} in 500 iterations")
    ours = session.path("volume_ipbox.npy")
    results = session.interleave("volume.denoise", {**args, "niter": niter, "out": ours}, {**args, "out": theirs})
    value = denoising_objective(np.load(ours), b, LAM)
    if value > bound * (1 + 1e-6):
        raise RuntimeError(f"the volume that was timed has the objective {value}, not {bound}")
    a, c = median_of(results["ipbox"]), median_of(results["peers"])
    note = f"scikit-image {c:.1f} s to the objective {bound:.1f}; ipbox {a:.2f} s, {niter} iterations"
    return Figure(c / a, note, seconds_of(results))
