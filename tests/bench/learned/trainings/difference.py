"""Difference of the means on images and on negative examples, noisy ones (Benning, Gilboa, Grah, Schönlieb 2017)."""

from __future__ import annotations

from pathlib import Path

import torch

from ipbox.learned.training.losses import Difference
from ipbox.learned.training.self_supervised import normal
from tests.bench.learned.trainings.architectures import SIGMA
from tests.bench.learned.trainings.trained import Trained, by_loss

STEPS = 600
WORK = 2  # R(x) and R(z) by θ


def noisy(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return x + SIGMA * normal(x, generator)


def train(name: str, steps: int = STEPS, work: float | None = None, checkpoint: Path | None = None) -> Trained:
    steps = steps if work is None else int(work / WORK)
    return by_loss(name, Difference(0.1, spoiled=noisy), steps, WORK, None, checkpoint)
