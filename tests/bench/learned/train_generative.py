"""Train the generative models shipped in ``data/``: slices of the head, 64 x 64.

``python -m tests.bench.learned.train_generative NAME [--steps N] [--out FILE]``, NAME is autoencoder, vae, wgan or
covariance_identity, covariance_diagonal, covariance_3x3, covariance_5x5.  Encoder and mean of the last four are those
of ``data/vae.safetensors``, held fixed, so that they differ in Σ alone.  What is kept is chosen by slices of the
training patient that were held out.  A run that was stopped goes on from its checkpoint in ``build/``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ipbox.learned import fit, load_weights, save_weights
from ipbox.learned.networks.generative import VAE, WGAN, Autoencoder, CovarianceVAE
from ipbox.learned.training.generative import ELBO, Reconstruction, WassersteinGP
from tests.bench.learned.brains import HELD_OUT, SIZE, Slices, held_out

ROOT = Path(__file__).resolve().parents[3]
BATCH = 8
LATENT, WIDTHS = 64, (24, 32, 48, 64)


@dataclass(frozen=True)
class Plan:
    """A model and how it is trained."""

    make: Callable[[], torch.nn.Module]
    loss: Any
    steps: int
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: str | None = "cosine"
    chosen: bool = True  # by the loss of slices that were held out


def from_vae(structure: str) -> CovarianceVAE:
    """Encoder, mean and noise of the shipped VAE, and a new head, which alone is trained."""
    model = CovarianceVAE(LATENT, (SIZE, SIZE), WIDTHS, structure=structure)
    weights = load_weights(ROOT / "data" / "vae.safetensors").state_dict()
    head = {k: t for k, t in model.state_dict().items() if k.startswith("head.")}
    model.load_state_dict(weights | head)
    model.requires_grad_(False)
    for p in model.covariance_parameters():
        p.requires_grad_(True)
    return model


PLANS = {
    "vae": Plan(lambda: VAE(LATENT, (SIZE, SIZE), WIDTHS), ELBO(), 6000, 1e-3),
    "covariance_identity": Plan(lambda: from_vae("identity"), ELBO(), 200, 1e-2),
    "covariance_diagonal": Plan(lambda: from_vae("diagonal"), ELBO(), 1500, 1e-3),
    "covariance_3x3": Plan(lambda: from_vae("3x3"), ELBO(), 1500, 1e-3),
    "covariance_5x5": Plan(lambda: from_vae("5x5"), ELBO(), 1500, 1e-3),
    "autoencoder": Plan(lambda: Autoencoder(LATENT, (SIZE, SIZE), WIDTHS), Reconstruction(1e-4, 0.1), 3000, 1e-3),
    "wgan": Plan(
        lambda: WGAN(LATENT, (SIZE, SIZE), WIDTHS), WassersteinGP(), 6000, 3e-4, (0.0, 0.9), None, chosen=False
    ),
}


def train(name: str, steps: int | None = None, progress: bool = True) -> torch.nn.Module:
    """The trained model; checkpoints are in ``build/``."""
    plan = PLANS[name]
    steps = plan.steps if steps is None else steps
    torch.manual_seed(0)
    model = plan.make()
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    result = fit(
        model,
        plan.loss,
        Slices(BATCH),
        steps=steps,
        optimizer=lambda p: torch.optim.Adam(p, lr=plan.lr, betas=plan.betas),
        schedule=plan.schedule,
        validation=[(held_out(),)] if plan.chosen else None,
        validate_every=100,
        clip=1.0 if plan.chosen else None,
        checkpoint=folder / f"{name}_{steps}.safetensors",
        progress=progress,
        callbacks=[shown] if progress else [],
    )
    if result.best is not None:
        print(f"{name}: loss of the slices held out {result.best:.4f}, at step {result.best_step}")
    return model.eval()


def shown(step: int, model: torch.nn.Module) -> None:
    """A line now and then, for a log."""
    if step % 500 == 0:
        print(f"step {step}", flush=True)


def save(name: str, model: torch.nn.Module, steps: int, out: Path) -> str:
    """Write the weights in float16; their SHA-256."""
    about = {
        "script": f"tests/bench/learned/train_generative.py {name}",
        "steps": steps,
        "data": f"brain1 in mr_brain, {SIZE} x {SIZE} means, in [0, 1]; not its slices {HELD_OUT}, which chose",
    }
    return save_weights(out, model, about, half=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.learned.train_generative", description=__doc__)
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--steps", type=int, help="of the plan by default; fewer for a trial")
    parser.add_argument("--out", type=Path, help="data/NAME.safetensors by default")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = train(args.name, args.steps)
    out = args.out or ROOT / "data" / f"{args.name}.safetensors"
    print(out, save(args.name, model, args.steps or PLANS[args.name].steps, out))


if __name__ == "__main__":
    main()
