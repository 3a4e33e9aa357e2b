"""One problem, many solvers: total variation from projections by every method that takes it.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% The problem: min_u ½‖Au - b‖² + λ TV(u), 0 <= u <= u_max
# Three terms of three kinds: a smooth one after an operator, TV = ‖·‖∘∇ that is not smooth, and a constraint with a
# simple projection.  Splitting methods differ in what they do with each, and in what one iteration costs.  (The bound
# u_max is never reached; it makes the duality gap finite, which proves how near the reference is to the optimum.)
import math
import os
import time
from pathlib import Path

import matplotlib
import numpy as np

import ipbox as ip
from ipbox.choose import tv_weight

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size, views, niter = (32, 20, 600) if FAST else (128, 60, 2000)

_, b, x_true, info = ip.problem("ct", size=size, views=views, noise=0.01, seed=0)
x_true = x_true * info.pixel_size  # lengths in pixels
A = ip.JosephTransform(x_true.shape, info.angles, n_det=b.shape[1], dtype="float32")
lam = tv_weight(A, b, math.hypot(info.noise_level, info.model_error))
objective = ip.L2(A, b) + lam * ip.TV(A.dims) + ip.Box(0.0, 2 * float(x_true.max()))
problem = ip.Problem(objective)

# %% What each of them does with the three terms
solvers = {
    "PDHG": ip.PDHG(),  # A and ∇ both dual: no gradient, no inner solve
    "PDHG, plain steps": ip.PDHG(tau=1 / A.norm()),  # the textbook's equal steps
    "PDHG, adaptive": ip.AdaptivePDHG(tau=1 / A.norm()),  # starts from these, and balances the residuals
    "PDHG, preconditioned": ip.PreconditionedPDHG(),  # a step size for each pixel and ray
    "linearised ADMM": ip.LinearisedADMM(),  # PDHG in the other order
    "Condat-Vu": ip.CondatVu(),  # the data term by its gradient, ∇ dual
    "PD3O": ip.PD3O(),  # the same with larger steps
    "ADMM": ip.ADMM(relax=1.7),  # a least-squares problem in each iteration, by conjugate gradients
    "stochastic PDHG": ip.SPDHG(subsets=5),  # a fifth of the views in each iteration
    "Davis-Yin": ip.DavisYin(),  # the prox of TV in each iteration: no A in the inner loop
}
for name, solver in solvers.items():
    print(f"{name:22s} {solver.prepare(problem).describe()}")
print(f"FISTA                  {ip.FISTA().is_provably_convergent(problem).reason}")

# %% The optimum, with a proof
# In float64, until the duality gap is below 1e-5 of the objective.
A64 = ip.JosephTransform(A.dims, info.angles, n_det=b.shape[1], dtype="float64")
exact = ip.Problem(ip.L2(A64, b.astype("float64")) + lam * ip.TV(A.dims) + ip.Box(0.0, 2 * float(x_true.max())))
best = ip.solve(exact, ip.PDHG(), stop=ip.stop.gap(1e-5, every=50) | ip.stop.niter(20000))
optimum = exact.objective(best.x)
print(f"optimum {optimum:.6f}, proved by {best.stop} after {best.niter} iterations")

# %% Run
# Objective against iterations, applications of A and A*, and seconds; the objective is evaluated off the clock.
curves: dict[str, np.ndarray] = {}
for name, solver in solvers.items():
    ip.solve(problem, solver, stop=ip.stop.niter(1))  # compiles what is not compiled yet
    rows, aside, start = [], 0.0, time.perf_counter()
    with ip.counting(A) as count:
        for run in ip.iterate(problem, solver, stop=ip.stop.niter(niter)):
            if run.k > 0 and run.k % 5 == 0:
                paused, seen = time.perf_counter(), (count.forward, count.adjoint)
                excess = max(problem.objective(run.x) / optimum - 1, 1e-7)
                aside += time.perf_counter() - paused
                count.forward, count.adjoint = seen
                rows.append((run.k, count.total, time.perf_counter() - start - aside, excess))
                if excess <= 3e-5:
                    break
    curves[name] = np.array(rows)

# %% Look
# Which one wins depends on what is paid for: ADMM needs the fewest iterations, SPDHG, which takes a part of the views
# at a time, the fewest applications of A.  Davis-Yin's iterations are dear: the prox of TV is a problem of its own.
tolerance = 1e-4
print(f"{'to 1e-4 of the optimum':22s} iterations  A and A*  seconds")
for name, c in sorted(curves.items(), key=lambda item: item[1][-1, 1]):
    k, applications, seconds, _ = c[np.argmax(c[:, 3] <= tolerance)]
    print(f"{name:22s} {k:10.0f} {applications:9.0f} {seconds:8.2f}")
fig, axes = plt.subplots(1, 4, figsize=(19, 4.6), layout="constrained")
for axis, column, label in zip(axes, range(3), ("iterations", "applications of A and A*", "seconds"), strict=False):
    for name, c in curves.items():
        axis.loglog(c[:, column], c[:, 3], label=name)
    axis.axhline(tolerance, color="0.6", lw=0.8)
    axis.set(xlabel=label, ylim=(2e-5, 30))
axes[0].set_ylabel("(F(u) - F*)/F*")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
fig.colorbar(axes[3].imshow(best.x, cmap="gray"), ax=axes[3], label="1/pixel", shrink=0.8)
axes[3].set_title(f"all of them: {ip.psnr(best.x, x_true):.1f} dB")
axes[3].axis("off")
fig.savefig(OUT / "tutorial_15.png", dpi=80)

# %% The headlines
assert best.stop == "gap"
assert all(c[-1, 3] <= tolerance for name, c in curves.items() if name != "PDHG, plain steps")
to_tolerance = {name: c[np.argmax(c[:, 3] <= tolerance)] for name, c in curves.items()}
assert to_tolerance["stochastic PDHG"][1] < to_tolerance["PDHG"][1] < to_tolerance["ADMM"][1]
assert to_tolerance["ADMM"][0] < to_tolerance["PDHG"][0]
