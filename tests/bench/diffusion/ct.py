"""Posterior means of sparse-view CT by the shipped score, beside the best total variation; and what a step costs.

Slices of the test patient, 64 x 64, 15 views.  The weight of TV is the best of a grid for each problem, by the truth,
which favours it; the samplers have their defaults, which were chosen on held-out slices of the training patient.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.bayes.diffusion import Score
from ipbox.bayes.diffusion.sampling import METHODS
from ipbox.evaluate import check_disjoint
from ipbox.learned.priors import as_score
from ipbox.learned.weights.modules import pretrained
from ipbox.operators import Operator
from tests.bench.diffusion import ct_data

VIEWS, NOISES, SLICES = 15, (0.01, 0.05), (8, 23, 38, 53)
FACTORS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # of TV's weights, times the deviation of the noise
SAMPLES, TIMED = 8, 20


def problem(noise: float, index: int) -> tuple[Any, ...]:
    return ip.problem("ct", size=64, views=VIEWS, noise=noise, slice=index, seed=index, dtype="float32")


def best_tv(A: Any, b: np.ndarray, x_true: np.ndarray, info: Any) -> float:
    """PSNR of the best weight."""
    s = info.noise_level / b.size**0.5
    return max(ip.psnr(ip.tv(A, b, c * s, nonneg=True, tol=1e-3, niter=500)[0], x_true) for c in FACTORS)


def compute() -> dict[str, Any]:
    score = as_score(pretrained("score_ct"), scale=ct_data.UNIT)
    truths = [problem(NOISES[0], k)[2] for k in SLICES]
    check_disjoint(ct_data.training_images(), [(u / np.float32(ct_data.UNIT)).astype(np.float32) for u in truths])
    result: dict[str, Any] = {"quality": {}, "cost": {name: cost(name, score) for name in METHODS}}
    for noise in NOISES:
        found: dict[str, list[Any]] = {"tv": []}
        for k in SLICES:
            A, b, x_true, info = problem(noise, k)
            found["tv"].append(best_tv(A, b, x_true, info))
            for name in METHODS:
                posterior = ip.diffusion(A, b, score, noise_level=info.noise_level, method=name, samples=SAMPLES)
                residual = np.linalg.norm(A.apply(posterior.samples) - b, axis=(1, 2)).mean() / info.noise_level
                found.setdefault(name, []).append(
                    {
                        "mean": ip.psnr(posterior.mean, x_true),
                        "sample": statistics.mean(ip.psnr(u, x_true) for u in posterior.samples),
                        "residual": float(residual),
                        "deviation": float(posterior.std.mean() / ct_data.UNIT),
                        "error": float(np.sqrt(np.mean((posterior.mean - x_true) ** 2)) / ct_data.UNIT),
                    }
                )
        result["quality"][f"{noise:g}"] = found
    return result


# ---------------------------------------------------------------- what a step costs


class Clock:
    """Seconds spent in what it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args)
        finally:
            self.seconds += time.perf_counter() - start


class TimedScore(Score):
    """The network passes of another score, timed."""

    def __init__(self, inner: Score, clock: Clock) -> None:
        super().__init__(inner.dims, inner.dtype, inner.sigma_range)
        self.inner, self.clock = inner, clock

    def _denoise(self, x: np.ndarray, sigma: float) -> np.ndarray:
        return self.clock(self.inner.denoise, x, sigma)

    def _linearise(self, x: np.ndarray, sigma: float) -> Any:
        d, vjp = self.clock(self.inner.linearise, x, sigma)
        return d, lambda v: self.clock(vjp, v)


class Timed(Operator):
    """Applications of A and A*, timed."""

    def __init__(self, A: Operator, clock: Clock) -> None:
        self.A, self.clock = A, clock
        super().__init__(tuple(A.dims), tuple(A.dimsd), A.dtype_in, name="Timed")

    def _apply(self, x: np.ndarray, out: np.ndarray) -> None:
        self.clock(self.A.apply, x, out)

    def _apply_adjoint(self, y: np.ndarray, out: np.ndarray) -> None:
        self.clock(self.A.apply_adjoint, y, out)

    def _compute_norm(self) -> tuple[float, str]:
        return self.A.norm(), self.A.norm_kind


def cost(name: str, score: Score) -> dict[str, float]:
    """Median over steps of a step's time over that of its network passes and its applications of A and A*."""
    A, b, _, info = problem(0.01, SLICES[0])
    clock = Clock()
    ratios, seconds, last = [], [], [0.0, 0.0]

    def seen(run: Any) -> None:
        now = time.perf_counter()
        if run.k > 3:
            seconds.append(now - last[0])
            ratios.append(seconds[-1] / (clock.seconds - last[1]))
        last[:] = time.perf_counter(), clock.seconds

    with ip.counting(A) as count:
        posterior = ip.diffusion(
            Timed(A, clock),
            b,
            TimedScore(score, clock),
            noise_level=info.noise_level,
            method=name,
            steps=TIMED,
            callbacks=[seen],
        )
    applied = (count.forward + count.adjoint) / (2 * len(posterior.samples) * TIMED)
    return {"ratio": statistics.median(ratios), "seconds": statistics.median(seconds), "pairs": applied}


def rows(result: dict[str, Any]) -> list[tuple[str, float, str, float, str]]:
    table = []
    for noise, found in result["quality"].items():
        tv = statistics.mean(found["tv"])
        for name in METHODS:
            of = {key: statistics.mean(row[key] for row in found[name]) for key in found[name][0]}
            least = min(row["mean"] - p for row, p in zip(found[name], found["tv"], strict=True))
            note = (
                f"{of['mean']:.2f} against {tv:.2f}, least {least:+.2f}; one sample {of['sample']:.2f}, residual "
                f"{of['residual']:.2f} of the noise, mean deviation {of['deviation']:.4f}, rms error {of['error']:.4f}"
            )
            table.append((f"{name}, noise {noise}: mean over the best TV, dB", 0.0, ">=", of["mean"] - tv, note))
    for name, of in result["cost"].items():
        note = f"{1e3 * of['seconds']:.0f} ms for {SAMPLES} samples, {of['pairs']:.1f} pairs of A and A* a step"
        table.append((f"{name}: a step over its network passes, A and A*", 1.1, "<=", of["ratio"], note))
    return table
