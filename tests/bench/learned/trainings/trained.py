"""What trainings have in common: by `fit` with a loss, or by a method of bilevel learning."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipbox.bilevel import BilevelProblem, LowerLevel, NetworkTerm
from ipbox.learned.bridge.arrays import to_torch
from ipbox.learned.networks.energy import Energy
from ipbox.learned.training.fit import fit
from tests.bench.learned.trainings.architectures import ARCHITECTURES, SIZE, network, pairs


@dataclass(frozen=True)
class Trained:
    """A network, the objective by step, and the work: gradients and Hessian products of R for each training image.

    ``lam`` is the weight it learned to denoise with; None where the training does not set one.
    """

    net: Energy
    objective: list[float]
    work: float
    seconds: float
    lam: float | None = None


def by_loss(
    name: str, loss: Any, steps: int, each: float, lam: float | None, checkpoint: Path | None = None
) -> Trained:
    """By Adam on all training images; ``each`` is the work of a step."""
    net, start = network(name), time.process_time()
    x = to_torch(pairs("training")[0].astype(np.float32), copy=True)[:, None]
    rates = ARCHITECTURES[name].rates
    result = fit(
        net,
        loss,
        lambda generator: (x,),
        steps=steps,
        optimizer=lambda _: torch.optim.Adam(
            [
                {"params": [p], "lr": next(rate for key, rate in rates.items() if of.startswith(key))}
                for of, p in net.named_parameters()
            ]
        ),
        clip=1.0,
        validation=lambda net: evaluated(loss, net, x),
        validate_every=max(1, steps // 10),
        checkpoint=checkpoint,
    )
    objective = [evaluated(loss, network(name), x), *(row["validation"] for row in result.history)]
    return Trained(net.eval(), objective, each * steps, time.process_time() - start, lam)


def evaluated(loss: Any, net: Energy, x: torch.Tensor) -> float:
    """The loss with the same noise each time."""
    with torch.no_grad():
        return float(loss(copy.deepcopy(net).eval(), (x,), torch.Generator().manual_seed(1)))


def by_bilevel(
    name: str, method: Any, iterations: int, work: float = np.inf, checkpoint: Path | None = None
) -> Trained:
    """min_θ mean ‖û_i(θ) - u_i‖² with û_i(θ) = argmin ½‖u - b_i‖² + λR_θ(u), all accuracies of which are proved."""
    (x, b), lam, start = pairs("training"), ARCHITECTURES[name].lam, time.process_time()
    term = NetworkTerm(network(name).double(), (SIZE, SIZE), lam)
    problem = BilevelProblem(x, LowerLevel(None, b, term))
    found = method.minimise(
        problem.evaluator(), term.initial(), iterations=iterations, work=work * len(x), checkpoint=checkpoint
    )
    spent = float(found.history[-1]["work"]) / len(x)
    objective = [*(float(row["f"]) for row in found.history), found.f]  # a line search may end with a worse one
    return Trained(term.module(found.theta).float().eval(), objective, spent, time.process_time() - start, lam)
