"""Adversarial training: small on images, large on noisy ones, slopes at most 1 (Lunz, Öktem, Schönlieb 2018)."""

from __future__ import annotations

from pathlib import Path

import torch

from ipbox.learned.training.losses import Adversarial
from ipbox.learned.training.self_supervised import normal
from tests.bench.learned.trainings.architectures import SIGMA
from tests.bench.learned.trainings.trained import Trained, by_loss

STEPS = 300
WORK = 4  # R(x) and R(z) by θ, and ∇R between them with its derivative by θ


class Wasserstein:
    """E R(x) - E R(z) + 20 E (‖∇R‖ - 1)₊², z = x + σn with new noise."""

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        (x,) = batch
        return Adversarial(20.0)(model, (x, x + SIGMA * normal(x, generator)), generator)


def train(name: str, steps: int = STEPS, work: float | None = None, checkpoint: Path | None = None) -> Trained:
    steps = steps if work is None else int(work / WORK)
    return by_loss(name, Wasserstein(), steps, WORK, None, checkpoint)
