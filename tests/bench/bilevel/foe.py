"""Fields of Experts: lower-level work of MAID against HOAG and fixed accuracies, and denoising against the best TV.

The histories are those of `foe_training`, whose runs take some minutes each; with RECOMPUTE=1 in the environment they
are run again.  The common loss is, for each other method, the lowest that it reached with the same budget; the work of
MAID to it is compared with its own.  PSNRs are always computed anew, from what MAID learned.
"""

from __future__ import annotations

import functools
import json
import math
import os
import warnings

import numpy as np

import ipbox as ip
from ipbox.bilevel import LowerLevel, solve_lower, work_to

from . import foe_training as training

Row = tuple[str, float, str, float, str]


def rows(quick: bool) -> list[Row]:
    """(name, required, sense, measured, note)."""
    theta, histories = learned(quick)
    return [*_work(histories), _psnr(theta)]


def learned(quick: bool) -> tuple[np.ndarray, dict[str, list[dict[str, float]]]]:
    """What MAID learned, and the histories of all methods."""
    if os.environ.get("RECOMPUTE") == "1" and not quick:
        found = {name: training.run(name) for name in training.METHODS}
        return found["MAID"][0], {name: history for name, (_, history) in found.items()}
    return ip.problems.truths.datasets.load("foe_48")["theta"], json.loads(training.HISTORIES.read_text())


def _work(histories: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Work of MAID to the lowest loss of another method, by that method's."""
    table = []
    for what in ("HOAG", "fixed"):
        ratios = {}
        for name, history in histories.items():
            if name.startswith(what):
                target = min(row["f"] for row in history)
                ratios[name] = work_to(histories["MAID"], target) / work_to(history, target), target
        note = "; ".join(f"{name} to {target:.3f}: {ratio:.2f}" for name, (ratio, target) in ratios.items())
        worst = max(ratio for ratio, _ in ratios.values())
        table.append((f"Fields of Experts: MAID / {what}, work", 1.0, "<=", worst, note))
    return table


def _psnr(theta: np.ndarray) -> Row:
    u, b = training.pairs("test")
    tv, weight = best_tv(u, b)
    foe = psnr(solve_lower(LowerLevel(None, b, training.term()), theta, 1e-2).u, u)
    gain = foe.mean() - tv.mean()
    note = (
        f"{len(u)} crops of another patient: noisy {psnr(b, u).mean():.2f} dB, TV {tv.mean():.2f} (λ = {weight:.4f}, "
        f"the best for them), learned {foe.mean():.2f}, from {(foe - tv).min():.2f} to {(foe - tv).max():.2f} above"
    )
    return ("Fields of Experts: test PSNR above the best TV", 1.0, ">=", float(gain), note)


def psnr(u: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of every image, for the range [0, 1], in dB."""
    return -10 * np.log10(((u.astype(np.float64) - truth) ** 2).mean(axis=(1, 2)))


def best_tv(u: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """PSNR of total variation denoising with the weight that is best for these images, by golden section."""
    from scipy.optimize import minimize_scalar

    tv = ip.TV(u.shape[1:], accuracy=1e-3)

    @functools.cache
    def denoised(weight: float) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # its bound of the error is far above the error
            return psnr(tv.prox(b.astype(np.float64), weight), u)

    found = minimize_scalar(
        lambda log: -denoised(math.exp(log)).mean(), bracket=(-3.2, -2.5, -1.8), method="golden", options={"xtol": 5e-3}
    )
    return denoised(math.exp(found.x)), math.exp(found.x)
