"""Trains the deep equilibrium map of the CT experiment: ``python -m tests.bench.learned.train_equilibrium``.

First six steps of learned proximal gradient with shared weights, the unrolled network that the figure compares with;
their network then starts that of the equilibrium map, which is trained at its fixed point with Jacobian-free
derivatives.  The tolerance matters there: where the iteration stops early, at a residual of 1e-2, one trains an
unrolled network that looks like an equilibrium, and whose fixed point is worse by several dB.  About twenty minutes on
one core that multiplies matrices in bfloat16 (AMX), several times that elsewhere.  It goes on from its checkpoints in
build/learned, if there are some.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.equilibrium import DeepEquilibrium
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.training import FitResult, fit
from ipbox.learned.weights import save_weights
from tests.bench.learned import ct_data
from tests.bench.learned.train_unrolled import CHECKPOINTS, ROOT, SCALE, Batches, Validation, loss, train

NITER = 6  # of the unrolled network
WARM_UP, EVERY = 20, 50  # steps


def schedule(step: int, steps: int) -> float:
    """1 after a warm-up, and from a third of the steps on cosine."""
    return min(1.0, (step + 1) / WARM_UP, 0.5 * (1 + math.cos(math.pi * max(0.0, 1.5 * step / steps - 0.5))))


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.bench.learned.train_equilibrium", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--steps", type=int, default=1000, help="of the unrolled network")
    parser.add_argument("--equilibrium-steps", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--out", type=Path, default=ROOT / "data")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    A = ct_data.training_pairs(copies=24).A
    common = dict(network="unet", width=args.width, filter="ramp", scale=SCALE)
    unrolled = LearnedProximalGradient(A, niter=NITER, shared=True, **common)
    save(unrolled, train(unrolled, "unrolled_shared_ct", args.steps, args.batch_size, lr=1e-3), args.out)
    model = DeepEquilibrium(A, tol=1e-4, niter=40, backward="jacobian_free", **common)
    model.network.load_state_dict(unrolled.networks[0].state_dict())
    model.eta.data.copy_(unrolled.tau.data[0])
    save(model, at_fixed_point(model, args.equilibrium_steps, args.batch_size), args.out)


def at_fixed_point(model: DeepEquilibrium, steps: int, batch_size: int) -> FitResult:
    """Train the equilibrium map; the best weights are in ``model`` afterwards."""
    validation = Validation(ct_data.NOISE, 128, 40)

    def report(step: int, model: DeepEquilibrium) -> None:
        if step % EVERY == 0:
            print(f"equilibrium_ct: step {step}, validation {-validation(model):.2f} dB", flush=True)

    return fit(
        model.to(memory_format=torch.channels_last),
        loss,
        Batches(ct_data.training_pairs(copies=24), batch_size),
        steps=steps,
        lr=1e-3,
        schedule=schedule,
        validation=validation,
        validate_every=EVERY,
        clip=1.0,
        checkpoint=CHECKPOINTS / "train_equilibrium_ct.safetensors",
        autocast="bfloat16",
        callbacks=[report],
    )


def save(model: LearnedMap, result: FitResult, out: Path) -> None:
    """Store one of the two."""
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
