"""All trainings of one architecture on the same images, with as much work for each: quality on held-out photographs.

Adversarial and difference training set no weight: λ is fitted on the training images afterwards.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

import torch

from ipbox.evaluate import check_disjoint
from tests.bench.learned.ct_data import BUILD
from tests.bench.learned.trainings import (
    adversarial,
    bilevel_lbfgsb,
    bilevel_maid,
    bilevel_unrolled,
    difference,
    multi_step,
)
from tests.bench.learned.trainings.architectures import ARCHITECTURES, network, pairs
from tests.bench.learned.trainings.quality import best_weight, quality
from tests.bench.learned.trainings.trained import Trained

TRAININGS = {
    "adversarial": adversarial,
    "difference": difference,
    "multi-step": multi_step,
    "bilevel, MAID": bilevel_maid,
    "bilevel, L-BFGS-B": bilevel_lbfgsb,
    "bilevel, unrolled": bilevel_unrolled,
}
SHOWN = ("CRR",)
BUDGET = 500.0  # gradients and Hessian products of R for each training image


def compute() -> dict[str, Any]:
    """Work, seconds and PSNR of each pair; those that were computed before are in ``build/``."""
    torch.set_num_threads(1)
    check_disjoint(pairs("training")[0], pairs("held out")[0])
    result: dict[str, Any] = {}
    for name in SHOWN:
        result[name] = {"before": kept(name, "before")}
        for training in TRAININGS:
            result[name][training] = kept(name, training)
            print(f"  {name}, {training}: {result[name][training]}", flush=True)
    return result


def kept(name: str, training: str) -> dict[str, Any]:
    path = BUILD / "learned" / "trainings" / f"{name}_{training.replace(', ', '_')}_{BUDGET:g}.json"
    if not path.is_file():
        found = quality(network(name), ARCHITECTURES[name].lam) if training == "before" else measured(name, training)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(found))
        temporary.replace(path)
    return json.loads(path.read_text())


def measured(name: str, training: str) -> dict[str, Any]:
    found = TRAININGS[training].train(name, work=BUDGET)
    return figures(found) | {"work": found.work, "seconds": found.seconds, "objective": found.objective}


def figures(found: Trained) -> dict[str, Any]:
    """PSNR with the weight of the training, or the one fitted afterwards."""
    start = time.process_time()
    lam = best_weight(found.net) if found.lam is None else found.lam
    return quality(found.net, lam) | {"quality seconds": time.process_time() - start}


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    table = []
    for name, row in result.items():
        before = row["before"]["held out"]
        for training in TRAININGS:
            r = row[training]
            note = (
                f"before {before:.2f}; training {r['training']:.2f} dB; λ {r['lam']:.3g}"
                f"{'' if r['proved'] else ', no proof of a minimiser'}; work {r['work']:.0f}, {r['seconds']:.0f} s"
            )
            table.append((f"trainings: {name}, {training}, held-out PSNR, dB", -math.inf, ">=", r["held out"], note))
    for name, row in result.items():
        gains = {training: row[training]["held out"] - row["before"]["held out"] for training in TRAININGS}
        best = max(TRAININGS, key=lambda training, row=row: row[training]["training"])  # not on what is held out
        least, most, above = min(gains.values()), max(gains.values()), sum(g > 0 for g in gains.values())
        note = f"{best}; {above} of {len(gains)} above, from {least:+.2f} to {most:+.2f}"
        told = f"trainings: {name}, the one best on its own crops: held out above its start, dB"
        table.append((told, 0.5, ">=", gains[best], note))
    return table
