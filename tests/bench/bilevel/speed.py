"""Wall time: the whole dynamic run against plain NumPy, and what derivative-free optimisation costs itself."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from ipbox.bilevel import DFO, LowerLevel

from . import denoise_2d
from .denoise_1d import Row, three_parameters
from .plain_numpy import fista

REPEATS = 5


def rows(quick: bool = False) -> list[Row]:
    problem = three_parameters()
    start, bounds = [0.0, -1.0, -1.0], ([-7.0, -7.0, -7.0], [7.0, 0.0, 0.0])
    DFO(evaluations=5).minimise(problem.evaluator(), start, bounds)  # compiled before the clock starts
    runs = [_timed(problem, start, bounds, 100) for _ in range(REPEATS)]
    seconds = statistics.median(r[0] for r in runs)
    own = statistics.median(r[1] for r in runs)
    evaluations, work = len(runs[0][2].history), runs[0][2].history[-1]["work"]
    per_iteration = statistics.median(_numpy_seconds(problem.lower) for _ in range(REPEATS))
    two = _two_dimensional(quick)
    return [
        (
            "1-D run, times faster than a NumPy loop",
            20.0,
            ">=",
            per_iteration * work / seconds,
            f"{work:.6g} iterations in {seconds:.3f} s, {evaluations} evaluations; NumPy {1e6 * per_iteration:.1f} us "
            "an iteration, one signal at a time",
        ),
        ("DFO's own seconds an evaluation", 1e-3, "<=", own / evaluations, f"median of {REPEATS} runs"),
        ("DFO's own share of the 2-D run", 0.05, "<=", two[1] / two[0], f"{two[1]:.3f} of {two[0]:.2f} s"),
    ]


def _timed(problem: Any, start: Any, bounds: Any, evaluations: int) -> tuple[float, float, Any]:
    """Seconds of a run, those outside the evaluations, and the result."""
    evaluator, inside = problem.evaluator(), 0.0
    evaluate = evaluator.evaluate

    def clocked(theta: Any, accuracy: float | None = None) -> Any:
        nonlocal inside
        before = time.perf_counter()
        found = evaluate(theta, accuracy)
        inside += time.perf_counter() - before
        return found

    evaluator.evaluate = clocked
    before = time.perf_counter()
    found = DFO(evaluations=evaluations).minimise(evaluator, start, bounds)
    seconds = time.perf_counter() - before
    return seconds, seconds - inside, found


def _numpy_seconds(lower: LowerLevel, most: int = 2000) -> float:
    """Seconds of an iteration for one signal, at the parameters that are learned."""
    b = lower.b[0]
    before = time.perf_counter()
    _, iterations = fista(b, np.zeros_like(b), 1e-30, most, 0.39, 3e-3, 1e-4, "zero")
    return (time.perf_counter() - before) / iterations


def _two_dimensional(quick: bool) -> tuple[float, float]:
    posed = denoise_2d.problem(4, 64) if quick else denoise_2d.problem(20, 256)
    DFO(evaluations=2).minimise(posed.evaluator(), denoise_2d.START, denoise_2d.BOUNDS)
    return _timed(posed, denoise_2d.START, denoise_2d.BOUNDS, 100)[:2]
