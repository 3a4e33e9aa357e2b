"""Learning where to sample k-space: each frequency has a weight and a price, and data tell which are worth it.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes smaller images and fewer of them.
"""

# %% The problem
# An MR scanner measures Fourier coefficients one after the other, and time is short: which ones?  Give each frequency a
# weight s_k >= 0,
#
#     û(s) = argmin_u ½ Σ_k s_k |(Fu)_k - b_k|² + α TV(u) + ξ/2 ‖u‖²,
#
# where s_k = 0 means that it is not measured.  From pairs of true images and full data the weights are learned so that
# ‖û(s) - u_true‖² is small on average, while each weight has its price.  `SamplingWeights` is this fidelity; with
# ``"ratio"`` s = θ/(1 - θ), so that 0 <= θ < 1 covers all weights.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.bilevel import (
    LBFGSB,
    BilevelProblem,
    L1Penalty,
    LowerLevel,
    SamplingPenalty,
    SamplingWeights,
    exchange_samples,
    solve_lower,
)
from ipbox.bilevel.plots import plot_sampling
from ipbox.problems.measuring.kspace_masks import mask_from_weights, variable_density_mask
from ipbox.problems.simulated.pairs import interval_pairs
from ipbox.problems.truths.slices import held_out_slices, training_slices

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
rng = np.random.default_rng(0)


def measured(F, truths, sigma):
    """Full k-space data with complex noise."""
    noise = rng.standard_normal(truths.shape) + 1j * rng.standard_normal(truths.shape)
    return F.apply(truths.astype(complex)) + sigma / np.sqrt(2) * noise


# %% Signals first
# Ten intervals, 64 frequencies, 64 parameters, from θ = ½ on: the test problem of Ehrhardt and Roberts (2021).  F is
# unitary, so that the smallest weight adds to the strong convexity of the lower level; ξ takes care of the rest.
signals, _ = interval_pairs(10, 64, noise=0.0)
F = ip.FourierTransform((64,), dtype="complex128")
regulariser = 1e-2 * ip.SmoothedTV((64,), eps=1e-2) + 1e-4 * ip.Tikhonov((64,), order=0)
lower = LowerLevel(F, measured(F, signals, 0.05), regulariser, fidelity=SamplingWeights(F, "ratio"))
problem = BilevelProblem(signals, lower, L1Penalty(0.1), convention="sum")
bounds = np.full(64, 1e-3), np.full(64, 0.99)
method = LBFGSB(accuracy=1e-3, tol=1e-3, ftol=1e-6 if FAST else 1e-9)
found = method.minimise(problem.evaluator(), lower.initial(), bounds, iterations=12 if FAST else 300)
active = found.theta > 1.01e-3
frequencies = np.where(active, found.theta, 0)
print(f"{active.sum()} of 64 frequencies are active, {active[24:41].sum()} of the 17 lowest")

# %% Lines of brain images
# In Cartesian MRI whole lines of k-space are measured at once: ``axis=-1`` has one weight for each.  Slices of one
# patient are learned from, those of another one show what it is worth.
size, noise = 32 if FAST else 96, 0.01
train = training_slices("mr", size, (4, 10, 16) if FAST else (4, 7, 10, 13, 16, 19))
test = held_out_slices("mr", size, (6, 12, 18) if FAST else (3, 6, 9, 12, 15, 18, 21))
F = ip.FourierTransform((size, size), dtype="complex128")
data, test_data = measured(F, train, noise), measured(F, test, noise)


def lower_level(b, alpha, way):
    xi = 0.1 * alpha if way == "ratio" else 1e-3
    regulariser = alpha * ip.SmoothedTV((size, size), eps=1e-2) + xi * ip.Tikhonov((size, size), order=0)
    return LowerLevel(F, b, regulariser, fidelity=SamplingWeights(F, way, axis=-1))


