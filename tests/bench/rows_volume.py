"""TV of volumes in float32: a step of denoising against a copy and scikit-image, and the memory of cone beam."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

import numpy as np

from .common import LAM, SIGMA, denoising_objective
from .registry import Figure, row
from .session import ROOT, Session, median_of

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


def _beside(session: Session, niter: int | None) -> Figure:
    """scikit-image after ``niter`` iterations, or as it stops by itself, and accelerated PDHG to its objective."""
    args, theirs = {"data": _data(session), "lam": LAM}, session.path("volume_peers.npy")
    peer = session.call("peers", "volume.denoise", **args, out=theirs, niter=niter)
    b = np.load(_data(session))
    bound = denoising_objective(np.load(theirs), b, LAM)
    steps = session.call("ipbox", "volume.iterations_to", **args, bound=bound, limit=500)["niter"]
    if steps is None:
        raise RuntimeError(f"ipbox did not reach scikit-image's objective {bound} in 500 iterations")
    ours = session.path("volume_ipbox.npy")
    runs = [session.call("ipbox", "volume.denoise", **args, niter=steps, out=ours) for _ in range(session.repeats + 1)]
    value = denoising_objective(np.load(ours), b, LAM)
    if value > bound * (1 + 1e-6):
        raise RuntimeError(f"the volume that was timed has the objective {value}, not {bound}")
    a, c = median_of(runs[1:]), peer["seconds"]
    note = f"scikit-image {c:.1f} s to the objective {bound:.1f}; ipbox {a:.2f} s, {steps} iterations"
    return Figure(c / a, note, {"ipbox": [r["seconds"] for r in runs[1:]], "peers": [c]})


@row("tv-volume-skimage", required=15, unit="x", peers=True)
def same_objective(session: Session) -> Figure:
    """To what scikit-image reaches in the most iterations it takes by default, 200."""
    return _beside(session, 200)


@row("tv-volume-skimage-default", unit="x", peers=True)
def default_objective(session: Session) -> Figure:
    """To where scikit-image's own rule stops, after some ten iterations."""
    return _beside(session, None)


def _memory(*arguments: int) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory_volume", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
    )  # fmt: skip
    if run.returncode != 0:
        raise RuntimeError(f"python -m tests.bench.memory_volume failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


@row("memory-tv-cone-growth", required=10, compare="max", unit="volumes")
def growth(session: Session) -> Figure:
    """TV of 192³ voxels from 60 views of 192 x 192: everything that `ip.tv` takes beside the data."""
    found = _memory(192, 60, 11)
    note = f"{found['solver']}, state {found['state']:.1f} volumes; the data are {found['data']:.2f}"
    return Figure(found["growth"], note, found)


@row("memory-tv-cone-512", required=12, compare="max", unit="GiB")
def largest(session: Session) -> Figure:
    """512³ voxels from 360 views of 512 x 512 in blocks, with 4 GiB: an hour or more (quickly: 128³ from 60 views).

    Two iterations, which take as much as two hundred.  The figure is all that is resident at the peak, also of the
    files, which the system could drop; what it could not is told beside it.
    """
    size = (128, 60, 2, 60 * 10**6, 32) if session.quick else (512, 360, 2, 4 * 2**30)
    found = _memory(*size)
    told = [f"{found[key]:.2f}" for key in ("anonymous_gib", "told_gib", "files_gib")]
    note = (
        f"{size[0]}³ in {found['blocks']} blocks of {found['slices']}, {found['seconds']:.0f} s: {told[0]} GiB are "
        f"in no file, {told[1]} foretold, {size[3] / 2**30:.2g} given; {told[2]} GiB of files"
    )
    return Figure(found["gib"], note, found)
