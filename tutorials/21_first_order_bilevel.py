"""Learning parameters by gradients: implicit, inexact, unrolled, and for a lower level that is not smooth.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes fewer and smaller photographs.
"""

# %% The problem: the weight and the smoothing of TV, from pairs of photographs
#
#     min_θ f(θ) = 1/n Σ_i ‖û_i(θ) - u_i‖²,   û_i(θ) = argmin_u ½‖u - b_i‖² + α Σ_j √(|(∇u)_j|² + ν²) + ξ/2 ‖u‖²
#
# with θ = (log10 α, log10 ν).  The photograph of the cat is kept for testing.
import os
from pathlib import Path

import numpy as np
import torch

import ipbox as ip
from ipbox.bilevel import (
    HOAG,
    LBFGSB,
    MAID,
    AnalysisLower,
    AnalysisProblem,
    BilevelProblem,
    GridSearch,
    LowerLevel,
    SemismoothNewton,
    SmoothedTVRegulariser,
    TorchTerm,
    Unrolled,
    dct_filters,
    gradient_filters,
    hypergradient,
    learn,
)
from ipbox.bilevel.plots import plot_objective
from ipbox.problems.truths.photographs import photograph

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size, names = (32, ["camera", "coffee"]) if FAST else (64, ["camera", "astronaut", "coffee", "rocket"])

rng = np.random.default_rng(0)
truths = np.stack([photograph(name, size).astype(np.float64) for name in names])
data = truths + 0.1 * rng.standard_normal(truths.shape)
test = photograph("cat", size).astype(np.float64)[None]
noisy = test + 0.1 * rng.standard_normal(test.shape)

lower = LowerLevel(None, data, SmoothedTVRegulariser((size, size), learn=("alpha", "nu"), xi=1e-3))
problem = BilevelProblem(truths, lower)
start, bounds = np.array([-2.5, -1.0]), ([-4.0, -3.0], [0.0, 0.0])

# %% The gradient of f
# By the implicit function theorem ∇f(θ) = -Σ_i B_i*q_i, where A_i q_i = 2/n (û_i - u_i): A_i is the Hessian of the
# lower level at û_i, B_i its mixed derivative.  Neither û_i nor q_i is ever exact; the hypergradient comes with a bound
# of what that does to it, which is proved, and pessimistic.
exact = hypergradient(problem.evaluator(), start, accuracy=1e-9)
for accuracy in (1e-1, 1e-3, 1e-5):
    found = hypergradient(problem.evaluator(), start, accuracy)
    error = np.linalg.norm(found.z - exact.z)
    print(f"images to {accuracy:g}: ∇f = {found.z.round(4)}, error {error:.1e}, bound {found.bound:.1e}")
    assert error <= found.bound + exact.bound

# %% Six methods
# L-BFGS-B wants every gradient to high accuracy.  HOAG lets the errors follow a schedule; MAID chooses them: as rough
# as still gives a direction and a step of descent for certain.  Unrolling differentiates N iterations, as good as they
# are.  The grid needs no gradient, and grows exponentially with the number of parameters.
steps = 15 if FAST else 60
methods = {
    "grid, 9 x 9": (GridSearch(9, accuracy=1e-2), {}),
    "unrolled, N = 10": (Unrolled(10), {}),
    "unrolled, N = 100": (Unrolled(100), {}),
    "L-BFGS-B": (LBFGSB(accuracy=1e-6), {"iterations": steps}),
    "HOAG": (HOAG(), {"iterations": steps}),
    "MAID": (MAID(), {"iterations": steps}),
}
results = {name: m.minimise(problem.evaluator(), start, bounds, **kw) for name, (m, kw) in methods.items()}

# %% What each of them reached
# Methods report f as accurately as they need it; here f is computed again, from images to 1e-3, wherever they were.
# Work is counted in gradients and Hessian products of the lower level, over all photographs.
judge = problem.evaluator()
histories = {}
for name, result in results.items():
    rows, best = [], np.inf
    for row in result.history:
        best = min(best, judge.evaluate(row["theta"], 1e-3).f)
        rows.append({"work": row["work"], "f": best, "f_bound": 0.0})
    histories[name] = rows
optimum = min(rows[-1]["f"] for rows in histories.values())
noise = float(((data - truths) ** 2).sum(axis=(1, 2)).mean())
work = {name: next((r["work"] for r in rows if r["f"] <= 1.03 * optimum), np.inf) for name, rows in histories.items()}
print(f"f of the noisy data: {noise:.3f}; least f found: {optimum:.4f}")
for name, result in results.items():
    print(
        f"{name:18s} f = {judge.evaluate(result.theta, 1e-3).f:.4f} at α = {10 ** result.theta[0]:.3f}, "
        f"ν = {10 ** result.theta[1]:.4f}; work to 1.03 min f: {work[name]:.0f}"
    )

