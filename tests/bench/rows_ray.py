"""The ray transform: cost against CT2D, growth with size, accuracy against exact sinograms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .common import parallel_angles
from .registry import Figure, row
from .session import Session, median_of, seconds_of


def _agree(session: Session, n: int, n_det: int) -> float:
    """Relative difference of the two projections of a smooth image: that both measure the same thing."""
    y, x = np.mgrid[:n, :n] / n - 0.5
    image = np.exp(-20 * ((x - 0.1) ** 2 + 2 * (y + 0.05) ** 2)).astype(np.float32)
    np.save(session.path("blob.npy"), image)
    args = {"data": session.path("blob.npy"), "angles": parallel_angles(12).tolist(), "n_det": n_det}
    p = {}
    for side in ("ipbox", "peers"):
        out = session.path(f"blob_{side}.npy")
        session.call(side, "ray.project", **args, out=out)
        p[side] = np.load(out).astype(np.float64)
    return float(np.linalg.norm(p["ipbox"] - p["peers"]) / np.linalg.norm(p["peers"]))


def _against_ct2d(session: Session, n: int, n_angles: int, n_det: int) -> Figure:
    difference = _agree(session, n, n_det)
    if difference > 5e-3:
        raise RuntimeError(f"ipbox and CT2D differ by {difference:.1e} on a smooth image; they must be the same map")
    args = {"n": n, "n_angles": n_angles, "n_det": n_det, "seconds": 0.25}
    results = session.interleave("ray.forward_adjoint", args, args)
    ours, theirs = median_of(results["ipbox"]), median_of(results["peers"])
    note = ", ".join(
        f"{name} {1e3 * median_of(results[side], 'forward'):.2f} + {1e3 * median_of(results[side], 'adjoint'):.2f} ms"
        for side, name in (("peers", "CT2D"), ("ipbox", "ipbox"))
    )
    return Figure(theirs / ours, f"{note}, {n_det} detector pixels", seconds_of(results))


def _diagonal(n: int) -> int:
    return math.ceil(math.sqrt(2) * n)


@row("ray-256x50-ct2d", required=15, unit="x", peers=True)
def small(session: Session) -> Figure:
    """The detector covers the diagonal, as `RayTransform` and `problem("ct")` have it by default."""
    return _against_ct2d(session, 256, 50, _diagonal(256))


@row("ray-512x180-ct2d", required=30, unit="x", peers=True)
def large(session: Session) -> Figure:
    return _against_ct2d(session, 512, 180, _diagonal(512))


@row("ray-256x50-ct2d-narrow", unit="x", peers=True)
def small_narrow(session: Session) -> Figure:
    """As many detector pixels as the image is wide: fewer rays for ASTRA, little change for a Fourier method."""
    return _against_ct2d(session, 256, 50, 256)


@row("ray-512x180-ct2d-narrow", unit="x", peers=True)
def large_narrow(session: Session) -> Figure:
    return _against_ct2d(session, 512, 180, 512)


@row("ray-growth", required=2.5, compare="max")
def growth(session: Session) -> Figure:
    """The exponent p of a fit cost ~ n^p, angles proportional to n."""
    sizes = (256, 362, 512, 724, 1024)
    seconds = {n: [] for n in sizes}
    for repeat in range(session.repeats + 1):
        for n in sizes:
            result = session.call(
                "ipbox", "ray.forward_adjoint", n=n, n_angles=round(50 * n / 256), n_det=None, seconds=0.1
            )
            if repeat > 0:
                seconds[n].append(result["seconds"])
    medians = [float(np.median(seconds[n])) for n in sizes]
    exponent = float(np.polyfit(np.log(sizes), np.log(medians), 1)[0])
    note = ", ".join(f"{n}: {1e3 * t:.2f} ms" for n, t in zip(sizes, medians, strict=True))
    return Figure(exponent, note, {str(n): seconds[n] for n in sizes})


def _accuracy(session: Session, **options: Any) -> Figure:
    result = session.call("ipbox", "ray.accuracy", **options)
    note = f"{100 * result['point']:.3f} % against point samples; {result['n_det']} detector pixels, 180 angles"
    return Figure(100 * result["error"], note, result)


@row("ray-accuracy-256", required=0.2, compare="max", unit="%")
def accuracy_256(session: Session) -> Figure:
    return _accuracy(session, n=256)


@row("ray-accuracy-512", required=0.1, compare="max", unit="%")
def accuracy_512(session: Session) -> Figure:
    return _accuracy(session, n=512)


@row("ray-accuracy-256-shepp-logan", unit="%")
def accuracy_head(session: Session) -> Figure:
    """A thin skull of five times the brain's contrast: the pixels' own error dominates."""
    return _accuracy(session, n=256, phantom="shepp-logan")


@row("ray-accuracy-256-spacing-0.5", required=0.3, compare="max", unit="%")
def accuracy_fine(session: Session) -> Figure:
    return _accuracy(session, n=256, spacing=0.5)


@row("ray-accuracy-256-spacing-2", required=0.3, compare="max", unit="%")
def accuracy_coarse(session: Session) -> Figure:
    return _accuracy(session, n=256, spacing=2.0)


@row("ray-accuracy-256-shift-0.3", required=0.3, compare="max", unit="%")
def accuracy_shifted(session: Session) -> Figure:
    return _accuracy(session, n=256, shift=0.3)


@row("ray-accuracy-256-truncated", required=0.3, compare="max", unit="%")
def accuracy_truncated(session: Session) -> Figure:
    return _accuracy(session, n=256, n_det=100)
