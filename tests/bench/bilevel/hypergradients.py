"""Every hypergradient against closed forms and finite differences: implicit, unrolled, semismooth Newton.

Implicit ones state a bound ω of their error; the figure is the largest error over ω, at accuracies from rough to fine.
The unrolled and the Newton ones are exact for what they differentiate, up to rounding: the figure is the largest error
relative to the gradient.  Differences are of sixth order, between objectives of high accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ipbox.bilevel import (
    AnalysisLower,
    AnalysisProblem,
    BilevelProblem,
    LowerLevel,
    SmoothedTVRegulariser,
    dct_filters,
    gradient_filters,
    hypergradient,
    tgv_denoising,
    unrolled_gradient,
)
from ipbox.problems.truths.photographs import photograph

from .quadratic import QuadraticProblem

LN10 = math.log(10.0)


def differences(f: Callable[[np.ndarray], float], theta: np.ndarray, h: float) -> np.ndarray:
    """∇f by central differences of sixth order."""
    weights = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
    rows = [sum(c * (f(theta + k * h * e) - f(theta - k * h * e)) for k, c in weights) for e in np.eye(len(theta))]
    return np.array(rows) / h


def photographs(n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.stack([photograph(name, size).astype(np.float64) for name in ("camera", "astronaut", "coffee", "cat")[:n]])
    return x, x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)


def over_bound(problem: BilevelProblem, theta: np.ndarray, exact: np.ndarray, slack: float = 0.0) -> float:
    """The largest ‖z - ∇f‖/(ω + slack) over the accuracies, slack the error of ``exact``."""
    shares = []
    for accuracy in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6):
        found = hypergradient(problem.evaluator(), theta, accuracy)
        shares.append(float(np.linalg.norm(found.z - exact)) / (found.bound + slack))
    return max(shares)


def relative(z: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(z - exact).max() / np.abs(exact).max())


def rows(quick: bool) -> list[tuple[str, float, str, float, str]]:
    """Required beside measured."""
    size = 16 if quick else 32
    out = []
    # the quadratic problem: closed forms
    share, far = 0.0, 0.0
    for condition in (None, 20.0, 1000.0):
        p = QuadraticProblem(condition)
        theta = np.ones(10)
        rounding = 1e-12 * float(np.linalg.norm(p.gradient(theta)))
        share = max(share, over_bound(p, theta, p.gradient(theta), rounding))
        for algorithm, N in (("fista", 1200), ("gradient", 20000 if not quick else 12000)):
            if condition != 1000.0 or algorithm == "fista":
                z = unrolled_gradient(p, theta, N if condition == 1000.0 else N // 5, algorithm).z
                far = max(far, relative(z, p.gradient(theta)))
    out.append(("implicit: error / bound, quadratic", 1.0, "<=", share, "closed form; condition as drawn, 20, 1000"))
    out.append(("unrolled, N large: error, quadratic", 1e-8, "<=", far, "closed form, FISTA and gradient descent"))

    # smoothed TV and TGV on photographs: differences
    x, b = photographs(2, size)
    tv = BilevelProblem(x, LowerLevel(None, b, SmoothedTVRegulariser((size, size))))
    tgv = BilevelProblem(x, tgv_denoising(b, nu=0.05, xi=0.02))
    for name, p, theta in (
        ("smoothed TV", tv, np.array([-1.0, -1.5, -1.3])),
        ("smoothed TGV", tgv, np.array([-1.0, -0.8])),
    ):
        exact = differences(lambda t, p=p: p.evaluator().evaluate(t, 1e-10).f, theta, 1e-2)
        error = relative(hypergradient(p.evaluator(), theta, 1e-10).z, exact)
        out.append((f"implicit: error, {name}", 1e-6, "<=", error, "accuracy 1e-10, to differences"))
        slack = error * float(np.linalg.norm(exact))
        out.append((f"implicit: error / bound, {name}", 1.0, "<=", over_bound(p, theta, exact, slack), "1 to 1e-6"))
    theta, worst = np.array([-1.0, -1.5, -1.3]), 0.0
    for algorithm in ("fista", "gradient"):
        for N in (1, 5, 40):
            exact = differences(lambda t, a=algorithm, N=N: unrolled_gradient(tv, t, N, a).f, theta, 2e-3)
            worst = max(worst, relative(unrolled_gradient(tv, theta, N, algorithm).z, exact))
    out.append(("unrolled: error, smoothed TV", 1e-8, "<=", worst, "to differences of f_N; N = 1, 5, 40"))

    # semismooth Newton: differences, and four pixels in closed form
    x, b = photographs(2, 32)
    for name, filters, gamma in (
        ("TV, two weights", gradient_filters(), 0.0),
        ("isotropic TV", gradient_filters(isotropic=True), 0.0),
        ("DCT filters, Huber", list(dct_filters(3)), 1e-2),
    ):
        p = AnalysisProblem(x[:, :16, :16].copy(), AnalysisLower(b[:, :16, :16].copy(), filters, gamma))
        theta = np.linspace(-1.5, -1.4, len(p.lower.K))
        found = p.evaluator().derivatives(theta, 1e-9)
        h = 2e-5  # well below the distance to the next change of the sets
        exact = differences(lambda t, p=p: p.evaluator().evaluate(t, 1e-9).f, theta, h)
        out.append((f"Newton: error, {name}", 1e-6, "<=", relative(found.z, exact), "to differences"))
    pixels = AnalysisLower(np.array([[[0.1, -0.1, 1.1, 0.9]]]), [np.array([[-1.0, 1.0]])])
    p = AnalysisProblem(np.array([[[0.0, 0.0, 1.0, 1.0]]]), pixels)
    error = max(
        relative(p.evaluator().derivatives(np.log10([a]), 1e-9).z, np.array([2 * a**2 * LN10])) for a in (0.1, 0.2, 0.3)
    )
    out.append(("Newton: error, four pixels", 1e-9, "<=", error, "closed form f = α²"))
    return out


if __name__ == "__main__":
    for row in rows(False):
        print(row)