# %% A fixed number of iterations learns something else
# f_N compares u_N with the truth, not û.  With N = 10 the minimiser is the θ that suits ten iterations: much smoothing,
# since that converges fast.  Solve the lower level properly at this θ, and the reconstructions are not what they could
# be.  The bound on |f_N - f| warns of it.
few = results["unrolled, N = 10"]
print(f"f_10 = {few.f:.2f} ± {few.bound:.2f}, but f = {judge.evaluate(few.theta, 1e-3).f:.2f} at the same θ")

# %% No smoothing: semismooth Newton
# With ν = 0, TV is not differentiable.  Still û is piecewise smooth in α: the set where ∇u = 0 stays as it is for small
# changes.  Newton's method on the active and inactive sets solves the lower level to a duality gap that bounds its
# error, and the same sets give the derivatives of f.  So it learns one weight in a few steps, and as easily those of
# the eight 3 x 3 cosine filters.  (Each step solves sparse systems: its work is not that of the others.)
filters = {"TV": (gradient_filters(isotropic=True), 0.0), "8 filters": (dct_filters(3), 1e-2)}
quality, images = {"noisy": ip.psnr(noisy[0], test[0])}, {}
for name, (K, gamma) in filters.items():
    p = AnalysisProblem(truths, AnalysisLower(data, K, gamma))
    newton = SemismoothNewton(tol=1e-4).minimise(p.evaluator(), np.full(len(p.lower.K), -2.0))
    images[name] = AnalysisLower(noisy, K, gamma).solve(newton.theta, 0, 1e-5).u.reshape(size, size)
    quality[name] = ip.psnr(images[name], test[0])
    print(f"{name:10s} f = {newton.f:.4f} in {len(newton.history)} evaluations; the cat: {quality[name]:.2f} dB")
    if name == "TV":
        tv = newton


# %% A regulariser of your own, written in torch
# `TorchTerm` takes a smooth convex energy as a torch module (or a function of u and θ): θ are its parameters, and every
# derivative comes by automatic differentiation.  Here two 3 x 3 filters, which are differences at first, smoothed as
# above.  The curvature of E at the data gives the step sizes, and is raised where a solve finds more.  ``module`` gives
# the learned module back.
class Filters(torch.nn.Module):
    """Σ_k Σ_j √((K_k u)_j² + ε²) of each image."""

    def __init__(self) -> None:
        super().__init__()
        K = torch.zeros(2, 1, 3, 3)
        K[0, 0, 1, 1:], K[1, 0, 1:, 1] = torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0])
        self.filters = torch.nn.Parameter(0.02 * K)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        z = torch.nn.functional.conv2d(u, self.filters, padding=1)
        return (z.square() + 1e-6).sqrt().flatten(1).sum(1)


term = TorchTerm(Filters(), (size, size))
own = learn((truths, data), term, LBFGSB(accuracy=1e-3), iterations=12 if FAST else 25)
images["torch"] = own.reconstruct(noisy)[0]
quality["torch"] = ip.psnr(images["torch"], test[0])
first = own.history[0]["f"]
print(f"filters in torch: f = {first:.4f} at first, {own.f:.4f} learned; the cat: {quality['torch']:.2f} dB")
print(term.module(own.theta).filters.detach().squeeze().numpy().round(3))

# %% Look
# All but the grid and N = 10 find the same α, and then go towards smaller ν, along which f is flat: there the
# quasi-Newton method is ahead in the end, after the gradient methods were first to come near.  Accuracy that adapts
# finds no better θ than a fixed one that was chosen well; it saves the choice, and the work of one that was too high.
plot_objective(histories, path=OUT / "tutorial_21.png", relative_to=0.999 * optimum)
shown = [test[0], np.clip(noisy[0], 0, 1), *(np.clip(u, 0, 1) for u in images.values())]
ip.show(*shown, titles=["truth", *(f"{n}: {q:.1f} dB" for n, q in quality.items())], path=OUT / "tutorial_21_cat.png")

# %% The headlines
assert max(work["L-BFGS-B"], work["HOAG"], work["MAID"]) < np.inf
assert work["MAID"] < min(work["L-BFGS-B"], work["unrolled, N = 100"])
assert histories["unrolled, N = 10"][-1]["f"] > 1.05 * optimum
assert few.bound > 0.1 * few.f
assert abs(tv.f / optimum - 1) < 0.05
assert quality["noisy"] + 3 < quality["TV"] < quality["8 filters"]
assert own.f < 0.8 * first and quality["torch"] > quality["noisy"] + 3
