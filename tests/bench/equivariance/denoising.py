"""Denoisers that learn from few heads, all upright: ordinary, with turned copies, and equivariant; noise 0.1.

DnCNN of six convolutions with 32 channels from crops of the same slices of one patient, with noise drawn afresh, the
same early stopping on held-out slices, tested on another patient, upright and turned.  The rate is the same for all,
the better of 0.001 and 0.003 by the held-out slices.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipbox.evaluate import check_disjoint
from ipbox.learned.networks.denoisers import DnCNN
from ipbox.learned.networks.equivariant import EquivariantDnCNN
from ipbox.learned.training.fit import FitResult, fit
from ipbox.problems.truths import brains
from tests.bench.equivariance.scans import turned
from tests.bench.equivariance.trials import TESTS, TURNS, Row, Trials, chosen, psnr

SIZE, CROP, BATCH, SIGMA = 128, 40, 8, 0.1
STEPS, EVERY, PATIENCE = 600, 50, 5
RATE = 3e-3
HELD_OUT, TEST = (6, 14), tuple(range(2, 23, 3))
TRAINING = tuple(k for k in range(2, 25) if k not in HELD_OUT)
DEPTH, WIDTH = 6, 32


def compute() -> dict[str, Any]:
    """All networks, trained and tested."""
    check_disjoint(heads("train", TRAINING), heads("test", TEST))
    return {"runs": TRIALS.compute(), "steps": STEPS}


def rows(result: dict[str, Any]) -> list[Row]:
    return TRIALS.rows(result["runs"], "heads", required=False)


def network(competitor: str, seed: int) -> torch.nn.Module:
    """The denoiser before it is trained."""
    torch.manual_seed(seed)
    if competitor == "equivariant":
        return EquivariantDnCNN(fields=WIDTH // 4, depth=DEPTH, noise_map=False)
    return DnCNN(width=WIDTH, depth=DEPTH, noise_map=False)


def train(competitor: str, n: int, seed: int, checkpoint: Path | None = None) -> tuple[torch.nn.Module, FitResult]:
    """A competitor that learned from ``n`` heads; it goes on from its checkpoint."""
    x = heads("train", chosen(TRAINING, n, seed), (0, *TURNS) if competitor == "copies" else (0,))
    return trained(network(competitor, seed).to(memory_format=torch.channels_last), x, seed, checkpoint)


def trained(
    model: torch.nn.Module, x: np.ndarray, seed: int, checkpoint: Path | None = None, steps: int = STEPS
) -> tuple[torch.nn.Module, FitResult]:
    """The denoiser after it learned from images, as good as it was for those that are held out."""
    held_out = heads("train", HELD_OUT)
    result = fit(
        model,
        loss,
        Crops(x),
        steps=steps,
        lr=RATE,
        validation=lambda model: -psnr(denoised(model, held_out), held_out),
        validate_every=min(EVERY, steps),
        early_stopping=PATIENCE,
        clip=1.0,
        seed=seed,
        checkpoint=checkpoint,
    )
    return model.eval(), result


class Crops:
    """Batches (x,) of crops at random."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = torch.from_numpy(x)

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor]:
        def drawn(below: int) -> list[int]:
            return torch.randint(below, (BATCH,), generator=generator).tolist()

        last = SIZE - CROP + 1
        places = zip(drawn(len(self.x)), drawn(last), drawn(last), strict=True)
        return (torch.stack([self.x[k, i : i + CROP, j : j + CROP] for k, i, j in places])[:, None],)


def loss(model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error; the noise is that of the generator."""
    (x,) = batch
    noise = torch.randn(x.shape, generator=generator)
    return (model(x + SIGMA * noise) - x).square().mean()


@functools.cache
def heads(patient: str, slices: tuple[int, ...], degrees: tuple[int, ...] = (0,)) -> np.ndarray:
    """Slices in [0, 1], each turned by each of some angles."""
    found = [turned(brains.brain_slice(k, SIZE, patient), turn) for k in slices for turn in degrees]
    return np.stack(found).astype(np.float32)


def denoised(model: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """What becomes of the images with noise of the seeds 0, 1, ..."""
    noise = np.stack([np.random.default_rng(k).standard_normal(u.shape) for k, u in enumerate(x)])
    with torch.no_grad():
        return model(torch.from_numpy((x + SIGMA * noise).astype(np.float32))[:, None])[:, 0].numpy()


def tested(model: torch.nn.Module) -> dict[str, float]:
    """Mean PSNR of the tests."""
    images = {name: heads("test", TEST, degrees) for name, degrees in TESTS.items()}
    return {name: psnr(denoised(model, x), x) for name, x in images.items()}


TRIALS = Trials("denoising", (1, 2, 5), (0, 1, 2, 3, 4), train, tested)
