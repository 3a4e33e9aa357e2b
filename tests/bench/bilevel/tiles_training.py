"""Smoothed TV learned from 200 tiles: ``python -m tests.bench.bilevel.tiles_training [--method NAME ...]``.

θ = log10 (α, ξ, ν) from tiles of photographs of 96 x 96 pixels with noise 0.1, by methods that take all tiles at a
time and by others that take a few.  Every one starts from the same θ; budgets are in gradients and Hessian products
for each tile.  As the methods work to different accuracies, and a stochastic one knows f of its last tiles alone, the
objective is evaluated anew to 1e-3, outside of the budget, whenever a twentieth more work was done.

Writes the histories beside this file.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.bilevel import ISGD, MAID, BilevelProblem, LowerLevel, Piggyback, SmoothedTVRegulariser
from ipbox.problems.truths.crops import photograph_crops

START, BOUNDS = [0.0, -1.0, -1.0], ([-7.0, -7.0, -7.0], [7.0, 0.0, 0.0])
TILES, SIZE, APART, NOISE = 200, 96, 185, 0.1
HISTORIES = Path(__file__).with_name("tiles_histories.json")
METHODS: dict[str, tuple[Any, float]] = {  # with their budgets
    "ISGD, Adam": (ISGD(), 400.0),
    "ISGD, plain": (ISGD(rule="sgd", alpha_power=0.0), 300.0),
    "Piggyback": (Piggyback(), 1200.0),
    "MAID": (MAID(), 2000.0),
    "MAID, 20 tiles": (MAID(batch=20), 600.0),
    "fixed 1e-4": (MAID(1e-4, adaptive=False), 3000.0),
}


@functools.cache
def problem(n: int = TILES, size: int = SIZE) -> BilevelProblem:
    """``n`` tiles, with noise; the photographs have 185 of 96 x 96 pixels, so that the others overlap some of those."""
    apart = min(n, APART) if size == SIZE else n
    truths = photograph_crops(apart, size)
    if n > apart:
        truths = np.concatenate([truths, photograph_crops(n - apart, 2 * size)[:, 24 : 24 + size, 24 : 24 + size]])
    data = truths + NOISE * np.random.default_rng(0).standard_normal(truths.shape)
    return BilevelProblem(truths, LowerLevel(None, data, SmoothedTVRegulariser((size, size))))


def run(name: str, posed: BilevelProblem, share: float = 1.0, told: bool = True) -> list[dict[str, Any]]:
    """The history of one method: work for each tile, objective and θ; ``share`` of its budget."""
    method, budget = METHODS[name]
    exact, history, start, n = posed.evaluator(), [], time.process_time(), posed.lower.n
    last: dict[str, Any] = {}

    def record(row: dict[str, Any]) -> None:
        f = exact.evaluate(row["theta"], 1e-3 * posed.residual_lipschitz * posed.unit).f
        work, iteration = row["work"] / n, float(row["iteration"])
        seconds = time.process_time() - start
        history.append({"iteration": iteration, "work": work, "f": f, "theta": list(row["theta"]), "seconds": seconds})
        if told:
            print(f"{name}: iteration {iteration:g}, work {work:.1f}, f {f:.5f}, {seconds:.0f} s", flush=True)

    def watch(row: dict[str, Any]) -> None:
        last.update(row)
        if not history or row["work"] >= 1.05 * history[-1]["work"] * n:
            record(row)

    options = {"iterations": 10**6, "work": share * budget * n, "callback": watch}
    method.minimise(posed.evaluator(), START, BOUNDS, **options)
    record(last)
    return history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=HISTORIES, help="file of the histories; other methods' are kept")
    args = parser.parse_args()
    for name in args.method:
        history = run(name, problem())
        histories = json.loads(args.out.read_text()) if args.out.is_file() else {}
        histories[name] = history
        args.out.write_text(json.dumps({key: histories[key] for key in METHODS if key in histories}, indent=1) + "\n")


if __name__ == "__main__":
    main()
