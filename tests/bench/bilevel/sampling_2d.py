"""Learning which Cartesian lines to sample on real brain images, against random variable density at the same rate.

The weights s_k = θ_k/(1 - θ_k) of the lines are learned on slices of one patient with the price β Σ θ_k, by L-BFGS-B on
hypergradients.  s and the weight α of the regulariser matter by their ratio alone; the larger α, the closer to 1 the θ
of a line must be to be of use, and the more the price is the number of lines.  Three problems are solved in turn, from
nearly convex ones on.  The lines that are left, β sets how many, make a mask, which is improved by exchanging lines.
Like every other mask it gets the α that is best for it on the training slices, and is judged on another patient's.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass

import numpy as np

import ipbox as ip
from ipbox.bilevel import (
    LBFGSB,
    BilevelProblem,
    LowerLevel,
    SamplingPenalty,
    SamplingWeights,
    exchange_samples,
    solve_lower,
)
from ipbox.problems.measuring.kspace_masks import mask_from_weights, uniform_mask, variable_density_mask
from ipbox.problems.truths.slices import held_out_slices, training_slices

NOISE, NU = 0.01, 1e-2  # of complex noise; of smoothed TV
SAMPLED = 0.02  # θ from which on a line counts as sampled
STAGES = (10**-1.5, 10**-1.0, 10**-0.5)  # α while learning
ALPHAS = 10.0 ** np.arange(-3.0, -1.2, 0.25)  # α of masks
POWERS, CALIBRATIONS = (2, 3, 4, 6), (4, 8, 12)


@dataclass(frozen=True)
class Size:
    """How large the experiment is."""

    pixels: int
    train: tuple[int, ...]
    test: tuple[int, ...]
    evaluations: int  # of each stage
    seeds: int  # random masks on the held-out slices


FULL = Size(96, (4, 7, 10, 13, 16, 19), (3, 6, 9, 12, 15, 18, 21), 40, 20)
QUICK = Size(48, (4, 10, 16), (6, 12, 18), 25, 10)


def data(images: np.ndarray, seed: int) -> tuple[ip.FourierTransform, np.ndarray]:
    """F, and F u with complex noise."""
    F, rng = ip.FourierTransform(images.shape[1:], dtype="complex128"), np.random.default_rng(seed)
    noise = rng.standard_normal(images.shape) + 1j * rng.standard_normal(images.shape)
    return F, F.apply(images.astype(complex)) + NOISE / np.sqrt(2) * noise


def lower_level(F: ip.FourierTransform, b: np.ndarray, alpha: float, way: str) -> LowerLevel:
    xi = 0.1 * alpha if way == "ratio" else 1e-3
    regulariser = alpha * ip.SmoothedTV(F.dims, eps=NU) + xi * ip.Tikhonov(F.dims, order=0)
    return LowerLevel(F, b, regulariser, fidelity=SamplingWeights(F, way, axis=-1))


def learned_weights(size: Size, beta: float, report=None) -> np.ndarray:
    """θ of every line."""
    truths = training_slices("mr", size.pixels, size.train)
    F, b = data(truths, 0)
    theta, before = np.full(size.pixels, 0.5), STAGES[0]
    for alpha in STAGES:
        s = theta / (1 - theta) * alpha / before  # s/α stays
        problem = BilevelProblem(truths, lower_level(F, b, alpha, "ratio"), SamplingPenalty(beta))
        method = LBFGSB(accuracy=0.1, residual_tol=0.05, tol=1e-2, ftol=1e-4)
        bounds = np.zeros(size.pixels), np.full(size.pixels, 0.99)
        start = np.minimum(s / (1 + s), 0.99)
        found = method.minimise(problem.evaluator(), start, bounds, iterations=size.evaluations)
        theta, before = found.theta, alpha
        if report:
            report(f"alpha {alpha:.3f}: f {found.f:.2f}, {(theta > SAMPLED).sum()} lines, work {found.cost.total:.0f}")
    return theta


class Judge:
    """PSNR of masks of lines, on the training and on the held-out slices."""

    def __init__(self, size: Size) -> None:
        self.parts = {"train": training_slices("mr", size.pixels, size.train)}
        self.parts["test"] = held_out_slices("mr", size.pixels, size.test)
        self.data = {name: data(x, k) for k, (name, x) in enumerate(self.parts.items())}

    def reconstruct(self, mask: np.ndarray, alpha: float, part: str) -> np.ndarray:
        F, b = self.data[part]
        return solve_lower(lower_level(F, b, alpha, "linear"), mask.astype(float), accuracy=0.3).u

    def psnr(self, mask: np.ndarray, alpha: float, part: str) -> float:
        u, x = self.reconstruct(mask, alpha, part), self.parts[part]
        return float(np.mean([ip.psnr(abs(a), truth) for a, truth in zip(u, x, strict=True)]))

    def tuned(self, mask: np.ndarray) -> tuple[float, float]:
        """The best α on the training slices, and its PSNR there: up or down from the middle as long as that helps."""
        score = functools.cache(lambda k: self.psnr(mask, ALPHAS[k], "train"))
        k = len(ALPHAS) // 2
        for step in (-1, 1):
            while 0 <= k + step < len(ALPHAS) and score(k + step) > score(k):
                k += step
        return ALPHAS[k], score(k)


def random_family(judge: Judge, pixels: int, lines: int) -> tuple[int, int]:
    """Power and calibration of the variable density whose masks are best on the training slices, by three of each."""
    families = [(p, c) for p in POWERS for c in CALIBRATIONS if c < lines]
    alpha, _ = judge.tuned(density(pixels, lines, families[0], 1000))
    scores = [
        np.mean([judge.psnr(density(pixels, lines, f, 1000 + k), alpha, "train") for k in range(3)]) for f in families
    ]
    return families[int(np.argmax(scores))]


def density(pixels: int, lines: int, family: tuple[int, int], seed: int) -> np.ndarray:
    power, calibration = family
    return variable_density_mask((1, pixels), pixels / lines, calibration, power, seed=seed)[0]


def exchanged(judge: Judge, mask: np.ndarray, report=None) -> np.ndarray:
    """The mask after exchanges of lines, at the α that is best for it before."""
    F, b = judge.data["train"]
    problem = BilevelProblem(judge.parts["train"], lower_level(F, b, judge.tuned(mask)[0], "linear"))

    def line(row: dict) -> None:
        if report:
            report(f"line {row['removed'] - len(mask) // 2} for {row['added'] - len(mask) // 2}: f {row['f']:.3f}")

    return exchange_samples(problem.evaluator(), mask.astype(float), 2e-3, rounds=6, callback=line).theta > 0


def compare(size: Size, beta: float, report=None) -> dict:
    """PSNR on the held-out slices: learned, random masks of the best family, equispaced and low-pass masks."""
    theta, judge, n = learned_weights(size, beta, report), Judge(size), size.pixels
    thresholded = mask_from_weights(theta, threshold=SAMPLED)
    masks = {"learned": exchanged(judge, thresholded, report), "without exchanges": thresholded}
    lines = int(thresholded.sum())
    for c in CALIBRATIONS:
        if c < lines:
            masks[f"equispaced, {c} in the middle"] = uniform_mask((1, n), n / lines, c)[0]
    masks["low frequencies"] = np.abs(np.arange(n) - n // 2 + 0.25) < lines / 2
    family = random_family(judge, n, lines)
    drawn = [density(n, lines, family, seed) for seed in range(size.seeds)]
    default = [density(n, lines, (2, lines // 2), seed) for seed in range(size.seeds)]
    assert all(m.sum() == lines for m in [*masks.values(), *drawn, *default])

    def test(mask: np.ndarray) -> tuple[float, float]:
        alpha, train = judge.tuned(mask)
        return judge.psnr(mask, alpha, "test"), train

    scores = {name: test(mask)[0] for name, mask in masks.items()}
    every = np.array([test(m) for m in drawn])
    usual = np.array([test(m)[0] for m in default])
    return {
        "theta": theta, "masks": masks, "scores": scores, "family": family, "random": every[:, 0],
        "picked": every[np.argmax(every[:, 1]), 0], "default": usual, "lines": lines,
    }  # fmt: skip


def rows(quick: bool) -> list[tuple[str, float, str, float, str]]:
    """Gains of the learned mask in dB on held-out slices, at about 30 % of the lines (QUICK: a third)."""
    size, beta = (QUICK, 0.6) if quick else (FULL, 0.8)
    found = compare(size, beta)
    learned, random = found["scores"]["learned"], found["random"]
    power, calibration = found["family"]
    others = max(v for name, v in found["scores"].items() if name[:2] in ("eq", "lo"))
    note = (
        f"{size.pixels} pixels, {found['lines']} lines: learned {learned:.2f} dB "
        f"({found['scores']['without exchanges']:.2f} without exchanges); variable density (power {power}, "
        f"{calibration} in the middle, the best on the training slices) {random.mean():.2f} on average of "
        f"{len(random)}, {random.max():.2f} at best"
    )
    usual = f"power 2, half of the lines in the middle: {found['default'].mean():.2f} on average"
    return [
        ("sampling-2d-over-variable-density-mean", 0.0, ">=", learned - random.mean(), note),
        ("sampling-2d-part-of-random-masks-beaten", 0.5, ">=", float((random < learned).mean()), note),
        ("sampling-2d-over-usual-density-mean", 0.0, ">=", learned - found["default"].mean(), usual),
        ("sampling-2d-over-equispaced-and-low-pass", 0.0, ">=", learned - others, f"the best of them {others:.2f}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beta", type=float, default=0.8)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", help="where to save what was found, .npz")
    args = parser.parse_args()
    size = QUICK if args.quick else FULL
    found = compare(size, args.beta, lambda line: print(line, flush=True))
    for name, mask in found["masks"].items():
        print(f"{found['scores'][name]:6.2f} dB  {name:32}", "".join("#" if v else "." for v in mask))
    r, d = found["random"], found["default"]
    print(f"random, family {found['family']}: mean {r.mean():.2f}, std {r.std():.2f}, best {r.max():.2f}, ", end="")
    print(f"best on the training slices {found['picked']:.2f}; usual density: {d.mean():.2f}, best {d.max():.2f}")
    if args.out:
        np.savez(args.out, theta=found["theta"], random=r, default=d)


if __name__ == "__main__":
    main()
