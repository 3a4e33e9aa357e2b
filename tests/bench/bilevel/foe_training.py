"""Fields of Experts learned for denoising brain MR: ``python -m tests.bench.bilevel.foe_training [--method NAME ...]``.

48 filters of 7 x 7 pixels and weakly convex experts, from 24 crops of 96 x 96 pixels of one patient's slices, with
noise 0.1; tested on crops of another patient.  Every method starts from the same θ and has the same budget of work;
MAID then goes on until it has done twice as much.
As they work to different accuracies, their iterates are evaluated anew to 1e-2, outside of the budget, whenever a tenth
more work was done.

Writes the histories beside this file, and what MAID learned to ``data/foe_48.npz``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.bilevel import HOAG, MAID, BilevelProblem, FieldsOfExperts, LowerLevel
from ipbox.bilevel.terms.experts import UNITS
from ipbox.problems.truths import datasets

SIZE, CROPS, NOISE = 96, 24, 0.1
BUDGET, LEARNING = 1000.0, 2000.0  # gradients and Hessian products for each training image; MAID has the second
HISTORIES = Path(__file__).with_name("foe_histories.json")
LEARNED = Path(__file__).resolve().parents[3] / "data" / "foe_48.npz"
FLOOR = 2e-4  # single precision proves no better accuracy of the images than about 1e-4
METHODS = {
    "MAID": MAID(eps0=1e-1, min_eps=FLOOR),
    "HOAG exponential": HOAG("exponential", 1e-1, floor=FLOOR),
    "HOAG quadratic": HOAG("quadratic", 1e-1, floor=FLOOR),
    "HOAG cubic": HOAG("cubic", 1e-1, floor=FLOOR),
    "HOAG quadratic, L = 60": HOAG("quadratic", 1e-1, L=60.0, floor=FLOOR),  # 1/L like the steps that MAID takes
    "fixed 0.001": MAID(eps0=1e-3, adaptive=False, memory=0),
    "fixed 0.1": MAID(eps0=0.1, adaptive=False, memory=0),
    "fixed 0.01": MAID(eps0=0.01, adaptive=False, memory=0),
}


def term(dims: tuple[int, int] = (SIZE, SIZE)) -> FieldsOfExperts:
    """The regulariser that is learned."""
    return FieldsOfExperts(dims, filters=48, size=7, weak_convexity=0.8)


def bounds() -> tuple[np.ndarray, np.ndarray]:
    """Logarithms stay within 3 of where they start, but ν_k >= e^-6.5: below, experts are hardly sharper."""
    names, start = term().names, term().initial()
    unit = np.array([next((UNITS[key] for key in UNITS if name.startswith(key)), 1.0) for name in names])
    lower = start - 3 / unit
    smoothing = np.array([name.startswith("log nu") for name in names])
    lower[smoothing] = -6.5 / UNITS["log nu"]
    return lower, start + 3 / unit


def crops(patient: str, n: int, seed: int) -> np.ndarray:
    """Crops of slices of ``"brain1"`` or ``"brain2"``, at random, with the head in more than 3/5 of the pixels."""
    slices = datasets.load("mr_brain")[patient].astype(np.float64)
    slices /= slices.max(axis=(1, 2), keepdims=True)
    rng, found = np.random.default_rng(seed), []
    while len(found) < n:
        u = slices[rng.integers(len(slices))]
        i, j = rng.integers(0, u.shape[0] - SIZE, 2)
        u = u[i : i + SIZE, j : j + SIZE]
        if (u > 0.1).mean() > 0.6:
            found.append(u)
    return np.stack(found)


def pairs(split: str) -> tuple[np.ndarray, np.ndarray]:
    """True images and noisy ones, (24, 96, 96) of one patient for training, (12, 96, 96) of another for testing."""
    u = crops("brain1", CROPS, seed=1) if split == "train" else crops("brain2", 12, seed=0)
    b = u + NOISE * np.random.default_rng(2 if split == "train" else 3).standard_normal(u.shape)
    return u.astype(np.float32), b.astype(np.float32)


def problem() -> BilevelProblem:
    truths, data = pairs("train")
    return BilevelProblem(truths, LowerLevel(None, data, term()))


def run(name: str, budget: float | None = None) -> tuple[np.ndarray, list[dict[str, float]]]:
    """θ and the history of one method: work, objective and accuracy."""
    p = problem()
    budget = budget or (LEARNING if name == "MAID" else BUDGET)
    exact, history, start = p.evaluator(), [], time.process_time()
    last: dict[str, Any] = {}

    def record(row: dict[str, Any]) -> None:
        f = exact.evaluate(row["theta"], 1e-2 * p.residual_lipschitz).f
        history.append(
            {key: float(row[key]) for key in ("iteration", "work", "gradients", "hessians", "accuracy", "step")}
        )
        history[-1] |= {"f": f, "seconds": time.process_time() - start}
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in history[-1].items()), flush=True)

    def watch(row: dict[str, Any]) -> None:
        last.update(row)
        if not history or row["work"] >= 1.1 * history[-1]["work"]:
            record(row)

    found = METHODS[name].minimise(
        p.evaluator(), term().initial(), bounds(), iterations=10**6, work=budget * p.lower.n, callback=watch
    )
    record(last)
    print(f"{name}: {found.stop}")
    return found.theta, history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--budget", type=float, help="work for each training image")
    parser.add_argument("--out", type=Path, default=HISTORIES, help="file of the histories; other methods' are kept")
    parser.add_argument("--learned", type=Path, default=LEARNED, help="file of what MAID learns")
    args = parser.parse_args()
    for name in args.method:
        theta, history = run(name, args.budget)
        histories = json.loads(args.out.read_text()) if args.out.is_file() else {}
        histories[name] = history
        args.out.write_text(json.dumps({key: histories[key] for key in METHODS if key in histories}, indent=1) + "\n")
        if name == "MAID":
            np.savez(args.learned, theta=theta)


if __name__ == "__main__":
    main()
