"""Cartesian MRI: the cost of forward plus adjoint over that of the bare FFTs, and SENSE with estimated maps."""

from __future__ import annotations

from .registry import Figure, row
from .session import Session, median_of


def _over_fft(session: Session, n: int, coils: int) -> Figure:
    error = session.call("ipbox", "mri.cartesian_error", n=n, coils=coils)["error"]
    if error > 1e-5:
        raise RuntimeError(f"A and A* differ by {error:.1e} from the formula; they must be the same map")
    results = [session.call("ipbox", "mri.cartesian", n=n, coils=coils, seconds=1.0) for _ in range(session.repeats)]
    ours, fft = median_of(results), median_of(results, "fft")
    note = f"scipy.fft {1e3 * fft:.2f} ms, ipbox {1e3 * ours:.2f} ms, forward plus adjoint, complex64"
    return Figure(ours / fft, note, {"results": results})


@row("mri-cartesian-256-1-coil", required=1.3, compare="max", unit="x")
def one_coil_256(session: Session) -> Figure:
    return _over_fft(session, 256, 1)


@row("mri-cartesian-320-1-coil", required=1.3, compare="max", unit="x")
def one_coil_320(session: Session) -> Figure:
    return _over_fft(session, 320, 1)


@row("mri-cartesian-256-8-coils", required=1.3, compare="max", unit="x")
def eight_coils_256(session: Session) -> Figure:
    return _over_fft(session, 256, 8)


@row("mri-cartesian-320-8-coils", required=1.3, compare="max", unit="x")
def eight_coils_320(session: Session) -> Figure:
    return _over_fft(session, 320, 8)


@row("mri-cartesian-estimated-maps", required=1.0, compare="max", unit="dB")
def estimated_maps(session: Session) -> Figure:
    """What SENSE loses with estimated instead of true sensitivities: the worse of two masks, 256 x 256."""
    found = {m: session.call("ipbox", "mri.sense_loss", mask=m, size=256) for m in ("variable-density", "poisson-disc")}
    note = ", ".join(f"{m} {r['true']:.2f} -> {r['estimated']:.2f} dB" for m, r in found.items())
    return Figure(max(r["true"] - r["estimated"] for r in found.values()), note, found)
