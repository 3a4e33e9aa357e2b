"""Bilevel learning through an unrolled solver: exact gradients of what 25 steps of FISTA come to, by L-BFGS-B."""

from __future__ import annotations

import math
from pathlib import Path

from ipbox.bilevel import Unrolled
from tests.bench.learned.trainings.trained import Trained, by_bilevel

STEPS = 30
METHOD = Unrolled(lower_iterations=25)


def train(name: str, steps: int = STEPS, work: float | None = None, checkpoint: Path | None = None) -> Trained:
    if work is not None:
        return by_bilevel(name, METHOD, 10**6, work, checkpoint)
    return by_bilevel(name, METHOD, steps, math.inf, checkpoint)
