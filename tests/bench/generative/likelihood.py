"""How likely the models find the slices of a patient they never saw, and how near their images come to them.

Of the slices of ``brain2`` at 64 x 64: the evidence lower bound, and the importance weighted estimate from as many
draws, in nats per pixel, by the shipped VAEs; the range error min_z ‖u - G(z)‖ of every shipped generator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ipbox.evaluate import log_likelihood, range_error
from ipbox.learned import pretrained
from tests.bench.learned.brains import test_slices

STRUCTURES = ("identity", "diagonal", "3x3", "5x5")
GENERATORS = ("autoencoder", "vae", "wgan")
DRAWS = 64


def compute() -> dict[str, Any]:
    torch.set_num_threads(1)
    u = test_slices()
    found = {s: log_likelihood(pretrained(f"covariance_{s}"), u, samples=DRAWS) for s in STRUCTURES}
    likelihood = {s: [r.elbo.tolist(), r.importance_weighted.tolist()] for s, r in found.items()}
    errors = {name: range_error(pretrained(name), u[::2]).relative.tolist() for name in GENERATORS}
    return {"likelihood": likelihood, "range error": errors}


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    bounds = {s: np.array(result["likelihood"][s]) for s in STRUCTURES}
    table = []
    for name, row in (("lower bound", 0), ("importance weighted", 1)):
        means = {s: float(b[row].mean()) for s, b in bounds.items()}
        for other in ("identity", "diagonal"):
            share = (bounds["3x3"][row] > bounds[other][row]).mean()
            note = f"{means['3x3']:.3f} and {means[other]:.3f}; higher for {100 * share:.0f} % of the slices"
            gain = means["3x3"] - means[other]
            table.append((f"{name}: covariance (3 x 3) above {other}, nats per pixel", 0.0, ">=", gain, note))
        wider = means["5x5"] - means["3x3"]
        table.append((f"{name}: 5 x 5 above 3 x 3, nats per pixel", np.inf, ">=", wider, f"{means['5x5']:.3f}"))
    for name, errors in result["range error"].items():
        note = f"smallest {min(errors):.3f}, largest {max(errors):.3f}"
        table.append((f"range error of {name}, relative", np.inf, "<=", float(np.mean(errors)), note))
    return table
