"""Smoothed TV learned from many tiles of photographs: work of stochastic hypergradients, MAID and a fixed accuracy."""

from __future__ import annotations

from ipbox.bilevel import ISGD, MAID, BilevelProblem, LowerLevel, SmoothedTVRegulariser, work_to
from ipbox.problems.simulated.pairs import photograph_pairs

from .denoise_1d import Row

START, BOUNDS = [0.0, -1.0, -1.0], ([-7.0, -7.0, -7.0], [7.0, 0.0, 0.0])


def problem(n: int, size: int) -> BilevelProblem:
    """θ = log10 (α, ξ, ν) of smoothed TV, noise 0.1."""
    truths, data = photograph_pairs(n, size, 0.1, seed=0)
    return BilevelProblem(truths, LowerLevel(None, data, SmoothedTVRegulariser((size, size))))


def rows(quick: bool = False) -> list[Row]:
    posed = problem(40, 64) if quick else problem(200, 96)
    n, evaluator = posed.lower.n, posed.evaluator()
    methods = {
        "adam": (ISGD(), 300),
        "sgd": (ISGD(rule="sgd", alpha_power=0.0), 300),
        "MAID": (MAID(), 60),
        "fixed 1e-4": (MAID(1e-4, adaptive=False), 60),
    }
    found = {}
    for name, (method, iterations) in methods.items():
        found[name] = method.minimise(posed.evaluator(), START, BOUNDS, iterations=iterations)

    def objective(theta: list[float]) -> float:
        return evaluator.evaluate(theta, 1e-3 * evaluator.unit).f

    target = 1.05 * min(objective(r.theta) for r in found.values())
    # f of a stochastic method is known after every tenth step, when it is evaluated for this table alone
    rows = {name: r.history[:: 10 if name in ("adam", "sgd") else 1] for name, r in found.items()}
    work = {name: work_to(history, target, objective) for name, history in rows.items()}
    about = "; ".join(f"{name}: {w:.6g}, final f {found[name].f:.5g}" for name, w in work.items())
    best = min(work["adam"], work["sgd"])
    return [
        (f"{n} tiles: work of MAID over ISGD's, within 5 %", 2, ">=", work["MAID"] / best, about),
        (f"{n} tiles: fixed 1e-4 over ISGD, within 5 %", 10, ">=", work["fixed 1e-4"] / best, ""),
    ]
