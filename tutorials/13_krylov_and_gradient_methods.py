"""Iterations for least squares: how fast they are, why they must stop, and how hybrid LSQR does without stopping.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes smaller images.
"""

# %% Two problems with noise
# A tomogram from 60 views and a photograph blurred by a motion of the camera.  ``delta`` is the norm of what A cannot
# explain: the noise, and the error of the model.
import math
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
niter = 80 if FAST else 100
problems = {
    "CT": ip.problem("ct", size=64 if FAST else 128, views=60, noise=0.01, seed=0),
    "blur": ip.problem("blur", kernel="motion", size=128 if FAST else 256, noise=0.01, seed=0),
}

# %% Semi-convergence
# All of these minimise ‖Au - b‖ from u = 0, and first take up what is large in A: the image.  Later they fit the noise.
# Gradient descent is slow at both; CGLS and LSQR (the same iterates, but for rounding) are quick at both.  Hybrid LSQR
# damps the small problem that each LSQR step solves, with the λ of generalised cross-validation or of the discrepancy
# principle.
curves, best, ends, weights = {}, {}, {}, {}
for name, (A, b, x_true, info) in problems.items():
    delta = math.hypot(info.noise_level, info.model_error)
    solvers = {
        "gradient descent": ip.GradientDescent(),
        "CGLS": ip.CGLS(),
        "LSQR": ip.LSQR(),
        "hybrid, gcv": ip.HybridLSQR("gcv"),
        "hybrid, discrepancy": ip.HybridLSQR("discrepancy", delta),
    }
    for method, solver in solvers.items():
        errors = []
        for run in ip.iterate(ip.Problem(ip.L2(A, b)), solver, stop=ip.stop.niter(niter)):
            errors.append(float(np.linalg.norm(run.x - x_true) / np.linalg.norm(x_true)))
        curves[name, method], ends[name, method] = errors, run.x
        best[name, method] = int(np.argmin(errors))
        if method.startswith("hybrid"):
            weights[name, method] = run.state.lams[:niter]
        print(
            f"{name:5s} {method:20s} least error {min(errors):.4f} in step {best[name, method]:3d}, "
            f"after {niter}: {errors[-1]:.4f}, {errors[-1] / min(errors):.2f} times as much"
        )

# %% Stopping
# Where the noise level is known, the discrepancy principle stops LSQR in time.  Hybrid LSQR finds its own end: its GCV
# function becomes flat.
for name, (A, b, x_true, info) in problems.items():
    delta = math.hypot(info.noise_level, info.model_error)
    for method, (x, sol) in {"lsqr": ip.lsqr(A, b, delta), "hybrid_lsqr": ip.hybrid_lsqr(A, b)}.items():
        error = np.linalg.norm(x - x_true) / np.linalg.norm(x_true)
        print(f"{name:5s} {method:12s} {sol.stop:12s} after {sol.niter:3d}: error {error:.4f}")

# %% Smooth regularisation: methods that need nothing but f and ∇f
# ½‖Au - b‖² + λ Σ √(|∇u|² + ν²), until the gradient has fallen to 1e-4 of its first norm.  An evaluation of f and ∇f
# takes one application of A and one of A*.
A, b, x_true, info = problems["CT"]
smooth = ip.Problem(ip.L2(A, b) + 1.0 * ip.SmoothedTV(A.dims, eps=0.01))
stop = ip.stop.residual(1e-4, every=1) | ip.stop.niter(1000)
methods = {
    "Armijo": ip.ArmijoGradientDescent(),
    "Barzilai-Borwein": ip.BarzilaiBorwein(),
    "nonlinear CG": ip.NonlinearCG(),
    "L-BFGS": ip.LBFGS(),
}
taken, images = {}, {}
for method, solver in methods.items():
    history = ip.callbacks.History(every=1)
    sol = ip.solve(smooth, solver, stop=stop, callbacks=[history])
    taken[method], images[method] = sol.state.evaluations, sol.x
    print(
        f"{method:17s} {sol.niter:4d} iterations, {sol.state.evaluations:4d} evaluations, "
        f"objective {sol.history[-1]['objective']:.3f}, {ip.psnr(sol.x, x_true):.2f} dB"
    )

# %% Look
fig, axes = plt.subplots(3, 4, figsize=(16, 11), layout="constrained")
for row, name in enumerate(problems):
    ax = axes[row, 0]
    for method in ("gradient descent", "LSQR", "hybrid, gcv", "hybrid, discrepancy"):
        errors = curves[name, method]
        line = ax.semilogy(errors, label=method)[0]
        ax.plot(best[name, method], min(errors), "o", color=line.get_color())
    ax.set(title=f"{name}: relative error", xlabel="iteration", ylim=(None, 1))
    ax.legend()
    truth = problems[name][2]
    for ax, method in zip(axes[row, 1:], ("LSQR", "hybrid, gcv", "hybrid, discrepancy"), strict=True):
        shown = ax.imshow(ends[name, method], cmap="gray", vmin=truth.min(), vmax=truth.max())
        ax.set_title(f"{method}, {niter} steps: {curves[name, method][-1]:.3f}", fontsize=10)
        ax.axis("off")
    fig.colorbar(shown, ax=axes[row, 1:], label=problems[name][3].unit, shrink=0.8, pad=0.01)
    for method in ("hybrid, gcv", "hybrid, discrepancy"):
        lams = np.array(weights[name, method]) / problems[name][0].norm() ** 2
        axes[2, 0].semilogy(np.where(lams > 0, lams, np.nan), label=f"{name}, {method}")
axes[2, 0].set(title="λ/‖A‖² of the hybrids", xlabel="iteration")
axes[2, 0].set_ylim(top=30 * axes[2, 0].get_ylim()[1])  # room for the legend
axes[2, 0].legend(loc="upper right", fontsize=8)
axes[2, 1].barh(list(taken), list(taken.values()))
axes[2, 1].set(title="smoothed TV: evaluations of f and ∇f")
for ax, (title, image) in zip(axes[2, 2:], {"truth": x_true, "smoothed TV": images["L-BFGS"]}.items(), strict=True):
    shown = ax.imshow(image, cmap="gray", vmin=x_true.min(), vmax=x_true.max())
    ax.set(title=title)
    ax.axis("off")
fig.colorbar(shown, ax=axes[2, 2:], label=info.unit, shrink=0.8, pad=0.01)
fig.savefig(OUT / "tutorial_13.png", dpi=80)

# %% The headlines
for name in problems:
    grown = {method: errors[-1] / min(errors) for (n, method), errors in curves.items() if n == name}
    assert grown["hybrid, gcv"] < 1.1 and grown["hybrid, discrepancy"] < 1.1 and grown["LSQR"] > 1.7, grown
    assert min(curves[name, "hybrid, gcv"]) < 1.03 * min(curves[name, "LSQR"])
    assert np.isclose(min(curves[name, "CGLS"]), min(curves[name, "LSQR"]), rtol=1e-2)
assert taken["L-BFGS"] < 0.5 * taken["Armijo"] and taken["Barzilai-Borwein"] < 0.5 * taken["Armijo"]
