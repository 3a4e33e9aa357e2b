"""Trains the learned proximal gradient of the CT experiment: ``python -m tests.bench.learned.train_unrolled``.

Six steps with a small U-Net each, which is given the image, five memory channels and the gradient preconditioned by
the ramp filter.  About 15 minutes on one core that multiplies matrices in bfloat16 (AMX), several times that elsewhere.
It goes on from its checkpoint in build/learned, if there is one.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.training.fit import FitResult, fit
from ipbox.learned.weights.modules import save_weights
from tests.bench.learned import ct_data

ROOT = Path(__file__).resolve().parents[3]
CHECKPOINTS = ROOT / "build" / "learned"
SCALE = 0.04  # 1/mm: images divided by it are about in [0, 1]
WARM_UP, EVERY = 200, 250  # steps


def loss(model: LearnedMap, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error of the scaled images."""
    b, u = batch
    return ((model(b) - u) / SCALE).square().mean()


class Batches:
    """Pairs of the training slices, with new noise each time."""

    def __init__(self, pairs: ct_data.Pairs, size: int) -> None:
        self.pairs, self.size = pairs, size

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        seed = int(torch.randint(2**31, (1,), generator=generator))
        b, u = self.pairs.batch(np.random.default_rng(seed), self.size)
        return to_torch(b), to_torch(u)


class Validation:
    """Minus the mean PSNR of the held-out slices of the training patient."""

    def __init__(self, noise: float, size: int, views: int, exact: bool = False) -> None:
        problems = ct_data.validation_problems(size, views, noise)
        self.b = to_torch(np.stack([A.apply(x) if exact else b for A, b, x, _ in problems]))
        self.x = [x for _, _, x, _ in problems]

    def __call__(self, model: LearnedMap) -> float:
        with torch.no_grad():
            u = model(self.b).numpy()
        return -float(np.mean([ip.psnr(ui, xi) for ui, xi in zip(u, self.x, strict=True)]))


def schedule(step: int, steps: int) -> float:
    """1 after a warm-up, and from a third of the steps on cosine."""
    return min(1.0, (step + 1) / WARM_UP, 0.5 * (1 + math.cos(math.pi * max(0.0, 1.5 * step / steps - 0.5))))


def train(
    model: LearnedMap,
    name: str,
    steps: int,
    batch_size: int,
    lr: float,
    copies: int = 24,
    seed: int = 0,
    noise: float = ct_data.NOISE,
    objective: Callable = loss,
    size: int = 128,
    views: int = 40,
    exact: bool = False,
) -> FitResult:
    """Train a map of the CT experiment, with prints of the validation; the best weights are in ``model`` afterwards."""
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    validation = Validation(noise, size, views, exact)

    def report(step: int, model: LearnedMap) -> None:
        if step % EVERY == 0:
            print(f"{name}: step {step}, validation {-validation(model):.2f} dB", flush=True)

    return fit(
        model.to(memory_format=torch.channels_last),
        objective,
        Batches(ct_data.training_pairs(size, views, copies, noise, exact=exact), batch_size),
        steps=steps,
        lr=lr,
        schedule=schedule,
        validation=validation,
        validate_every=EVERY,
        clip=1.0,
        seed=seed,
        checkpoint=CHECKPOINTS / f"train_{name}.safetensors",
        autocast="bfloat16",
        callbacks=[report],
    )


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.train_unrolled", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2250)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--niter", type=int, default=6)
    parser.add_argument("--name", default="unrolled_ct")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "unrolled_ct.safetensors")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = LearnedProximalGradient(
        ct_data.training_pairs().A,
        niter=args.niter,
        network="unet",
        width=args.width,
        memory=5,
        inputs="gradient",
        filter="ramp",
        scale=SCALE,
    )
    result = train(model, args.name, args.steps, args.batch_size, lr=1e-3)
    about = {
        "script": "tests/bench/learned/train_unrolled.py",
        "data": "ct_lung1, slices 5, 17, 29 and 41 held out; 128 x 128, 40 views, 1 % noise",
        "steps": result.steps,
        "validation_psnr": round(-result.best, 3),
    }
    print(save_weights(args.out, model, about, half=True), args.out)


if __name__ == "__main__":
    main()
