"""Train the denoisers shipped in ``data/``.

``python -m tests.bench.learned.train_denoisers NAME [--steps N] [--out FILE]``, NAME is drunet, dncnn,
equivariant_dncnn, non_expansive or gradient_step.  On noise N(0, σ²), σ uniform in [0, 0.25], the loss is the squared
error over σ + 0.02, so that small noise counts, too.  Most steps are in bfloat16 (fast where the processor has it), the
last ones in float32.  A run that was stopped goes on from its checkpoint in ``build/``.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ipbox.learned.training.fit import fit
from ipbox.learned.weights.modules import CLASSES, save_weights
from tests.bench.learned.photographs import PHOTOGRAPHS, Crops

ROOT = Path(__file__).resolve().parents[3]
LARGEST = 0.25  # noise level


@dataclass(frozen=True)
class Plan:
    """A network and how it is trained."""

    cls: str
    config: dict[str, Any]
    steps: int
    lr: float
    size: int = 64
    batch_size: int = 16
    last: int = 100  # steps in float32
    stop: int | None = None  # end here, before the schedule does: the time there was
    half: bool = False  # store float16
    bfloat16: bool = True  # most steps; in it torch 2.13 halves some second derivatives


PLANS = {
    "drunet": Plan("DRUNet", {"widths": [32, 64, 96], "blocks": 2}, 8000, 8e-4, last=0, stop=1500, half=True),
    "dncnn": Plan("DnCNN", {"width": 32, "depth": 10, "bias": False}, 800, 1e-3, last=40),
    "equivariant_dncnn": Plan(  # of as many channels and steps
        "EquivariantDnCNN", {"fields": 8, "depth": 10, "group": "Z4", "bias": False}, 840, 1e-3, bfloat16=False
    ),
    "non_expansive": Plan("NonExpansive", {"features": 32, "layers": 10, "kernel": 7}, 1500, 2e-2, batch_size=8),
    "gradient_step": Plan("GradientStep", {"widths": [16, 32, 64], "blocks": 1}, 2000, 1e-3, 48, 8, bfloat16=False),
}


def squared_error(model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Of the denoised crops, over σ + 0.02."""
    (x,) = batch
    sigma = LARGEST * torch.rand(x.shape[0], 1, 1, 1, generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    denoised = model(x + sigma * noise, sigma)
    return ((denoised - x).square() / (sigma + 0.02)).mean()


def warm_cosine(k: int, K: int) -> float:
    """Factor of the learning rate: 300 steps up to 1, then a cosine down to 0."""
    return min(1.0, (k + 1) / 300) * (1 + math.cos(math.pi * k / K)) / 2


def train(name: str, steps: int | None = None, progress: bool = True) -> torch.nn.Module:
    """The trained network; checkpoints are in ``build/``."""
    plan = PLANS[name]
    steps = plan.steps if steps is None else steps
    torch.manual_seed(0)
    net = make(plan).to(memory_format=torch.channels_last)
    crops = Crops(plan.size, plan.batch_size)
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    common = {"validate_every": 250, "progress": progress, "clip": 1.0}
    stop = plan.stop if steps == plan.steps and plan.stop else steps
    checkpoint = folder / f"{name}_{steps}.safetensors"
    fit(
        net,
        squared_error,
        crops,
        steps=steps,
        lr=plan.lr,
        schedule=warm_cosine,
        autocast="bfloat16" if plan.bfloat16 else None,
        checkpoint=checkpoint,
        callbacks=[lambda k, _: k >= stop],
        **common,
    )
    last = min(plan.last, steps) if plan.bfloat16 else 0
    if not last:
        return net.eval()
    checkpoint = checkpoint.with_stem(checkpoint.stem + "_float32")
    fit(net, squared_error, crops, steps=last, lr=plan.lr / 30, seed=1, checkpoint=checkpoint, **common)
    return net.eval()


def make(plan: Plan) -> torch.nn.Module:
    """The untrained network."""
    import importlib

    return getattr(importlib.import_module(CLASSES[plan.cls]), plan.cls)(**plan.config)


def save(name: str, net: torch.nn.Module, steps: int, out: Path) -> str:
    """Write the weights; their SHA-256."""
    about = {
        "script": f"tests/bench/learned/train_denoisers.py {name}",
        "steps": steps,
        "data": f"photographs {', '.join(PHOTOGRAPHS)} (scikit-image), ascent, aero (PyWavelets), china, flower "
        "(scikit-learn); slices of ct_lung1 and of brain1 in mr_brain",
        "noise": f"sigma in [0, {LARGEST}], images in [0, 1]",
    }
    return save_weights(out, net, about, half=PLANS[name].half)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.train_denoisers", description=__doc__)
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--steps", type=int, help="of the plan by default; fewer for a trial")
    parser.add_argument("--out", type=Path, help="data/NAME.safetensors by default")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    net = train(args.name, args.steps)
    out = args.out or ROOT / "data" / f"{args.name}.safetensors"
    print(out, save(args.name, net, args.steps or PLANS[args.name].stop or PLANS[args.name].steps, out))


if __name__ == "__main__":
    main()