# %% From weights to a mask
# û depends on s/α alone: with a small α all lines can be had at small weights, hence at a low price, and none is left
# out.  The larger α, the closer to 1 is the θ of a line that is of any use, so that Σ θ counts lines - but that problem
# has many local minima.  So three problems are solved in turn, each from the solution of the one before.
price = 0.3 if FAST else 0.8
stages = (10**-1.5, 10**-1.0, 10**-0.5)
theta, before = np.full(size, 0.5), stages[0]
for alpha in stages:
    s = theta / (1 - theta) * alpha / before
    start = np.minimum(s / (1 + s), 0.99)
    problem = BilevelProblem(train, lower_level(data, alpha, "ratio"), SamplingPenalty(price))
    method = LBFGSB(accuracy=0.1, residual_tol=0.05, tol=1e-2, ftol=1e-4)
    found = method.minimise(
        problem.evaluator(), start, (np.zeros(size), np.full(size, 0.99)), iterations=6 if FAST else 40
    )
    theta, before = found.theta, alpha
    print(f"alpha = {alpha:.3f}: {(theta > 0.02).sum()} lines with θ > 0.02, {(theta > 0.9).sum()} with θ > 0.9")
thresholded = mask_from_weights(theta, threshold=0.02)
lines = int(thresholded.sum())

# %% What the mask is worth
# Every mask has weights 1 and the α that is best for it on the training slices.  The random masks have as many lines,
# those in the middle and others from a density that falls off outwards.
alphas = 10.0 ** np.arange(-3.0, -1.9, 0.5 if FAST else 0.25)


def reconstruct(mask, b, alpha):
    return abs(solve_lower(lower_level(b, alpha, "linear"), mask.astype(float), accuracy=0.3).u)


def quality(u, truths):
    return float(np.mean([ip.psnr(a, x) for a, x in zip(u, truths, strict=True)]))


def best_alpha(mask):
    return max(alphas, key=lambda alpha: quality(reconstruct(mask, data, alpha), train))


def judged(mask):
    """Reconstructions of the other patient's slices, and their mean PSNR."""
    u = reconstruct(mask, test_data, best_alpha(mask))
    return u, quality(u, test)


# %% Exchanges
# Weights between 0 and 1 that were learned together are not yet the best mask.  As long as the objective falls,
# exchange the line that is missed least for one of those with the largest -∂f/∂θ.
problem = BilevelProblem(train, lower_level(data, best_alpha(thresholded), "linear"))
effort = {"candidates": 2, "rounds": 1} if FAST else {"rounds": 3}
exchanged = exchange_samples(problem.evaluator(), thresholded.astype(float), 4e-3, **effort)
for row in exchanged.history:
    print(f"line {row['removed'] - size // 2} for {row['added'] - size // 2}: f = {row['f']:.3f}")

# %% Against random masks
masks = {"learned": exchanged.theta > 0, "thresholded": thresholded}
for seed in range(3 if FAST else 10):
    masks[f"random {seed}"] = variable_density_mask((1, size), size / lines, lines // 2, power=2, seed=seed)[0]
results = {name: judged(m) for name, m in masks.items()}
psnr = {name: value for name, (_, value) in results.items()}
random = np.array([value for name, value in psnr.items() if name.startswith("random")])
print(f"{lines} of {size} lines: learned {psnr['learned']:.2f} dB, thresholded {psnr['thresholded']:.2f} dB, ", end="")
print(f"random {random.mean():.2f} +- {random.std():.2f} dB")

# %% Look
best = max((name for name in psnr if name.startswith("random")), key=psnr.get)
plot_sampling({"weights of signals": frequencies, "of lines": theta}, path=OUT / "tutorial_22_weights.png")
chosen = ("learned", "random 0", best)
shown = [test[1], *(results[name][0][1] for name in chosen)]
titles = ["truth", *(f"{name}: {ip.psnr(results[name][0][1], test[1]):.2f} dB" for name in chosen)]
for name in ("thresholded", *chosen):
    shown.append(np.broadcast_to(masks[name], (size, size)).astype(float))
    titles.append(f"{name}: {lines} lines")
ip.show(*shown, titles=titles, path=OUT / "tutorial_22.png")

# %% The headlines
# About half of the frequencies of the signals stay, the low ones among them; on brains the learned lines are better
# than random ones.
assert 20 <= active.sum() <= 44
assert active[28:37].all()
assert psnr["learned"] > random.mean()
