"""Train the score of chest-CT slices that is shipped in ``data/``: ``python -m tests.bench.diffusion.train_score``.

Denoising score matching with log σ uniform over [0.01, 20], in units of 0.02/mm, on augmented slices of the training
patient; other slices of that patient validate.  A run that was stopped goes on from its checkpoint in ``build/``.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from ipbox.learned.networks.denoisers import ScoreUNet
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import Denoising
from ipbox.learned.weights.modules import save_weights
from tests.bench.diffusion import ct_data

NAME = "score_ct"
SIGMA_DATA, RANGE = 0.5, (0.01, 20.0)
CONFIG = {"widths": [32, 64, 128], "blocks": 2, "sigma_data": SIGMA_DATA, "sigma_range": list(RANGE)}
STEPS, BATCH_SIZE, LR = 4200, 16, 1e-3


def warm_cosine(k: int, K: int) -> float:
    """Factor of the learning rate: 200 steps up to 1, then a cosine down to 0."""
    return min(1.0, (k + 1) / 200) * (1 + math.cos(math.pi * k / K)) / 2


def train(steps: int = STEPS, progress: bool = True) -> torch.nn.Module:
    """The trained network; the checkpoint is in ``build/``."""
    torch.manual_seed(0)
    net = ScoreUNet(**CONFIG).to(memory_format=torch.channels_last)
    images = torch.from_numpy(ct_data.training_images())[:, None]
    held_out = torch.from_numpy(ct_data.held_out_images())[:, None]
    result = fit(
        net,
        Denoising(RANGE, "balanced", log_uniform=True, sigma_data=SIGMA_DATA),
        list(images),
        steps=steps,
        batch_size=BATCH_SIZE,
        lr=LR,
        schedule=warm_cosine,
        validation=[(held_out.repeat(8, 1, 1, 1),)],
        validate_every=250,
        clip=1.0,
        checkpoint=ct_data.BUILD / f"{NAME}_{steps}.safetensors",
        progress=progress,
    )
    for row in result.history:
        print({key: round(value, 4) for key, value in row.items()})
    return net.eval()


def save(net: torch.nn.Module, steps: int, out: Path) -> str:
    """Write the weights; their SHA-256."""
    about = {
        "script": "tests/bench/diffusion/train_score.py",
        "steps": steps,
        "data": "slices of ct_lung1 at 64 x 64, in units of 0.02/mm",
        "noise": f"log sigma uniform, sigma in {list(RANGE)}",
    }
    return save_weights(out, net, about, half=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.diffusion.train_score", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer for a trial")
    parser.add_argument("--out", type=Path, default=ct_data.BUILD.parent / "data" / f"{NAME}.safetensors")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(args.out, save(train(args.steps), args.steps, args.out))


if __name__ == "__main__":
    main()
