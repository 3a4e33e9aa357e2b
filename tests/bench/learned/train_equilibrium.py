"""Trains the deep equilibrium map of the CT experiment: ``python -m tests.bench.learned.train_equilibrium``.

First six steps of learned proximal gradient with shared weights, the unrolled network that the figure compares with;
their network then starts that of the equilibrium map, which is trained at its fixed point with Jacobian-free
derivatives and a penalty on the Jacobian.  About twenty minutes on one core that multiplies matrices in bfloat16 (AMX),
several times that elsewhere.  It goes on from its checkpoints in build/learned, if there are some.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.equilibrium import DeepEquilibrium
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.training.fit import FitResult
from ipbox.learned.weights.modules import save_weights
from tests.bench.learned import ct_data
from tests.bench.learned.train_unrolled import ROOT, SCALE, loss, train

PENALTY = 0.01
DEPTH = (10, 40)  # evaluations of f before the step that is differentiated; more than it takes to be near


def deep(model: DeepEquilibrium, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error after a random, large number of iterations, and the penalty on the Jacobian there.

    Iterating only to a tolerance would leave what happens beyond it untrained, since ‖J_f‖ is near 1 where the views
    see nothing.
    """
    settings = model.solver
    n = int(torch.randint(DEPTH[0], DEPTH[1] + 1, (), generator=generator))
    model.solver = replace(settings, tol=1e-12, niter=n)
    try:
        return loss(model, batch, generator) + PENALTY * model.jacobian_penalty(batch[0], generator)
    finally:
        model.solver = settings


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.train_equilibrium", description="Trains two maps.")
    parser.add_argument("--steps", type=int, default=1000, help="of each of the two")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--out", type=Path, default=ROOT / "data")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    A = ct_data.training_pairs(copies=24).A
    common = dict(network="unet", width=args.width, filter="ramp", scale=SCALE)
    unrolled = LearnedProximalGradient(A, niter=6, shared=True, **common)
    save(unrolled, train(unrolled, "unrolled_shared_ct", args.steps, args.batch_size, lr=1e-3), args.out)
    model = DeepEquilibrium(A, tol=1e-3, niter=50, backward="jacobian_free", **common)
    model.network.load_state_dict(unrolled.networks[0].state_dict())
    model.eta.data.copy_(unrolled.tau.data[0])
    save(model, train(model, "equilibrium_ct", args.steps, args.batch_size, lr=3e-4, objective=deep), args.out)


def save(model: LearnedMap, result: FitResult, out: Path) -> None:
    about = {
        "script": "tests/bench/learned/train_equilibrium.py",
        "data": "ct_lung1, slices 5, 17, 29 and 41 held out; 128 x 128, 40 views, 1 % noise",
        "steps": result.steps,
        "validation_psnr": round(-result.best, 3),
    }
    name = "equilibrium_ct" if isinstance(model, DeepEquilibrium) else "unrolled_shared_ct"
    print(name, save_weights(out / f"{name}.safetensors", model, about, half=True), flush=True)


if __name__ == "__main__":
    main()
