"""Train the regularisers shipped in ``data/``.

``python -m tests.bench.learned.train_regularisers NAME [--steps N] [--out FILE]``.  The ridge regularisers learn to
denoise crops of photographs at noise 0.1, by descent through few steps from the noisy image, then from near the
minimiser.  A run that was stopped goes on from its checkpoint in ``build/``.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import MultiStepDenoising
from ipbox.learned.weights.modules import CLASSES, save_weights
from tests.bench.learned.photographs import PHOTOGRAPHS, Crops

ROOT = Path(__file__).resolve().parents[3]
SIGMA = 0.1
RATES = {1: 0.01, 2: 0.05, 4: 3e-3}  # learning rates by the axes of a parameter: log α, slopes of profiles, filters


@dataclass(frozen=True)
class Stage:
    """A loss, the steps with it, and the factor of the learning rates."""

    loss: Any
    steps: int
    rate: float = 1.0


@dataclass(frozen=True)
class Plan:
    """A network, and how it is trained."""

    cls: str
    config: dict[str, Any]
    stages: tuple[Stage, ...]
    batches: Callable[[], Any]
    data: str


def crops() -> Crops:
    return Crops(size=40, batch_size=6)


PHOTOGRAPHIC = (
    f"photographs {', '.join(PHOTOGRAPHS)} (scikit-image), ascent, aero (PyWavelets), china, flower (scikit-learn); "
    "slices of ct_lung1 and of brain1 in mr_brain"
)
DENOISING = (
    Stage(MultiStepDenoising(SIGMA, steps=6, accelerated=True), 1500),
    Stage(MultiStepDenoising(SIGMA, steps=6, warm_up=12, accelerated=True), 400, 0.2),
)
PLANS = {
    "convex_ridge": Plan("ConvexRidge", {"widths": [4, 8, 16], "kernel": 3}, DENOISING, crops, PHOTOGRAPHIC),
    "weakly_convex_ridge": Plan("WeaklyConvexRidge", {"widths": [8, 16], "kernel": 5}, DENOISING, crops, PHOTOGRAPHIC),
}


def train(name: str, steps: int | None = None, progress: bool = False) -> torch.nn.Module:
    """The trained network; checkpoints are in ``build/``."""
    plan = PLANS[name]
    torch.manual_seed(0)
    net = getattr(importlib.import_module(CLASSES[plan.cls]), plan.cls)(**plan.config)
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    batches = plan.batches()
    for k, stage in enumerate(plan.stages):
        n = stage.steps if steps is None else steps
        fit(
            net,
            stage.loss,
            batches,
            steps=n,
            optimizer=lambda parameters, rate=stage.rate: torch.optim.Adam(
                [{"params": [p], "lr": rate * RATES[p.ndim]} for p in parameters], betas=(0.9, 0.99)
            ),
            clip=1.0,
            seed=k,
            validate_every=50,
            checkpoint=folder / f"{name}_{k}_{n}.safetensors",
            callbacks=[report] if progress else [],
        )
    return net.eval()


def report(step: int, net: torch.nn.Module) -> None:
    if step % 100 == 0:
        print(f"step {step}: L {net.lipschitz:.4g}, ρ {net.weak_convexity:.4g}", flush=True)


def save(name: str, net: torch.nn.Module, out: Path) -> str:
    """Write the weights; their SHA-256."""
    plan = PLANS[name]
    about = {
        "script": f"tests/bench/learned/train_regularisers.py {name}",
        "steps": [stage.steps for stage in plan.stages],
        "data": plan.data,
        "noise": f"{SIGMA}, images in [0, 1]",
    }
    return save_weights(out, net, about)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.train_regularisers", description=__doc__)
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--steps", type=int, help="of each stage; those of the plan by default, fewer for a trial")
    parser.add_argument("--out", type=Path, help="data/NAME.safetensors by default")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    net = train(args.name, args.steps, progress=True)
    out = args.out or ROOT / "data" / f"{args.name}.safetensors"
    print(out, save(args.name, net, out))


if __name__ == "__main__":
    main()
