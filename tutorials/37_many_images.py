"""Learning from many images: what a step costs, when a few of them will do, and a bound that holds.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes fewer and smaller tiles.
"""

# %% The problem
#
#     min_θ f(θ) = 1/n Σ_i ‖û_i(θ) - u_i‖²,   û_i(θ) = argmin_u ½‖u - b_i‖² + α Σ_j √(|(∇u)_j|² + ν²) + ξ/2 ‖u‖²
#
# with θ = (log10 α, log10 ξ, log10 ν), from tiles of photographs with noise.  Every evaluation of f solves n lower
# levels: with hundreds of images a single step of a method that takes them all is dear.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.bilevel import (
    ISGD,
    MAID,
    BilevelProblem,
    LowerLevel,
    Piggyback,
    SmoothedTVRegulariser,
    hypergradient,
    learn,
    work_to,
)
from ipbox.bilevel.plots import plot_objective
from ipbox.problems.simulated.pairs import photograph_pairs

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
n, size = (24, 32) if FAST else (120, 64)

truths, data = photograph_pairs(n, size, 0.1, seed=0)
test, noisy = photograph_pairs(4, size, 0.1, seed=1, split="test")  # of other photographs
term = SmoothedTVRegulariser((size, size))
problem = BilevelProblem(truths, LowerLevel(None, data, term))
start, bounds = np.array([0.0, -1.0, -1.0]), ([-4.0, -4.0, -3.0], [1.0, 0.0, 0.0])

# %% Piggyback: the image and its derivative at once
# Smoothed TV is a saddle-point problem min_u max_y f(u) + <∇u, y> - g*(y), strongly convex in u and in y.  A
# primal-dual step on (u, y) and one on its derivative (U, Y) at the same time cost twice a step; the residuals of both
# bound the error of the hypergradient that they give.  Nothing is estimated in this bound: wherever the method stops,
# it holds.
few = BilevelProblem(truths[:4], LowerLevel(None, data[:4], term))
found = Piggyback().minimise(few.evaluator(), start, bounds, iterations=6)
shares = []
for row in found.history:
    exact = hypergradient(few.evaluator(), row["theta"], 1e-9)
    error = float(np.linalg.norm(row["gradient"] - exact.z))
    shares.append((error - exact.bound) / row["grad_bound"])
    print(f"‖z‖ = {row['grad_norm']:.1e}, error {error:.1e}, bound {row['grad_bound']:.1e}")

# %% All images, or some at a time
# MAID and piggyback take all of them, to the accuracy that the step needs.  ISGD takes four and trusts that the next
# four correct what these have wrong: its steps and errors follow a schedule, and the images of each tile start from
# where they were when it was last visited (``keep`` says of how many of them).  MAID with ``batch`` tests descent on
# the samples that the gradient is of; so its bounds hold, for those samples.
budget = 600.0 * n  # gradients and Hessian products
methods = {"MAID": MAID(), "Piggyback": Piggyback(), "MAID, batches": MAID(batch=n // 5), "ISGD": ISGD()}
results = {}
for name, method in methods.items():
    share = 0.5 if name == "ISGD" else 1.0
    options = {"theta0": start, "bounds": bounds, "work": share * budget, "iterations": 10**5}
    results[name] = learn((truths, data), term, method, **options)

# %% What each of them reached
# A stochastic method knows f of the last tiles alone.  For the comparison f is computed anew, over all tiles, at every
# tenth of the rows of a method that has many.
judge = problem.evaluator()
histories = {}
for name, learned in results.items():
    every = max(1, len(learned.history) // (12 if FAST else 40))
    rows = [*learned.history[::every], learned.history[-1]]
    histories[name] = [{"work": row["work"], "f": judge.evaluate(row["theta"], 1e-3).f, "f_bound": 0.0} for row in rows]
best = min(row["f"] for rows in histories.values() for row in rows)
work = {name: work_to(rows, 1.05 * best) for name, rows in histories.items()}
noise = float(((data - truths) ** 2).sum(axis=(1, 2)).mean())
print(f"f of the noisy data: {noise:.3f}; least f found: {best:.4f}")
for name, learned in results.items():
    alpha, xi, nu = 10**learned.theta
    print(
        f"{name:14s} work for each tile, to within 5 %: {work[name] / n:6.0f};  f = {histories[name][-1]['f']:.4f} at "
        f"α = {alpha:.3f}, ξ = {xi:.4f}, ν = {nu:.4f}"
    )

# %% Look
# After each tile was seen a few times ISGD is where the others come after many more.  In the end, where minibatches
# disagree about the direction, descent on all of them goes on, and ISGD's points scatter.
plot_objective(histories, path=OUT / "tutorial_37.png", relative_to=0.99 * best)
u = results["ISGD"].reconstruct(noisy)
quality = [(ip.psnr(b, t), ip.psnr(v, t)) for b, v, t in zip(noisy, u, test, strict=True)]
print("tiles of other photographs: " + ", ".join(f"{before:.1f} -> {after:.1f} dB" for before, after in quality))
shown = [np.clip(a, 0, 1) for a in (test[0], noisy[0], u[0])]
titles = ["truth", f"noisy: {quality[0][0]:.1f} dB", f"learned: {quality[0][1]:.1f} dB"]
ip.show(*shown, titles=titles, path=OUT / "tutorial_37_tile.png")

# %% The headlines
assert max(shares) <= 1
assert all(rows[-1]["f"] < 0.5 * rows[0]["f"] for rows in histories.values())
assert work["ISGD"] < np.inf and work["ISGD"] <= 0.5 * min(work["MAID"], work["Piggyback"])
assert all(after > before + 3 for before, after in quality)
