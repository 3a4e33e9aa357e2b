"""Learning to denoise photographs: lower-level work of dynamic accuracy against 200 and 2000 iterations."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from ipbox.bilevel import DFO, BilevelProblem, LowerLevel, SmoothedTVRegulariser, work_to
from ipbox.problems.simulated.pairs import photograph_pairs

from .denoise_1d import Row, exact

START, BOUNDS = [0.0, -1.0, -1.0], ([-7.0, -7.0, -7.0], [7.0, 0.0, 0.0])


def problem(n: int, size: int) -> BilevelProblem:
    """θ = log10 (α, ξ, ν) of smoothed TV, noise 0.1, sum convention, no penalty."""
    truths, data = photograph_pairs(n, size, 0.1, seed=0)
    return BilevelProblem(truths, LowerLevel(None, data, SmoothedTVRegulariser((size, size))), convention="sum")


def rows(quick: bool = False) -> list[Row]:
    posed = problem(8, 96) if quick else problem(20, 256)
    start = time.perf_counter()
    dynamic = _run(posed, None, 100)
    seconds = time.perf_counter() - start
    fixed = {n: _run(posed, n, most) for n, most in ((200, 60), (2000, 40))}
    finals = {"dynamic": exact(posed, dynamic.theta)} | {n: exact(posed, r.theta) for n, r in fixed.items()}
    target = 1.05 * min(finals.values())
    evaluator, accuracy = posed.evaluator(), 1e-5 * math.sqrt(target)  # f to within a part in 1e4

    def objective(theta: np.ndarray) -> float:
        return evaluator.evaluate(theta, accuracy).f

    work = work_to(dynamic.history, target, objective)
    others = {n: work_to(r.history, target, objective) for n, r in fixed.items()}
    told = "; ".join(f"{n} iterations: {w:.6g}" for n, w in others.items())
    ends = ", ".join(f"{n}: {f:.5g}" for n, f in finals.items())
    about = f"dynamic: {work:.6g}; {told}; final f: {ends}; dynamic run {seconds:.1f} s"
    return [("2-D, three parameters: fewer than fixed its", 10, ">=", min(others.values()) / work, about)]


def _run(posed: BilevelProblem, iterations: int | None, evaluations: int) -> Any:
    method = DFO(evaluations=evaluations, accuracy="dynamic" if iterations is None else None)
    return method.minimise(posed.evaluator(iterations=iterations), START, BOUNDS)
