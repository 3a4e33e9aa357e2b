"""Learning the weights of smoothed TV for photographs as their noise vanishes: a convergent choice of parameters?

θ = log10 (α, ξ, ν) from (0, -1, -1), σ = 1e-1 to 1e-6, the bounds below those of Ehrhardt and Roberts (J. Math. Imaging
Vis. 63, 2021, figure 14): α -> 0 and σ²/α -> 0.  f falls by ten decades on the way, and its gradient with it: a method
that calls a point stationary for the size of its gradient alone ends where it began.
"""

from __future__ import annotations

import math
from typing import Any

from ipbox.bilevel import DFO, HOAG, ISGD, LBFGSB, MAID, BilevelProblem, LowerLevel, SmoothedTVRegulariser
from ipbox.problems.simulated.pairs import photograph_pairs

from .denoise_1d import Row

START = [0.0, -1.0, -1.0]
LEAST = {1e-1: -7.0, 1e-2: -7.0, 1e-3: -7.0, 1e-4: -7.0, 1e-5: -10.0, 1e-6: -12.0}  # of θ
METHODS = {
    "dfo": (DFO(evaluations=200), {}),
    "maid": (MAID(), {"iterations": 250}),
    "lbfgsb": (LBFGSB(), {"iterations": 100}),
    "hoag": (HOAG(), {"iterations": 100}),
    "isgd": (ISGD(), {"iterations": 100}),
}
ARRIVE = ("dfo", "maid", "lbfgsb")  # the others' steps do not grow with the decades that f falls
FAR = 1.1  # times the least f is no minimum


def learned(name: str, sigma: float, n: int = 6, size: int = 32) -> tuple[Any, float]:
    """What the method finds, and the f of no regularisation: Σ‖u - b‖²."""
    u, b = photograph_pairs(n, size, sigma, seed=0)
    posed = BilevelProblem(u, LowerLevel(None, b, SmoothedTVRegulariser((size, size))), convention="sum")
    method, options = METHODS[name]
    bounds = [LEAST[sigma]] * 3, [7.0, 0.0, 0.0]
    return method.minimise(posed.evaluator(), START, bounds, **options), float(((u - b) ** 2).sum())


def rows(quick: bool = False) -> list[Row]:
    sigmas = [1e-1, 1e-3, 1e-6] if quick else list(LEAST)
    table: list[Row] = []
    runs = {(name, s): learned(name, s) for name in METHODS for s in sigmas}
    least = {s: min(runs[name, s][0].f for name in METHODS) for s in sigmas}
    for name in ARRIVE:
        alphas = [10.0 ** float(runs[name, s][0].theta[0]) for s in sigmas]
        ratios = [s * s / a for s, a in zip(sigmas, alphas, strict=True)]
        over = max(runs[name, s][0].f / least[s] for s in sigmas)
        about = ", ".join(f"σ {s:.0e}: {a:.3g}" for s, a in zip(sigmas, alphas, strict=True))
        quotients = ", ".join(f"{q:.2g}" for q in ratios)
        table += [
            (f"vanishing-noise-{name}-f-over-least", FAR, "<=", over, "the worst σ, over the best of the methods"),
            (f"vanishing-noise-{name}-alpha-falls", 1.0, "<=", _growth(alphas), f"α at {about}"),
            (f"vanishing-noise-{name}-ratio-falls", 1.0, "<=", _growth(ratios), f"σ²/α: {quotients}"),
        ]
    false = [f"{n} at {s:.0e}" for (n, s), (r, _) in runs.items() if r.stop == "stationary" and r.f > FAR * least[s]]
    ends = "; ".join(
        f"{name}: {', '.join(f'{runs[name, s][0].f / runs[name, s][1]:.3g}' for s in sigmas)}" for name in METHODS
    )
    note = f"f over Σ‖u - b‖² for {ends}"
    return [*table, ("vanishing-noise-falsely-stationary", 0.0, "<=", float(len(false)), ", ".join(false) or note)]


def _growth(values: list[float]) -> float:
    """The largest quotient of two that follow each other."""
    return max((b / a for a, b in zip(values, values[1:], strict=False)), default=math.nan)
