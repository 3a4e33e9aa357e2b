"""Train the regularisers shipped in ``data/``.

``python -m tests.bench.learned.train_regularisers NAME [--steps N] [--out FILE]``.  The ridge regularisers learn to
denoise crops of photographs at noise 0.1, by descent through few steps from the noisy image, then from near the
minimiser.  The input-convex one and the critic learn to tell slices of the training patient from their filtered
back-projections (CT, 40 views, 1 % noise); ``weakly_convex_ridge_ct`` goes on from photographs to such data, through
the descent that reconstructs.  A run that was stopped goes on from its checkpoint in ``build/``.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.networks import WeaklyConvexRidge
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import Adversarial, MultiStepDenoising, MultiStepReconstruction
from ipbox.learned.weights.modules import CLASSES, save_weights
from tests.bench.learned import ct_data
from tests.bench.learned.photographs import PHOTOGRAPHS, Crops

ROOT = Path(__file__).resolve().parents[3]
SIGMA = 0.1
SCALE = 0.04  # of CT, 1/mm


@dataclass(frozen=True)
class Stage:
    """A loss, the steps with it, learning rates by the first key that a parameter's name begins with, and data."""

    loss: Any
    steps: int
    rates: dict[str, float]
    batches: Callable[[], Callable[[torch.Generator], tuple]]
    divided: float = 1.0  # R by this number before, where the weight is multiplied by it: its modulus may grow so much


@dataclass(frozen=True)
class Plan:
    """A network, and how it is trained."""

    cls: str
    config: dict[str, Any]
    betas: tuple[float, float]  # of Adam
    stages: tuple[Stage, ...]
    about: dict[str, str]


def crops() -> Crops:
    return Crops(size=40, batch_size=6)


