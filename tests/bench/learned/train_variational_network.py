"""Trains the network of the MR experiment: ``python -m tests.bench.learned.train_variational_network``.

A variational network for one setting, 15 spokes and noise 0.05, on `brain1`; 15 minutes on one core.  It goes on from
its checkpoint in build/learned, if there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.maps.variational_network import VariationalNetwork
from ipbox.learned.training.fit import fit
from ipbox.learned.weights.modules import save_weights
from tests.bench.generative import mr

ROOT = Path(__file__).resolve().parents[3]
SETTING = mr.Setting("radial", 15, 0.05)
HELD_OUT = (4, 9, 14, 19)
WEIGHTS = ROOT / "tests" / "bench" / "generative" / "variational_network.safetensors"
COPIES, EVERY = 24, 100


def loss(model: VariationalNetwork, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error."""
    b, u = batch
    return (model(b) - u).square().mean()


class Batches:
    """Pairs of the varied training slices, with new noise each time."""

    def __init__(self, size: int) -> None:
        self.size, self.A, self.truths = size, SETTING.operator(), mr.training_heads(COPIES, HELD_OUT)

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        x = self.truths[rng.choice(len(self.truths), self.size, replace=False)]
        return to_torch(mr.measured(self.A, x, SETTING.noise, rng)), to_torch(x)


class Validation:
    """Minus the mean PSNR of the held-out slices of the training patient."""

    def __init__(self) -> None:
        self.x = mr.heads("train", HELD_OUT)
        self.b = to_torch(mr.measured(SETTING.operator(), self.x, SETTING.noise, np.random.default_rng(1)))

    def __call__(self, model: VariationalNetwork) -> float:
        with torch.no_grad():
            u = model(self.b).numpy()
        return -float(np.mean([ip.psnr(ui, xi) for ui, xi in zip(u, self.x, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = VariationalNetwork(SETTING.operator(), stages=6, filters=12, size=7, nodes=15)
    validation, checkpoints = Validation(), ROOT / "build" / "learned"
    checkpoints.mkdir(parents=True, exist_ok=True)

    def report(step: int, model: VariationalNetwork) -> None:
        if step % EVERY == 0:
            print(f"step {step}, validation {-validation(model):.2f} dB", flush=True)

    result = fit(
        model,
        loss,
        Batches(4),
        steps=args.steps,
        lr=2e-3,
        schedule="cosine",
        validation=validation,
        validate_every=EVERY,
        seed=0,
        checkpoint=checkpoints / "train_variational_network_mr.safetensors",
        callbacks=[report],
    )
    about = {
        "script": "tests/bench/learned/train_variational_network.py",
        "data": "brain1 of mr_brain, slices 4, 9, 14 and 19 held out; 64 x 64, 15 spokes, noise 0.05",
        "steps": result.steps,
        "validation_psnr": round(-result.best, 3),
    }
    print(save_weights(args.out, model, about, half=True), args.out)


if __name__ == "__main__":
    main()
