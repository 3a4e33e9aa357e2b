"""Unrolled networks for CT by the number of scans to learn from: ordinary, with turned copies, and equivariant.

Learned proximal gradient with memory, as wide, from the same scans and with the same early stopping on held-out scans
of the training patient; tested on another patient, upright and turned.  The ordinary network with copies is given every
scan in four orientations, with noise of their own.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipbox.evaluate import check_disjoint
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.training.fit import FitResult, fit
from tests.bench.equivariance import scans
from tests.bench.equivariance.trials import COMPETITORS, TESTS, TURNS, Row, Trials, chosen, psnr
from tests.bench.learned import ct_data

STORED = Path(__file__).resolve().parents[3] / "data" / "equivariance.json"
SCALE = 0.04  # 1/mm: images divided by it are about in [0, 1]
STEPS = {2: 1600, 5: 1600, 10: 600, 20: 600, 40: 600}  # at most, by the number of scans: for want of hours
EVERY, PATIENCE = 50, 6  # steps between validations; validations without a better one
NETWORK = {"niter": 6, "width": 32, "memory": 4, "filter": "ramp", "scale": SCALE}


def compute() -> dict[str, Any]:
    """All networks, trained and tested; what the demonstration shows of them goes to ``data/``."""
    check_disjoint(training(max(TRIALS.sizes), 0, "copies").x, test_scans("upright").x)
    runs = TRIALS.compute()
    STORED.write_text(json.dumps({"runs": shown(runs), "steps": STEPS}, indent=0) + "\n")
    return {"runs": runs, "network": NETWORK, "steps": STEPS}


def shown(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the demonstration needs of the records."""
    return [{key: run[key] for key in ("competitor", "n", "seed", *TESTS)} for run in runs]


def rows(result: dict[str, Any]) -> list[Row]:
    return TRIALS.rows(result["runs"], "scans")


def network(competitor: str, A: Any, seed: int, **changed: Any) -> LearnedProximalGradient:
    """The map before it is trained."""
    torch.manual_seed(seed)
    settings = {**NETWORK, **changed, "network": "equivariant" if competitor == "equivariant" else "residual"}
    return LearnedProximalGradient(A, **settings)


def train(competitor: str, n: int, seed: int, checkpoint: Path | None = None) -> tuple[torch.nn.Module, FitResult]:
    """A competitor that learned from ``n`` scans; it goes on from its checkpoint."""
    data = training(n, seed, competitor)
    model = network(competitor, data.A, seed).to(memory_format=torch.channels_last)
    return trained(model, data, seed, checkpoint, STEPS[n])


def trained(
    model: LearnedProximalGradient,
    data: scans.Scans,
    seed: int,
    checkpoint: Path | None = None,
    steps: int = 600,
    held_out: scans.Scans | None = None,
) -> tuple[torch.nn.Module, FitResult]:
    """The map after it learned from scans, as good as it was for those that are held out."""
    held_out = validation_scans() if held_out is None else held_out
    seen = to_torch(held_out.b)

    def validation(model: torch.nn.Module) -> float:
        with torch.no_grad():
            return -psnr(model(seen).numpy(), held_out.x)

    result = fit(
        model,
        loss,
        list(zip(data.b, data.x, strict=True)),
        steps=steps,
        lr=1e-3,
        validation=validation,
        validate_every=min(EVERY, steps),
        early_stopping=PATIENCE,
        clip=1.0,
        seed=seed,
        checkpoint=checkpoint,
    )
    return model.eval(), result


def loss(model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error of the scaled images."""
    b, x = batch
    return ((model(b) - x) / SCALE).square().mean()


def training(n: int, seed: int, competitor: str) -> scans.Scans:
    """The scans that a competitor learns from."""
    turns = (0, *TURNS) if competitor == "copies" else (0,)
    return scans.scans("train", chosen(scans.TRAINING, n, seed), turns)


@functools.cache
def validation_scans() -> scans.Scans:
    """Upright ones of the training patient, that nothing is trained on."""
    return scans.scans("train", ct_data.VALIDATION)


@functools.cache
def test_scans(name: str) -> scans.Scans:
    """Those of the other patient."""
    return scans.scans("test", ct_data.TEST, TESTS[name])


def tested(model: LearnedProximalGradient) -> dict[str, float]:
    """Mean PSNR of the tests, one scan at a time."""
    return {name: figure(model, test_scans(name)) for name in TESTS}


def figure(model: LearnedProximalGradient, data: scans.Scans) -> float:
    """Mean PSNR of the scans, one at a time."""
    method = model.with_operator(data.A)
    return psnr(np.stack([method.reconstruct(b)[0] for b in data.b]), data.x)


TRIALS = Trials("ct", (2, 5, 10, 20, 40), (0, 1, 2), train, tested)


def main() -> None:
    """One network: ``python -m tests.bench.equivariance.ct COMPETITOR N SEED``."""
    parser = argparse.ArgumentParser("python -m tests.bench.equivariance.ct", description=__doc__)
    parser.add_argument("competitor", choices=COMPETITORS)
    parser.add_argument("n", type=int)
    parser.add_argument("seed", type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(TRIALS.record(args.competitor, args.n, args.seed))


if __name__ == "__main__":
    main()
