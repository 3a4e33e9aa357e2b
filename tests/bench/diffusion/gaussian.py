"""Samplers against posteriors in closed form: those that are exact within 2 % and 5 %, the others with their errors.

6 x 6 pixels, as `ipbox.bayes.known_problem` poses them.  The exact ones have enough steps and 4000 samples, so that
what is measured is not what so many samples leave; the approximate ones 100.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ipbox as ip
from ipbox.bayes import MixtureScore
from ipbox.bayes.diffusion import prior_samples

EXACT = {"exact": 1, "ula-small": 1500, "pcn": 1000, "reverse": 1000}  # and their steps
PROBLEM, ROUGH = "ct-gaussian", ("inpaint-gaussian", "ct-mixture")
APPROXIMATE, STEPS = ("ula", "myula", "diffpir", "dps", "daps", "projection"), (20, 100)
MANY, FEW, SIZE = 4000, 100, 6


def compute() -> dict[str, Any]:
    exact = [
        row
        for name, steps in EXACT.items()
        for row in ip.bayes.benchmark([name], [posed(PROBLEM)], steps=[steps], samples=MANY).report()["rows"]
    ]
    rough = ip.bayes.benchmark(["exact", *APPROXIMATE], [posed(p) for p in ROUGH], steps=STEPS, samples=FEW).report()[
        "rows"
    ]
    return {"exact": exact, "approximate": rough, "prior": unconditional()}


def posed(name: str) -> ip.bayes.KnownProblem:
    return ip.bayes.known_problem(name, size=SIZE)


def unconditional() -> list[float]:
    """Relative errors of mean and variance of samples of a prior by predictor and corrector; its mean is not zero."""
    law = posed(PROBLEM).posterior
    score = MixtureScore(law)
    x = prior_samples(score, samples=MANY, steps=400, correctors=1, snr=0.05, dtype="float64").samples
    variance, true = x.var(axis=0, ddof=1).ravel(), np.diagonal(law.covariance)
    mean = np.linalg.norm(x.mean(axis=0) - law.mean) / np.linalg.norm(law.mean)
    return [float(mean), float(np.linalg.norm(variance - true) / np.linalg.norm(true))]


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    table = []
    for row in result["exact"]:
        name = f"{row['sampler']}, {row['problem']}, {row['steps']} steps"
        note = f"variance in all {row['spread']:.3f} of the true one, coverage of 90 %: {row['coverage']:.3f}"
        table.append((f"{name}: mean, relative error", 0.02, "<=", row["mean"], note))
        table.append((f"{name}: variance, relative error", 0.05, "<=", row["variance"], f"{row['seconds']:.1f} s"))
    mean, variance = result["prior"]
    told = "predictor and corrector, 400 steps"
    table.append((f"{told}: mean, relative error", 0.02, "<=", mean, "with the score of the law itself"))
    table.append((f"{told}: variance, relative error", 0.05, "<=", variance, ""))
    for row in result["approximate"]:
        note = f"floor {row['floor']:.3f}, sliced {row['sliced']:.3f}, gap {row['gap']:.2f} dB, "
        note += f"coverage of 90 %: {row['coverage']:.3f}, spread {row['spread']:.3f}, {row['seconds']:.1f} s"
        told = f"{row['sampler']}, {row['problem']}, {row['steps']} steps: W2 over the deviation"
        table.append((told, np.inf, "<=", row["w2"], note))
    return table
