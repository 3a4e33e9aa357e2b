"""Bilevel learning by L-BFGS-B, at one proved accuracy of the reconstructions."""

from __future__ import annotations

import math
from pathlib import Path

from ipbox.bilevel import LBFGSB
from tests.bench.learned.trainings.trained import Trained, by_bilevel

STEPS = 30
METHOD = LBFGSB(accuracy=1e-3)


def train(name: str, steps: int = STEPS, work: float | None = None, checkpoint: Path | None = None) -> Trained:
    if work is not None:
        return by_bilevel(name, METHOD, 10**6, work, checkpoint)
    return by_bilevel(name, METHOD, steps, math.inf, checkpoint)
