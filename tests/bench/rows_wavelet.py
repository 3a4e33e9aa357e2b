"""The orthogonal wavelet transform against PyWavelets (printed, not judged)."""

from __future__ import annotations

import numpy as np

from .registry import Figure, row
from .session import Session, median_of, seconds_of


def _against_pywavelets(session: Session, wavelet: str, dtype: str, n: int = 512, levels: int = 5) -> Figure:
    data = session.path(f"wavelet_{dtype}.npy")
    np.save(data, np.random.default_rng(0).standard_normal((n, n)).astype(dtype))
    args = {
        side: {
            "data": data,
            "wavelet": wavelet,
            "levels": levels,
            "seconds": 0.25,
            "out": session.path(f"c_{side}.npy"),
        }
        for side in ("ipbox", "peers")
    }
    results = session.interleave("wavelet.transform", args["ipbox"], args["peers"])
    ours, theirs = (np.load(args[side]["out"]).astype(np.float64) for side in ("ipbox", "peers"))
    difference = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
    if difference > (1e-5 if dtype == "float32" else 1e-10):
        raise RuntimeError(f"ipbox and PyWavelets differ by {difference:.1e}; they must be the same transform")
    note = ", ".join(
        f"{name} {1e3 * median_of(results[side], 'forward'):.2f} + {1e3 * median_of(results[side], 'inverse'):.2f} ms"
        for side, name in (("peers", "PyWavelets"), ("ipbox", "ipbox"))
    )
    return Figure(median_of(results["peers"]) / median_of(results["ipbox"]), note, seconds_of(results))


@row("wavelet-512-db4", unit="x", peers=True)
def single(session: Session) -> Figure:
    """512 x 512, float32, five levels, transform plus inverse."""
    return _against_pywavelets(session, "db4", "float32")


@row("wavelet-512-db4-float64", unit="x", peers=True)
def double(session: Session) -> Figure:
    return _against_pywavelets(session, "db4", "float64")
