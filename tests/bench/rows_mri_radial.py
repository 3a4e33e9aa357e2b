"""Radial MRI, 256 x 256, 8 simulated coils, 2-fold undersampled: gridding against SigPy, SENSE with estimated maps."""

from __future__ import annotations

import numpy as np

from .registry import Figure, row
from .session import Session, median_of, seconds_of

PROBLEM = {"n": 256, "coils": 8, "undersampling": 2}


@row("mri-radial-gridding-sigpy", required=1e-4, compare="max", peers=True)
def gridding(session: Session) -> Figure:
    """Relative l2 difference of two gridding reconstructions with the same density compensation."""
    data = session.path("mri_radial.npz")
    session.call("ipbox", "mri_radial.save", out=data, **PROBLEM)
    out = {side: session.path(f"mri_radial_{side}.npy") for side in ("ipbox", "peers")}
    args = {"data": data, "seconds": 0.5, **PROBLEM}
    results = session.interleave("mri_radial.gridding", *({**args, "out": out[side]} for side in ("ipbox", "peers")))
    ours, theirs = (np.load(out[side]).astype(np.complex128) for side in ("ipbox", "peers"))
    seconds = {side: median_of(results[side]) for side in results}
    note = (
        f"SigPy {1e3 * seconds['peers']:.0f} ms, ipbox {1e3 * seconds['ipbox']:.0f} ms: "
        f"{seconds['peers'] / seconds['ipbox']:.1f} times faster"
    )
    return Figure(float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)), note, seconds_of(results))


def _loss(session: Session, method: str) -> Figure:
    """PSNR lost by estimating the maps; the larger of the whole image's (where masks help) and of the head's."""
    niter = 20
    found = session.once(
        "mri-radial-sense", lambda: session.call("ipbox", "mri_radial.sense", niter=niter, calibration=24, **PROBLEM)
    )
    true, estimated = found["true"], found[method]
    losses = {key: true[key] - estimated[key] for key in ("psnr", "psnr_head")}
    note = (
        f"whole image {estimated['psnr']:.2f} dB instead of {true['psnr']:.2f}, "
        f"head {estimated['psnr_head']:.2f} instead of {true['psnr_head']:.2f}; {niter} iterations each"
    )
    return Figure(max(losses.values()), note, found)


@row("mri-radial-sense-espirit", required=1.0, compare="max", unit="dB")
def espirit(session: Session) -> Figure:
    return _loss(session, "espirit")


@row("mri-radial-sense-low-resolution", required=1.0, compare="max", unit="dB")
def low_resolution(session: Session) -> Figure:
    return _loss(session, "low-resolution")
