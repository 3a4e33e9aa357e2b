"""Deep equilibrium: a reconstruction that is the fixed point of a learned iteration, so that more of it does not hurt.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes one slice instead of four, and trains for fewer steps.
"""

# %% Two ways to learn an iteration
# The proximal gradient method with a network N in place of the proximal map is
#
#     u^{k+1} = f(u^k),   f(u) = N(u - η∇E(u)),   E(u) = ½‖Au - b‖² (here preconditioned by the ramp filter).
#
# Unrolled, one trains N so that u^K is good, for a K that is fixed beforehand; u^{K+1} may be anything.  At equilibrium
# one trains N so that the fixed point u* = f(u*) is good: how it is found does not matter, and a better solver, or more
# of its iterations, only comes closer to u*.
import os
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import ipbox as ip
from ipbox.learned import DeepEquilibrium, fit, pretrained, to_torch

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

problems = [
    ip.problem("ct", size=128, views=40, noise=0.01, slice=k, seed=k) for k in ((38,) if FAST else (8, 23, 38, 53))
]
A, b, x_true, info = problems[0]
equilibrium, unrolled = pretrained("equilibrium_ct", A), pretrained("unrolled_shared_ct", A)

# %% A reconstruction, and what it says of itself
# Anderson's acceleration combines the last five iterates so that f(u) - u is small.  It stops at a tolerance of the
# error, estimated from them; residual and error that were reached are reported: info.stop is "residual", or "niter"
# where the tolerance was not reached.
x, run = equilibrium.reconstruct(b)
print(f"{run.niter} evaluations of f, residual {run.parameters['residual']:.1e}, stopped by {run.stop}")
print(f"PSNR {ip.psnr(x, x_true):.2f} dB; TV {ip.psnr(ip.tv(A, b, 0.25, nonneg=True, tol=1e-4)[0], x_true):.2f} dB")

# %% More iterations at test time
# The unrolled network has one N for all its steps, so it can be continued: the same f with other weights.
NITER = 40 if FAST else 100
K = len(unrolled.networks)
continued = DeepEquilibrium(A, width=unrolled.config["width"], filter="ramp", scale=unrolled.scale)
continued.network, continued.eta.data = unrolled.networks[0], unrolled.tau.data[0]


def curve(net: DeepEquilibrium, memory: int) -> np.ndarray:
    """Mean PSNR of u⁰, u¹, ..., u^NITER; the plain iteration with memory 1."""
    solver = replace(net.solver, memory=memory)
    found = []
    with torch.no_grad():
        for _, data, x, _ in problems:
            c = to_torch(data[None]) / net.scale
            iterates = islice(solver.iterates(lambda u, c=c: net.step(u, c), net.E.start(c)), NITER + 1)
            found.append([ip.psnr(net.scale * u[0].numpy(), x) for u, _ in iterates])
    return np.mean(found, axis=0)


names = f"unrolled, {K} steps", "equilibrium, Anderson", "equilibrium, plain"
curves = dict(zip(names, (curve(continued, 1), curve(equilibrium, 5), curve(equilibrium, 1)), strict=True))
for name, values in curves.items():
    print(f"{name:22}", "  ".join(f"{k}: {values[k]:.2f}" for k in (K, 2 * K, 4 * K, NITER)), "dB")

fig, ax = plt.subplots(figsize=(6, 4), constrained_layout=True)
for name, values in curves.items():
    ax.plot(values, label=name)
ax.axvline(K, color="0.7", lw=1, zorder=0)
ax.text(K + 1, 25.4, f"{K} steps", color="0.5")
ax.set(xlabel="iterations at test time", ylabel="PSNR (dB)", ylim=(25, None), xlim=(0, NITER))
ax.legend(loc=(0.3, 0.04))
fig.savefig(OUT / "tutorial_25.png", dpi=120)

# %% Does the iteration converge?
# Training guarantees neither that f is a contraction, nor that there is one fixed point.  ‖J‖, for the Jacobian J of f
# at u*, is found by power iterations: below 1, f is a contraction near u*.  Above, it may still converge, since in the
# long run the spectral radius of J decides, not its norm: that is what the residuals show.
norm = float(equilibrium.contraction(to_torch(b[None])))
print(f"norm of the Jacobian at the fixed point: {norm:.2f}")
c = to_torch(b[None]) / equilibrium.scale
with torch.no_grad():
    for name, net in ((names[0], continued), (names[2], equilibrium)):
        iterates = replace(net.solver, memory=1).iterates(lambda u, net=net: net.step(u, c), net.E.start(c))
        residuals = [float(r) for _, r in islice(iterates, NITER + 1)]
        rate = (residuals[-1] / residuals[-21]) ** (1 / 20)
        print(f"{name:22} residual {residuals[-1]:.1e}, times {rate:.3f} in every iteration")

# %% Derivatives at the fixed point
# Nothing of the iteration needs to be kept: with J = ∂f/∂u at u*, the implicit function theorem gives
#
#     ∂ℓ/∂θ = wᵀ ∂f/∂θ,   (I - Jᵀ)w = ∂ℓ/∂u*,
#
# and the equation for w is again one of fixed points.  ``backward="implicit"`` solves it by the same method,
# ``backward="jacobian_free"`` takes w = ∂ℓ/∂u*.  A map of your own is trained as any other; here on images of 32 x 32,
# at a tolerance that is small enough for u* to be meant, and not an early iterate.
steps, evaluations = (5, 30) if FAST else (100, 60)
pairs = [ip.problem("ct", size=32, views=12, noise=0.01, slice=k, seed=k, patient="train") for k in range(0, 48, 6)]
images, sinograms = (to_torch(np.stack([pair[i] for pair in pairs])) for i in (2, 1))
torch.manual_seed(0)
own = DeepEquilibrium(pairs[0][0], network="residual", width=16, filter="ramp", tol=1e-4, niter=evaluations, scale=0.04)


def loss(model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error of the images, in units of 0.04/mm."""
    return ((model(batch[0]) - batch[1]) / 0.04).square().mean()


data = list(zip(sinograms, images, strict=True))
with warnings.catch_warnings():
    # N is the identity at first, so that J = 1 where A sees nothing, and w has no fixed point there: a RuntimeWarning
    # says by how much the derivatives are off, until N has learned to contract
    warnings.simplefilter("ignore", RuntimeWarning)
    result = fit(own, loss, data, steps=steps, batch_size=4, lr=3e-3, clip=1.0, validate_every=steps // 5)
losses = [row["loss"] for row in result.history]
print("loss:", " ".join(f"{value:.5f}" for value in losses))

# %% The headlines
unrolled_curve, curve_at_equilibrium = curves[names[0]], curves[names[1]]
assert unrolled_curve[4 * K] < unrolled_curve[K] - 1
assert curve_at_equilibrium[NITER] > max(curve_at_equilibrium) - 0.2
assert curve_at_equilibrium[NITER] > max(unrolled_curve)
assert rate < 1  # of the equilibrium map
assert losses[-1] < losses[0]
