"""Multi-step denoising: descent on ½‖u - y‖² + λR(u) from the noisy image should end near the true one."""

from __future__ import annotations

from pathlib import Path

from ipbox.learned.training.losses import MultiStepDenoising
from tests.bench.learned.trainings.architectures import ARCHITECTURES, SIGMA
from tests.bench.learned.trainings.trained import Trained, by_loss

STEPS = 30
INNER, WARM_UP = 6, 24  # steps of descent with derivatives, and before them
WORK = WARM_UP + 2 * INNER


def train(name: str, steps: int = STEPS, work: float | None = None, checkpoint: Path | None = None) -> Trained:
    lam = ARCHITECTURES[name].lam
    loss = MultiStepDenoising(SIGMA, steps=INNER, warm_up=WARM_UP, lam=lam, accelerated=True)
    steps = steps if work is None else max(1, int(work / WORK))
    return by_loss(name, loss, steps, WORK, lam, checkpoint)