class Slices:
    """Batches (x, z) of crops of training slices and of their filtered back-projections, in units of `SCALE`."""

    def __init__(self, size: int = 64, batch_size: int = 4, copies: int = 8) -> None:
        pairs = ct_data.training_pairs(copies=copies)
        b, x = pairs.batch(np.random.default_rng(0), len(pairs))
        z = np.stack([ip.fbp(pairs.A, data)[0] for data in b])
        self.images = torch.stack([to_torch(u / np.float32(SCALE), copy=True) for u in (x, z)], dim=1)
        self.size, self.batch_size = size, batch_size

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Two tensors (batch_size, 1, size, size)."""
        which = torch.randint(len(self.images), (self.batch_size,), generator=generator).tolist()
        places = torch.randint(self.images.shape[-1] - self.size + 1, (self.batch_size, 2), generator=generator)
        found = [
            self.images[k, :, i : i + self.size, j : j + self.size]
            for k, (i, j) in zip(which, places.tolist(), strict=True)
        ]
        return tuple(torch.stack(found, dim=1)[:, :, None])


class Data:
    """Batches (b, u_0, x) of one noisy sinogram, its reconstruction by TV, and the truth."""

    def __init__(self, n: int = 88) -> None:
        pairs = ct_data.training_pairs(copies=8)
        b, x = pairs.batch(np.random.default_rng(1), n)
        u = np.stack([ip.tv(pairs.A, data, 0.2, nonneg=True, tol=1e-3)[0] for data in b])
        self.parts = [to_torch(part.astype(np.float32), copy=True) for part in (b, u, x)]

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        k = torch.randint(len(self.parts[0]), (1,), generator=generator)
        return tuple(part[k] for part in self.parts)


PHOTOGRAPHIC = {
    "data": f"photographs {', '.join(PHOTOGRAPHS)} (scikit-image), ascent, aero (PyWavelets), china, flower "
    "(scikit-learn); slices of ct_lung1 and of brain1 in mr_brain",
    "noise": f"{SIGMA}, images in [0, 1]",
}
TOMOGRAPHIC = {
    "data": "44 slices of ct_lung1 and their filtered back-projections, 128 x 128 pixels, 40 views",
    "noise": f"1 %, images in units of {SCALE}/mm",
}
DENOISING = (
    Stage(
        MultiStepDenoising(SIGMA, steps=6, accelerated=True),
        1500,
        {"log_alpha": 0.01, "raw": 0.05, "bank": 3e-3},
        crops,
    ),
    Stage(
        MultiStepDenoising(SIGMA, steps=6, warm_up=12, accelerated=True),
        400,
        {"log_alpha": 2e-3, "raw": 0.01, "bank": 6e-4},
        crops,
    ),
    Stage(  # profiles that are far steeper at 0
        MultiStepDenoising(SIGMA, steps=6, warm_up=12, accelerated=True),
        900,
        {"log_alpha": 0.03, "raw": 0.3, "bank": 3e-3},
        crops,
    ),
    Stage(  # which take more steps to the minimiser
        MultiStepDenoising(SIGMA, steps=8, warm_up=50, accelerated=True),
        500,
        {"log_alpha": 0.01, "raw": 0.3, "bank": 2e-3},
        crops,
    ),
)
MORE = tuple(
    Stage(MultiStepDenoising(SIGMA, steps=8, warm_up=warm_up, accelerated=True), steps, rates, crops)
    for warm_up, steps, rates in (
        (50, 700, {"log_alpha": 0.02, "raw": 0.3, "bank": 4e-3}),
        (60, 450, {"log_alpha": 0.01, "raw": 0.3, "bank": 3e-3}),
    )
)
TOMOGRAPHY = tuple(  # at half of the scale, as slices have more contrast than noise
    Stage(
        MultiStepReconstruction(
            LinearMap(ct_data.training_operator()), steps=8, warm_up=60, lam=lam, accelerated=True, scale=0.5 * SCALE
        ),
        steps,
        {"log_alpha": 0.02, "raw": raw, "bank": 3e-3},
        Data,
        divided,
    )
    for lam, steps, raw, divided in ((15.0, 300, 0.3, 1.0), (90.0, 450, 0.1, 6.0))
)
PLANS = {
    "convex_ridge": Plan(
        "ConvexRidge", {"widths": [4, 8, 16], "kernel": 3}, (0.9, 0.99), (*DENOISING, *MORE), PHOTOGRAPHIC
    ),
    "weakly_convex_ridge": Plan(
        "WeaklyConvexRidge", {"widths": [8, 16], "kernel": 5}, (0.9, 0.99), DENOISING, PHOTOGRAPHIC
    ),
    "weakly_convex_ridge_ct": Plan(
        "WeaklyConvexRidge",
        {"widths": [8, 16], "kernel": 5},
        (0.9, 0.99),
        (*DENOISING[:3], *TOMOGRAPHY),
        {key: f"{PHOTOGRAPHIC[key]}; then {TOMOGRAPHIC[key]}" for key in PHOTOGRAPHIC},
    ),
    "input_convex": Plan(
        "InputConvex",
        {"width": 12, "layers": 3},
        (0.5, 0.99),
        (Stage(Adversarial(20.0), 800, {"raw": 0.02, "": 2e-3}, Slices),),
        TOMOGRAPHIC,
    ),
    "adversarial": Plan(
        "LipschitzCritic",
        {"widths": [8, 16, 16, 32, 32]},
        (0.5, 0.99),
        (Stage(Adversarial(20.0), 1200, {"": 5e-4}, Slices),),
        TOMOGRAPHIC,
    ),
}


def train(name: str, steps: int | None = None, progress: bool = False) -> torch.nn.Module:
    """The trained network; checkpoints are in ``build/``."""
    plan = PLANS[name]
    torch.manual_seed(0)
    net = getattr(importlib.import_module(CLASSES[plan.cls]), plan.cls)(**plan.config)
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    for k, stage in enumerate(plan.stages):
        n = stage.steps if steps is None else steps
        if stage.divided != 1:
            divide(net, stage.divided)
        fit(
            net,
            stage.loss,
            stage.batches(),
            steps=n,
            optimizer=lambda _, stage=stage: torch.optim.Adam(
                [{"params": [p], "lr": rate_of(key, stage.rates)} for key, p in net.named_parameters()],
                betas=plan.betas,
            ),
            clip=1.0,
            seed=k,
            validate_every=50,
            checkpoint=folder / f"{name}_{k}_{n}.safetensors",
            callbacks=[report] if progress else [],
        )
    return net.eval()


@torch.no_grad()
def divide(net: WeaklyConvexRidge, factor: float) -> None:
    """R/``factor`` instead of R."""
    net.raw.copy_((net.slopes() / factor + 1).clamp(min=1e-3).expm1().log())


def rate_of(name: str, rates: dict[str, float]) -> float:
    return next(rate for key, rate in rates.items() if name.startswith(key))


def report(step: int, net: torch.nn.Module) -> None:
    if step % 100 == 0:
        print(f"step {step}: L {net.lipschitz:.4g}, ρ {net.weak_convexity:.4g}", flush=True)


def save(name: str, net: torch.nn.Module, out: Path) -> str:
    """Write the weights; their SHA-256."""
    plan = PLANS[name]
    about = {
        "script": f"tests/bench/learned/train_regularisers.py {name}",
        "steps": [stage.steps for stage in plan.stages],
        **plan.about,
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
