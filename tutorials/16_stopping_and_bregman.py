"""When to stop: semi-convergence of Landweber, CGLS and linearised Bregman, stop rules, and contrast by Bregman.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% The problem: a slice of a lung CT, 60 views, 1 % noise
# ``info.model_error`` is what the coarser grid of the reconstruction costs: both keep A x_true away from b.
import math
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ipbox as ip
from ipbox.reconstruct.iterative.bregman import default_weight, make_regulariser

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size = 128 if FAST else 256

A, b, x_true, info = ip.problem("ct", size=size, views=60, noise=0.01, seed=0)
delta = math.hypot(info.noise_level, info.model_error)
print(f"noise {info.noise_level:.2f}, model error {info.model_error:.2f}; ‖Ax - b‖/δ at the truth: ", end="")
print(f"{np.linalg.norm(A.apply(x_true) - b) / delta:.3f}")

# %% Semi-convergence, and stop rules
# The residual of all three falls for ever, the error only at first: then they fit noise.  Linearised Bregman
# (v ← v - τA*(Au - b), u = prox_{λTV}(v)) starts from a constant image and adds edges one after another, so at its best
# it is better.
#
# The discrepancy principle stops at ‖Au - b‖ <= δ, the monotone error rule as long as every step is known to bring u
# nearer to the truth (a theorem for Landweber and CGLS): both need δ.  The normalised cumulative periodogram (NCP) asks
# when the residual is most like white noise, and needs no δ.  One gives a rule to `solve` as ``stop``; here the runs go
# on, and each rule is asked at every iterate.
data = ip.L2(A, b)
path = data + default_weight(data, "tv") * make_regulariser("tv", A)
methods = {
    "Landweber": (ip.GradientDescent(), ip.Problem(data), 200),
    "CGLS": (ip.CGLS(), ip.Problem(data), 16),
    "linearised Bregman": (ip.LinearisedBregman(line_search=True), ip.Problem(path), 50),
}
rules = {
    "discrepancy": ip.stop.discrepancy(delta, safety=1.0),
    "monotone error": ip.stop.monotone_error(delta),
    "NCP": ip.stop.ncp(),
}
curves, best, stopped = {}, {}, {}
for name, (solver, problem, n) in methods.items():
    curve, keep = [], ip.callbacks.Best(x_true)
    for run in ip.iterate(problem, solver, stop=ip.stop.niter(n)):
        keep(run)
        curve.append(ip.psnr(run.x, x_true))
        for rule, stop in rules.items():
            if rule == "monotone error" and name == "linearised Bregman":
                continue
            if (name, rule) not in stopped and stop.fired(run)[0]:
                stopped[name, rule] = run.k, run.x.copy()
    curves[name], best[name] = np.array(curve), keep
print(f"{'':20s} {'best':>17s}  " + "  ".join(f"{rule:>17s}" for rule in rules))
for name, curve in curves.items():
    ks = [best[name].k, *(stopped.get((name, rule), [None])[0] for rule in rules)]
    row = ["-" if k is None else f"{curve[k]:5.2f} dB, k = {k:3d}" for k in ks]
    print(f"{name:20s} " + "  ".join(f"{text:>17s}" for text in row))

loss = {name: best[name].value - curves[name][stopped[name, "discrepancy"][0]] for name in methods}
print("stopped by discrepancy, below the own best iterate: " + ", ".join(f"{n} {v:.2f} dB" for n, v in loss.items()))
assert all(0 <= value <= 1.0 for value in loss.values())

# %% The iterates of CGLS as a film
# `ip.callbacks.Iterates` keeps them, `animate` shows them on the scale of the truth: the image comes, then the noise,
# while the objective falls all the time.  In a notebook the last line of a cell plays it.
kept = ip.callbacks.Iterates(objective=True)
ip.solve(ip.Problem(data), ip.CGLS(), stop=ip.stop.niter(16), callbacks=[kept])
film = kept.animate(OUT / "tutorial_16.gif", x_true=x_true, unit=info.unit, fps=3)
values, quality = list(kept.objective.values()), {k: ip.psnr(x, x_true) for k, x in kept.x.items()}
print(f"{film}; the best is {film.title(max(quality, key=quality.get))}, the last {film.title(16)}")
assert values == sorted(values, reverse=True) and max(quality, key=quality.get) == best["CGLS"].k < 16

# The discrepancy principle stops early rather than late: where there are as many pixels as data an iterate fits a good
# part of the noise at its best already, and ‖Au - b‖ is below δ there.


# %% The same in a line, and a stop of one's own
# With ``x_true`` every iterative function keeps the errors of its iterates and the best of them.  A callback that
# returns True ends the run: here, once the error has risen for two iterations.
def has_turned(run):
    errors = run.history["nrmse"][-3:]
    return len(errors) == 3 and errors[0] < errors[1] < errors[2]


_, own = ip.cgls(A, b, niter=200, x_true=x_true, callbacks=[has_turned])
_, projected = ip.landweber(A, b, delta, safety=1.0, nonneg=True, x_true=x_true)
errors = own.history["nrmse"]
print(f"CGLS ended by its {own.stop} after {own.niter}: best {errors.min():.4f} at {errors.argmin()}", end="; ")
print(f"projected Landweber, u >= 0: {projected.history['psnr'][-1]:.2f} dB")
assert own.stop == "callback" and own.extra["best"]["k"] == best["CGLS"].k == own.niter - 2
assert projected.history["psnr"][-1] > curves["Landweber"][stopped["Landweber", "discrepancy"][0]]

# %% Bregman iteration: contrast that TV takes away
# TV lowers a plateau by λ·perimeter/area, small ones most.  Bregman iteration adds the residual back to the data and
# solves again: u_k = argmin ½‖u - b_k‖² + λ TV(u), b_k = b_{k-1} + b - u_{k-1}.  With a large λ a few steps, stopped by
# discrepancy, have the contrast back, and the noise not yet.
rng = np.random.default_rng(0)
n = 96
i, j = np.mgrid[:n, :n]
plateaus = [(24, 24, 4), (24, 68, 7), (68, 26, 11), (66, 68, 16)]  # centre and half width
squares = sum(((abs(i - p) <= h) & (abs(j - q) <= h)).astype(float) for p, q, h in plateaus)
noisy = squares + 0.15 * rng.standard_normal(squares.shape)
level = 0.15 * n
lam = 1.0
x_tv, _ = ip.tv(None, noisy, lam, tol=1e-4)
x_fit, fit = ip.tv(None, noisy, "discrepancy", level)
x_bregman, bregman = ip.bregman(ip.Identity(squares.shape, "float64"), noisy, level, lam=lam)
heights = {"TV, λ = 1": x_tv, f"TV, λ = {fit.extra['lam']:.2f} by discrepancy": x_fit, "Bregman, λ = 1": x_bregman}
for name, x in heights.items():
    tops = [x[abs(i - p) + abs(j - q) <= 1].mean() for p, q, _ in plateaus]
    print(f"{name:32s} {ip.psnr(x, squares):5.2f} dB, heights " + ", ".join(f"{top:.2f}" for top in tops))
print(f"Bregman stopped after {bregman.niter} steps by {bregman.stop}")
assert ip.psnr(x_bregman, squares) > max(ip.psnr(x_tv, squares), ip.psnr(x_fit, squares)) + 1

# %% The picture
figure, axes = plt.subplots(2, 3, figsize=(13, 8), constrained_layout=True)
marks = {"discrepancy": ("o", "tab:blue"), "monotone error": ("s", "tab:orange"), "NCP": ("^", "tab:red")}
for ax, (name, curve) in zip(axes[0], curves.items(), strict=True):
    ax.semilogx(np.arange(1, len(curve)), curve[1:], color="0.3")
    ax.plot(best[name].k, best[name].value, "*", markersize=14, color="tab:green", label="best iterate")
    for rule, (mark, color) in marks.items():
        if (name, rule) in stopped:
            k = stopped[name, rule][0]
            ax.plot(k, curve[k], mark, color=color, markersize=8, fillstyle="none", markeredgewidth=2, label=rule)
    ax.set(title=name, xlabel="iteration", ylabel="PSNR in dB", ylim=(20, best["linearised Bregman"].value + 0.5))
    ax.grid(alpha=0.3)
axes[0, 0].legend(loc="lower right")
window = dict(cmap="gray", vmin=0, vmax=float(np.percentile(x_true, 99.5)))
pair = [stopped[name, "discrepancy"][1] for name in ("CGLS", "linearised Bregman")]
figure.colorbar(axes[1, 0].imshow(np.hstack(pair), **window), ax=axes[1, 0], location="bottom", label=info.unit)
axes[1, 0].set_title("CGLS and linearised Bregman, by discrepancy")
plateaus = axes[1, 1].imshow(np.hstack([x_tv, x_bregman]), cmap="gray", vmin=0, vmax=1)
figure.colorbar(plateaus, ax=axes[1, 1], location="bottom")
axes[1, 1].set_title("TV and Bregman, λ = 1")
for ax in axes[1, :2]:
    ax.axis("off")
for name, x in {"truth": squares, **heights}.items():
    axes[1, 2].plot(x[24], label=name)
axes[1, 2].set(title="row through the two small plateaus", xlabel="pixel", ylim=(-0.2, 1.9))
axes[1, 2].legend(loc="upper left")
figure.savefig(OUT / "tutorial_16.png", dpi=110)
