"""AUTOMAP in a table of its own: every method on CT slices of 32 x 32 pixels, since its layers grow with n⁴.

20 views, 1 % noise; trained on ct_lung1, tested on the twelve slices of ct_lung2.  TV has the weight that is best for
these.  `compute` trains AUTOMAP, post-processing and the unrolled network at this size, a quarter of an hour; their
weights are not shipped.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.direct import AUTOMAP, PostProcessing
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from tests.bench.learned import ct_data
from tests.bench.learned.ct import best_weight, measured, tv
from tests.bench.learned.train_unrolled import SCALE, loss, train

SIZE, VIEWS = 32, 20
SPARSITY = 1e-4  # of the features before the last layer, as published


def sparse_loss(model: AUTOMAP, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error and 10⁻⁴ times the 1-norm of the features."""
    return loss(model, batch, generator) + SPARSITY * model.features.abs().mean()


def trained_maps(steps: int = 3000) -> dict[str, LearnedMap]:
    """The three networks; each goes on from its checkpoint in build/learned."""
    torch.manual_seed(0)
    pairs = ct_data.training_pairs(SIZE, VIEWS, 24)
    largest = float(np.abs(pairs.clean).max())
    maps = {
        "AUTOMAP": AUTOMAP(pairs.A, width=32, scale=SCALE, scale_data=largest),
        "post-processing": PostProcessing(pairs.A, width=16, depth=3, scale=SCALE),
        "unrolled": LearnedProximalGradient(
            pairs.A, niter=6, network="unet", width=16, memory=5, inputs="gradient", filter="ramp", scale=SCALE
        ),
    }
    settings = {"AUTOMAP": (2 * steps, 3e-4, sparse_loss), "post-processing": (steps, 1e-3, loss)}
    settings["unrolled"] = (steps // 2, 1e-3, loss)
    for name, (n, lr, objective) in settings.items():
        file = f"{name.lower().replace('-', '_')}_{SIZE}"
        train(maps[name], file, n, 8, lr=lr, objective=objective, size=SIZE, views=VIEWS)
    return maps


def compute() -> dict[str, Any]:
    """Train, and measure every method on every test slice."""
    torch.set_num_threads(1)
    test = ct_data.test_problems(SIZE, VIEWS)
    weights = best_weight(test)
    methods = {"fbp": lambda A, b, info: ip.fbp(A, b, "hann")[0], "tv": lambda A, b, info: tv(A, b, weights["best"])}
    maps = trained_maps()
    methods |= {name: lambda A, b, info, net=net: net.as_method()(A, b)[0] for name, net in maps.items()}
    parameters = {name: sum(p.numel() for p in net.parameters()) for name, net in maps.items()}
    return {
        "tv weights": weights,
        "parameters": parameters,
        "methods": {name: measured(method, test) for name, method in methods.items()},
    }


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    """Required beside measured."""
    means = {name: float(np.mean(m["psnr"])) for name, m in result["methods"].items()}
    notes = {name: f"{means[name]:.2f} dB, {m['seconds']:.4f} s per image" for name, m in result["methods"].items()}
    for name, n in result["parameters"].items():
        notes[name] += f", {n:,} parameters"
    found = [
        ("automap: TV at its best weight, 32 x 32, PSNR", -math.inf, ">=", means["tv"], notes["tv"]),
        ("automap: TV above AUTOMAP, dB", 3.0, ">=", means["tv"] - means["AUTOMAP"], notes["AUTOMAP"]),
    ]
    for name in ("fbp", "post-processing", "unrolled"):
        found.append((f"automap: {name} above TV, dB", -math.inf, ">=", means[name] - means["tv"], notes[name]))
    return found
