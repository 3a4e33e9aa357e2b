"""Adapt the general denoiser to the small noise that plug-and-play ends with: ``data/drunet_fine.safetensors``.

``python -m tests.bench.learned.train_plug_and_play [--steps N] [--out FILE]``.  Starts from data/drunet.safetensors.
Noise N(0, σ²) with log σ uniform in [0.002, 0.25], the squared error over σ^1.5, in float32: rounding to bfloat16 is
itself noise of σ = 0.001 to 0.002 on images in [0, 1].  A run that was stopped goes on from its checkpoint in build/.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from ipbox.learned.training.fit import fit
from ipbox.learned.weights.modules import load_weights, save_weights
from tests.bench.learned.photographs import Crops

ROOT = Path(__file__).resolve().parents[3]
RANGE = (0.002, 0.25)
STEPS, LR, SIZE, BATCH = 500, 3e-4, 64, 8


def weighted_error(model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Of the denoised crops, over σ^1.5."""
    (x,) = batch
    lo, hi = (math.log(s) for s in RANGE)
    sigma = torch.exp(lo + (hi - lo) * torch.rand(x.shape[0], 1, 1, 1, generator=generator))
    noisy = (x + sigma * torch.randn(x.shape, generator=generator)).contiguous(memory_format=torch.channels_last)
    return ((model(noisy, sigma) - x).square() / sigma**1.5).mean()


def train(steps: int = STEPS, progress: bool = True) -> torch.nn.Module:
    """The adapted network; its checkpoint is in ``build/``."""
    net = load_weights(ROOT / "data" / "drunet.safetensors").to(memory_format=torch.channels_last)
    checkpoint = ROOT / "build" / f"drunet_fine_{steps}.safetensors"
    checkpoint.parent.mkdir(exist_ok=True)
    crops = Crops(SIZE, BATCH)
    given = dict(schedule=falling, checkpoint=checkpoint, validate_every=100, progress=progress, clip=1.0, seed=2)
    fit(net, weighted_error, crops, steps=steps, lr=LR, **given)
    return net.eval()


def falling(k: int, K: int) -> float:
    """Factor of the learning rate: 50 steps up to 1, a cosine that would end at 1.4 K, and 0.2 K steps down to 0."""

    def cosine(k: float) -> float:
        return (1 + math.cos(math.pi * k / (1.4 * K))) / 2

    return min(1.0, (k + 1) / 50) * cosine(min(k, 0.8 * K)) * min(1.0, 5 * (K - k) / K)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.train_plug_and_play", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "drunet_fine.safetensors")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    net = train(args.steps)
    about = {
        "script": "tests/bench/learned/train_plug_and_play.py",
        "steps": args.steps,
        "start": "data/drunet.safetensors",
        "noise": f"log sigma uniform in {RANGE}, images in [0, 1]",
    }
    print(args.out, save_weights(args.out, net, about, half=True))


if __name__ == "__main__":
    main()
