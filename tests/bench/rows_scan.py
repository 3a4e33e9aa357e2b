"""From a measured scan to line integrals: how well the axis, the stripes, the values and the noise come out."""

from __future__ import annotations

from typing import Any

from .registry import Figure, row
from .session import Session

SEEDS = 20
STRIPES = [(image, views, gain) for image in ("lung", "shepp-logan") for views in (90, 180) for gain in (0.02, 0.05)]
ALGOTOM = ("sorting", "sorting 5", "filtering", "normalization 3", "all", "wavelet")


def _centre(session: Session, turn: str, places: list[tuple[int, float]]) -> Figure:
    """The largest error over all places and seeds."""
    found = {
        f"{n} columns, shift {shift:g}": session.call("ipbox", "scan.centre", turn=turn, n=n, shift=shift, seeds=SEEDS)
        for n, shift in places
    }
    worst = {name: max(map(abs, result["errors"])) for name, result in found.items()}
    note = f"{SEEDS} seeds each, 500 photons; " + "; ".join(f"{name}: {e:.3f}" for name, e in worst.items())
    return Figure(max(worst.values()), note, found)


@row("scan-centre-half-turn", required=0.25, compare="max", unit="columns")
def half_turn(session: Session) -> Figure:
    return _centre(session, "half", [(128, 0.0), (128, 3.3), (128, -12.85)])


@row("scan-centre-whole-turn", required=0.25, compare="max", unit="columns")
def whole_turn(session: Session) -> Figure:
    return _centre(session, "whole", [(128, 0.0), (127, -9.4)])


@row("scan-centre-one-side", required=0.25, compare="max", unit="columns")
def one_side(session: Session) -> Figure:
    """The panel set to one side: opposite views overlap in 14 and 17 of 80 columns."""
    return _centre(session, "whole", [(80, 32.6), (80, -31.25)])


def _striped(session: Session) -> dict[tuple[str, int, float], dict[str, Any]]:
    def compute() -> dict[tuple[str, int, float], dict[str, Any]]:
        found = {}
        for image, views, gain in STRIPES:
            out = session.path(f"striped_{image}_{views}_{gain}.npy")
            found[image, views, gain] = session.call(
                "ipbox", "scan.striped", image=image, views=views, gain=gain, out=out
            ) | {"path": out}
        return found

    return session.once("striped", compute)


@row("scan-stripes", required=3, unit="dB")
def stripes(session: Session) -> Figure:
    """The least that removing the stripes of gain errors raises the PSNR of FBP by."""
    found = _striped(session)
    gains = {key: r["removed"] - r["striped"] for key, r in found.items()}
    most = {key: r["ideal"] - r["striped"] for key, r in found.items()}
    note = "gained of what gain errors cost: " + "; ".join(
        f"{image} {views} views {gain:.0%}: {gains[image, views, gain]:.1f} of {most[image, views, gain]:.1f}"
        for image, views, gain in STRIPES
    )
    return Figure(min(gains.values()), note, {str(key): r for key, r in found.items()})


@row("scan-stripes-algotom", required=0, unit="dB", peers=True)
def against_algotom(session: Session) -> Figure:
    """The least that ipbox is above the best of algotom's methods, which differs from image to image."""
    ahead, told = [], []
    for (image, views, gain), ours in _striped(session).items():
        outs = {name: session.path(f"destriped_{name}.npy") for name in ALGOTOM}
        session.call("peers", "scan.remove", sinogram=ours["path"], outs=outs)
        psnr = {
            name: session.call("ipbox", "scan.score", image=image, views=views, sinogram=out)["psnr"]
            for name, out in outs.items()
        }
        best = max(psnr, key=psnr.__getitem__)
        ahead.append(ours["removed"] - psnr[best])
        told.append(f"{image} {views} views {gain:.0%}: {ahead[-1]:+.1f} ({best})")
    return Figure(min(ahead), "; ".join(told))


def _chains(session: Session) -> list[dict[str, Any]]:
    return session.once("scan chain", lambda: [session.call("ipbox", "scan.chain", seed=seed) for seed in range(5)])


@row("scan-values", required=1, compare="max", unit="%")
def values(session: Session) -> Figure:
    """The largest error of known attenuation from counts with dead pixels, zingers, a fading beam and gain errors."""
    found = _chains(session)
    worst = {name: max(abs(r["values"][name]) for r in found) for name in found[0]["values"]}
    note = f"{len(found)} seeds; " + ", ".join(f"{name} a column: {e:.2%}" for name, e in worst.items())
    return Figure(100 * max(worst.values()), note, {"runs": found})


@row("scan-noise-level", unit="%")
def noise(session: Session) -> Figure:
    """How far the noise level that the frames tell is from the norm of the error of the line integrals."""
    found = [r["noise"] for r in _chains(session)]
    return Figure(100 * max(abs(r - 1) for r in found), "found over true: " + ", ".join(f"{r:.2f}" for r in found))
