"""PET: a model that MLEM can be run with."""

from __future__ import annotations

from .registry import Figure, row
from .session import Session


@row("pet-negative-projections", required=0, compare="max")
def negative(session: Session) -> Figure:
    """Entries below zero of A u, A u + r and A* y, for u, y >= 0."""
    result = session.call("ipbox", "pet.negatives", size=256)
    ringing = ", ".join(f"{n} in {dtype}" for dtype, n in result["Fourier"].items())
    return Figure(result["negative"], f"256 x 256, 180 views; a Fourier projector has {ringing}", result)


@row("pet-counts", required=1e-6, compare="max")
def conserved(session: Session) -> Figure:
    """|Σ A u - <u, A* 1>| / Σ A u."""
    result = session.call("ipbox", "pet.counts", size=256)
    single = max(e for name, e in result["errors"].items() if name.startswith("float32"))
    double = max(e for name, e in result["errors"].items() if name.startswith("float64"))
    return Figure(result["error"], f"float32 {single:.1e}, float64 {double:.1e}; whole and 6 subsets", result)


@row("pet-white-matter", required=0.5, compare="max")
def bias(session: Session) -> Figure:
    """Bias of white matter by MLEM at convergence, filtered, over that of MLEM stopped by the counts."""
    fwhm, niter = 4.0, 300
    result = session.call("ipbox", "pet.white_matter", size=128, fwhm=fwhm, niter=niter)
    parts = [
        f"{name} {100 * found['bias']:+.0f} %, contrast recovery {found['contrast']:.2f}, {found['psnr']:.1f} dB"
        for name, found in result.items()
        if name != "niter"
    ]
    note = f"{parts[0]} (after {result['niter']} iterations); {parts[1]} ({niter}, {fwhm:g} mm)"
    return Figure(abs(result["filtered"]["bias"]) / result["stopped"]["bias"], note, result)
