"""Bilevel learning by MAID: descent along inexact hypergradients, every step of which is proved to descend."""

from __future__ import annotations

import math
from pathlib import Path

from ipbox.bilevel import MAID
from tests.bench.learned.trainings.trained import Trained, by_bilevel

STEPS = 30
METHOD = MAID(eps0=1e-1, min_eps=1e-6)


def train(name: str, steps: int = STEPS, work: float | None = None, checkpoint: Path | None = None) -> Trained:
    if work is not None:
        return by_bilevel(name, METHOD, 10**6, work, checkpoint)
    return by_bilevel(name, METHOD, steps, math.inf, checkpoint)
