"""PET in subsets: what ordered and random subsets of the views save, for the likelihood alone and with total variation.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% The problem: counts b ~ Poisson(A u + r), and its likelihood
# The negative logarithm of the likelihood is, up to a constant, the Kullback-Leibler divergence
#
#     KL(b, m) = Σ_i m_i - b_i + b_i log(b_i / m_i),   m = A u + r.
#
# What an iteration costs is what it applies: A and A*, to all views or to some.  `counting` counts both, subsets by
# their share of the data, so that figures hold on any machine.
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size, views, counts, lam = (64, 60, 3e5, 0.4) if FAST else (128, 180, 1e6, 0.3)
A, b, x_true, info = ip.problem("pet", size=size, views=views, counts=counts, seed=0)
D = ip.KL(A, b)  # the background r is A's own
print(f"{b.sum():.0f} counts in {b.size} readings; KL at the truth {D.value(x_true):.0f}, about half of the readings")


def trace(problem, solver, niter, every=1):
    """The image, and (applications of A and A*, objective) along the way; looking at it is not counted."""
    points, looks = [], 0.0
    with ip.counting(A) as count:
        for run in ip.iterate(problem, solver, stop=ip.stop.niter(niter)):
            if run.k % every == 0 and run.k:
                before = count.total
                points.append((before - looks, run.objective()))
                looks += count.total - before
    return run.x, np.array(points)


def cost_of(points, target):
    """Applications until the objective is at most ``target``."""
    return points[points[:, 1] <= target][0, 0]


# %% Maximum likelihood: MLEM and OSEM
# MLEM multiplies u by A*(b/(A u + r)) / A*1.  It needs dozens of iterations, since each changes u only smoothly.  OSEM
# makes the same step with every tenth view, then with the next tenth ...: ten steps for the price of one.
likelihood = ip.Problem(D)
em = {"MLEM": trace(likelihood, ip.MLEM(), 50), "OSEM, 10 subsets": trace(likelihood, ip.OSEM(10), 8)}
target = em["MLEM"][1][-1, 1]
share_em = cost_of(em["OSEM, 10 subsets"][1], target) / em["MLEM"][1][-1, 0]
print(f"OSEM has the likelihood of 50 iterations of MLEM after {100 * share_em:.0f} % of the applications")

# With noise the most likely image is not the best one.  For Poisson counts 2 KL is about the number of readings, which
# says when to stop, and needs no noise level.
x_stopped, stopped = ip.osem(A, b, 10, noise_level="poisson", niter=50)
print(f"stopped by {stopped.stop} after {stopped.niter} iterations: {ip.psnr(x_stopped, x_true):.2f} dB")

# %% What stopping early does to values
# The image that is stopped is not yet there: white matter (1) has much of the grey matter's (4) around it.  That is no
# fault of A; more iterations take it away, and bring noise.  So where values count: iterate until they stay, then
# filter.  What spills then is that of a Gaussian of 4 mm, which is known.  Contrast recovery is 1 where
# grey over white is as in the truth.
white, grey = abs(x_true - 1) < 0.05, x_true > 3.5
x_filtered, _ = ip.osem(A, b, 10, niter=40, post_filter=4.0)
bias = {}
for name, x in (("stopped", x_stopped), ("40 iterations, filtered", x_filtered)):
    bias[name] = x[white].mean() / x_true[white].mean() - 1
    recovery = ip.contrast_recovery(x, x_true, grey, white)
    print(f"{name:24s} white matter {100 * bias[name]:+.0f} %, contrast recovery {recovery:.2f}")
assert 0.15 < bias["stopped"] and abs(bias["40 iterations, filtered"]) < 0.5 * bias["stopped"]

# %% Subsets that converge: BSREM with the relative difference prior
# min KL(b, A u + r) + λ Σ (u_j - u_k)²/(u_j + u_k + 2|u_j - u_k| + ε), over pairs of neighbours: a difference counts
# relative to the activity around it.  BSREM goes through the subsets as OSEM, with steps that shrink from iteration to
# iteration, so that it ends at the minimiser and not in a cycle; nothing is stopped early, and λ alone trades contrast
# for noise.  How even white matter is, is its background variability.
penalised = {}
for weight in (0.2, 1.0) if not FAST else (0.5, 2.0):
    penalised[weight], run = ip.bsrem(A, b, weight)
    x = penalised[weight]
    told = f"contrast recovery {ip.contrast_recovery(x, x_true, grey, white):.2f}"
    told += f", background variability {ip.background_variability(x, white):.3f}, {ip.psnr(x, x_true):.2f} dB"
    print(f"BSREM, λ = {weight}, {run.niter} iterations: {told}")
x_rdp, x_smooth = penalised.values()
assert ip.contrast_recovery(x_rdp, x_true, grey, white) > ip.contrast_recovery(x_stopped, x_true, grey, white)
assert ip.background_variability(x_smooth, white) < ip.background_variability(x_rdp, white)

# %% Total variation: PDHG and SPDHG
# min KL(b, A u + r) + λ TV(u) over u >= 0.  PDHG applies A and A* once in each iteration.  SPDHG draws one block of the
# dual variable at random: one of 20 subsets of the views, or TV; its step sizes are those of the small blocks.
problem = ip.Problem(D + lam * ip.TV(A.dims) + ip.NonNegative())
epochs = 40
solvers = {
    "PDHG": trace(problem, ip.PDHG(), 200, every=5),
    "SPDHG, 20 subsets": trace(problem, ip.SPDHG(20), epochs * 40, every=20),
}
target = solvers["PDHG"][1][-1, 1]
share_tv = cost_of(solvers["SPDHG, 20 subsets"][1], target) / solvers["PDHG"][1][-1, 0]
print(f"SPDHG has the objective of 200 iterations of PDHG after {100 * share_tv:.0f} % of the applications")

# How the 20 subsets are drawn, and how primal and dual step sizes are balanced, changes the speed, not the limit.
for gamma in (0.02, 0.2, 2.0):
    x, points = trace(problem, ip.SPDHG(20, gamma=gamma), epochs * 20, every=epochs * 20)
    print(f"  with gamma = {gamma}: objective {points[-1, 1]:.1f} after {points[-1, 0]:.0f} applications")

# %% Look
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for axis, runs, title in ((axes[0], em, "KL"), (axes[1], solvers, f"KL + {lam} TV")):
    lowest = min(points[:, 1].min() for _, points in runs.values())
    for name, (_, points) in runs.items():
        axis.semilogy(points[:, 0], points[:, 1] - lowest + 1e-4 * lowest, label=name)
    axis.set(xlabel="applications of A and A*", ylabel="objective above the least (+ 0.01 %)", title=title)
    axis.legend()
figure.savefig(OUT / "tutorial_14_objective.png", dpi=100)

images = {name: x for name, (x, _) in (em | solvers).items()} | {"OSEM, stopped": x_stopped, "BSREM": x_rdp}
quality = {name: ip.psnr(x, x_true) for name, x in images.items()}
titles = ["activity", *[f"{name}: {value:.1f} dB" for name, value in quality.items()]]
ip.show(x_true, *images.values(), titles=titles, unit=info.unit, path=OUT / "tutorial_14.png")
for name, value in quality.items():
    print(f"{name:20s} {value:5.2f} dB")

# %% The headline: subsets need at most a fifth of the applications of A and A*; TV is better than stopping early
assert share_em <= 0.2 and share_tv <= 0.2
assert quality["SPDHG, 20 subsets"] > max(quality["OSEM, stopped"], quality["MLEM"])
