"""Trains the learned proximal gradient of multi-coil MRI: ``python -m tests.bench.learned.train_mri``.

The setting of ``python -m ipbox demo mri``: 256 x 256 pixels, a quarter of the lines, 1 % noise; for each sample a mask
of its own, 6 to 12 coils near or far, and a smooth phase for half of them.  A read-out is measured as a whole, so 64 of
its rows are a problem of their own with the same lines: that is what it learns from, at a quarter of the price.  Five
minutes on one core that multiplies in bfloat16.  It goes on from its checkpoint in build/learned, if there is one.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.training.fit import fit
from ipbox.learned.training.operators import PerOperator
from ipbox.learned.weights.modules import save_weights
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.measuring.kspace_masks import variable_density_mask
from ipbox.problems.truths.brains import brain_slice
from tests.bench.learned.train_unrolled import CHECKPOINTS, ROOT

SIZE, ROWS, CALIBRATION = 256, 64, 24
VALIDATION = (4, 10, 16, 22)  # slices of the training patient that are never trained on
ACCELERATION, NOISE = 4.0, 0.01
COILS, RADII = (6, 12), (1.45, 2.2)
SCALE = 0.25  # of the heads, whose largest value is 1
WARM_UP, EVERY = 50, 300  # steps


def loss(model: LearnedMap, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error of the scaled images."""
    b, u = batch
    return ((model(b) - u) / SCALE).abs().square().mean()


class Scans:
    """Rows of scans of the training patient's heads, drawn anew each time: (operator, data, truth)."""

    def __init__(self, operators: int = 192, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.heads = [brain_slice(k, SIZE, "train") for k in range(25) if k not in VALIDATION]
        self.operators = [operator(rng) for _ in range(operators)]

    def __call__(self, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        index = int(rng.integers(len(self.operators)))
        u, A = varied(self.heads[rng.integers(len(self.heads))], rng), self.operators[index]
        top = int(rng.integers(SIZE - ROWS + 1))
        x = np.ascontiguousarray(u[top : top + ROWS], dtype="complex64")
        return torch.tensor([index]), to_torch(measured(A, x, np.linalg.norm(u), rng)[None]), to_torch(x[None])


def operator(rng: np.random.Generator, rows: int = ROWS) -> ip.CartesianMRI:
    """A mask of its own, and so many rows of the maps of so many coils."""
    mask = variable_density_mask((rows, SIZE), ACCELERATION, CALIBRATION, seed=int(rng.integers(1, 2**31)))
    S = simulate_sensitivities(int(rng.integers(COILS[0], COILS[1] + 1)), (SIZE, SIZE), rng.uniform(*RADII))
    top = int(rng.integers(SIZE - rows + 1))
    return ip.CartesianMRI(mask, S[:, top : top + rows].copy())


def measured(A: ip.CartesianMRI, x: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Data of x, with the noise of a whole scan of an image of norm ``size``."""
    sigma = NOISE * size / math.sqrt(A.dimsd[0] * SIZE**2 / ACCELERATION)
    noise = rng.standard_normal((2, *A.dimsd)) * (sigma / math.sqrt(2))
    return A.apply(x) + ((noise[0] + 1j * noise[1]) * (A.mask > 0)).astype("complex64")


def scan(k: int, rng: np.random.Generator) -> tuple[ip.CartesianMRI, np.ndarray]:
    """The operator and the data of a whole scan of slice ``k``, as varied as training has them."""
    A, x = operator(rng, SIZE), varied(brain_slice(k, SIZE, "train"), rng).astype("complex64")
    return A, measured(A, x, np.linalg.norm(x), rng)


def varied(u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A flip, a small shift, another brightness, and for half of them a smooth phase."""
    u = u[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])] * rng.uniform(0.7, 1.3)
    u = np.roll(u, rng.integers(-8, 9, 2), axis=(0, 1))
    if rng.random() < 0.5:
        return u
    x = np.linspace(-1, 1, SIZE)
    y = x[:, None]
    parts = (np.ones_like(u), x + 0 * y, y + 0 * x, x * y, x**2 - y**2)
    return u * np.exp(1j * sum(c * part for c, part in zip(rng.normal(0, 0.5, 5), parts, strict=True)))


def schedule(step: int, steps: int) -> float:
    """1 after a warm-up, and from a third of the steps on cosine."""
    return min(1.0, (step + 1) / WARM_UP, 0.5 * (1 + math.cos(math.pi * max(0.0, 1.5 * step / steps - 0.5))))


def problem(k: int, patient: str, **options: object) -> tuple:
    """Slice ``k`` of a patient's head as `ip.problem` has it, with the slice as the seed."""
    return ip.problem("mri", size=SIZE, coils=8, noise=NOISE, slice=k, seed=k, patient=patient, **options)


def whole(model: LearnedProximalGradient, A: ip.CartesianMRI) -> LearnedProximalGradient:
    """The map of whole scans with the parameters of that of their rows."""
    made = LearnedProximalGradient(A, **model.config)
    made.load_state_dict(model.state_dict())
    return made.eval()


class Validation:
    """Minus the mean PSNR of the held-out slices of the training patient, every other one with a phase."""

    def __init__(self) -> None:
        self.problems = [problem(k, "train", phase=i % 2 == 1) for i, k in enumerate(VALIDATION)]

    def __call__(self, model: LearnedProximalGradient) -> float:
        method = whole(model, self.problems[0][0]).as_method()
        psnr = float(np.mean([ip.psnr(abs(method(A, b)[0]), abs(x)) for A, b, x, _ in self.problems]))
        print(f"unrolled_mri: validation {psnr:.2f} dB", flush=True)
        return -psnr


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.train_mri", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "unrolled_mri.safetensors")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    scans = Scans()
    model = LearnedProximalGradient(scans.operators[0], niter=8, network="unet", width=16, memory=4, scale=SCALE)
    result = fit(
        model.to(memory_format=torch.channels_last),
        PerOperator(loss, scans.operators),
        scans,
        steps=args.steps,
        lr=2e-3,
        schedule=schedule,
        validation=Validation(),
        validate_every=EVERY,
        clip=1.0,
        checkpoint=CHECKPOINTS / "train_unrolled_mri.safetensors",
        autocast="bfloat16",
    )
    about = {
        "script": "tests/bench/learned/train_mri.py",
        "data": "brain1, slices 4, 10, 16 and 22 held out; 256 x 256, 6 to 12 coils, acceleration 4, 1 % noise",
        "steps": result.steps,
        "validation_psnr": round(-result.best, 3),
    }
    print(save_weights(args.out, model, about, half=True), args.out)


if __name__ == "__main__":
    main()
