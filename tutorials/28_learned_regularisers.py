"""Learned regularisers: an R that was learned, with what is proved of it, in the solvers of every other R.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes smaller images and fewer iterations.
"""

# %% Two regularisers that learned to denoise
# A ridge regulariser is R(u) = Σ_k Σ_i ψ_k((w_k∗u)_i), with filters w_k and profiles ψ_k that were learned.  The convex
# one has convex profiles.  In the weakly convex one they bend down at most as -t²/2, and the filters together have a
# norm of at most 1, so ½‖u - b‖² + R(u) is convex still.  Both hold for every value of the parameters: nothing had to
# be measured afterwards.
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import ipbox as ip

torch.set_num_threads(1)
FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

networks = {"CRR": ip.learned.pretrained("convex_ridge"), "WCRR": ip.learned.pretrained("weakly_convex_ridge")}
for name, net in networks.items():
    R = ip.LearnedRegulariser(net)
    print(f"{name:5} convex: {R.is_convex}, modulus of weak convexity {R.weak_convexity:.3f}, ∇R Lipschitz: {R.L:.1f}")

# %% What they learned
# Filters, and the derivative of their profiles: a response below the first bend is smoothed, as noise is; a large one
# costs little more than a middle one, and with WCRR less, so that edges stay.
figure = plt.figure(figsize=(11, 6))
above, below = figure.subfigures(2, 1)
axes, plots, t = above.subplots(2, 8), below.subplots(1, 2), torch.linspace(-0.05, 0.05, 401)
for row, (name, net) in enumerate(networks.items()):
    with torch.no_grad():
        w = net.bank.filters()[: net.bank.free, 0].numpy()
    for ax, k in zip(axes[row], np.argsort(-(w**2).sum((1, 2)))[:8], strict=True):
        ax.imshow(w[k], cmap="gray", vmin=-abs(w[k]).max(), vmax=abs(w[k]).max())
        ax.axis("off")
    axes[row, 0].set_title(name, loc="left")
    plots[row].plot(t.numpy(), net.profile(t).numpy().T, lw=0.8)
    plots[row].set(title=f"ψ' of {name}", xlabel="response of the filter", xticks=(-0.05, -0.025, 0, 0.025, 0.05))
below.subplots_adjust(bottom=0.2)
figure.savefig(OUT / "tutorial_28_profiles.png", dpi=100)

# %% Denoising, as they were trained
# Part of a photograph that neither saw, with noise of standard deviation 0.1.  The weight is 1, as it was learned with
# the rest.  TV gets the best of several weights.
size = 96 if FAST else 256
photograph = ip.problem("denoise", image="camera", size=512)[2][80 : 80 + size, 140 : 140 + size]
A, b, x_true, info = ip.problem("denoise", image=photograph, noise=0.1 / np.sqrt(np.mean(photograph**2)))
tv = max((ip.tv(None, b, lam)[0] for lam in (0.06, 0.08, 0.1, 0.12)), key=lambda u: ip.psnr(u, x_true))
denoised = {"TV": tv}
for name, net in networks.items():
    R = ip.LearnedRegulariser(net)
    denoised[name], run = ip.variational(None, b, R, 1.0, tol=1e-3)
    proved = run.solver.is_provably_convergent(ip.Problem(ip.L2(b=b) + R))
    print(f"{name:5} {type(run.solver).__name__}, {run.niter} steps, proved to converge: {bool(proved)}")
gain = {name: ip.psnr(u, x_true) for name, u in denoised.items()}
print(", ".join(f"{name} {value:.2f} dB" for name, value in gain.items()))
pictures = {"noisy": b} | denoised

# %% The same regularisers on CT
# Another operator, other images, other units: the regulariser stays, and two numbers change.  ``scale`` says in which
# units the image is, here 0.04 per mm where it was 1; λ is chosen on a slice of another patient.
SETTING = {"size": 64 if FAST else 128, "views": 40, "noise": 0.01}
SCALE = 0.02


def reconstructed(net: torch.nn.Module, lam: float, problem: tuple) -> np.ndarray:
    A, b = problem[:2]
    R = ip.LearnedRegulariser(net, dims=A.dims, scale=SCALE)
    return ip.variational(A, b, R, lam, nonneg=True, x0=start(problem), niter=60 if FAST else 200, tol=1e-3)[0]


def start(problem: tuple) -> np.ndarray:
    return np.maximum(ip.fbp(*problem[:2], "hann")[0], 0)


train = ip.problem("ct", **SETTING, patient="train", slice=20, seed=1)
test = ip.problem("ct", **SETTING, slice=23, seed=23)
ct = {"FBP": start(test), "TV": ip.tv(*test[:2], 0.31, nonneg=True)[0]}
for name, net in networks.items():
    tried = {
        lam: ip.psnr(reconstructed(net, lam, train), train[2]) for lam in ((40.0,) if FAST else (20.0, 40.0, 80.0))
    }
    lam = max(tried, key=tried.get)
    ct[name] = reconstructed(net, lam, test)
    print(f"{name:5} λ = {lam:g}, {ip.psnr(ct[name], test[2]):.2f} dB, on the patient that nothing was fitted to")
print(", ".join(f"{name} {ip.psnr(u, test[2]):.2f} dB" for name, u in ct.items()))

# %% What convexity is good for
# The adversarial regulariser is a critic: small on good images, large on filtered back-projections.  It is not convex,
# and beyond the images that it was trained on it says nothing.  Iterate it, and the image gets better, then worse,
# though the objective falls all the way: it has to be stopped.  The convex one may run as long as one likes.
A, b, x_true, info = test
noise = info.noise_level / np.sqrt(b.size) * np.random.default_rng(0).standard_normal(b.shape)
curves = {}
for name, weights, lam in (("adversarial", "adversarial", None), ("CRR", "convex_ridge", 40.0)):
    R = ip.LearnedRegulariser(ip.learned.pretrained(weights), dims=A.dims, scale=0.04 if lam is None else SCALE)
    if lam is None:  # λ‖∇R‖ is what the noise leaves in the gradient of the data term
        lam = float(np.linalg.norm(A.apply_adjoint(noise.astype(b.dtype))) / np.linalg.norm(R.grad(x_true)))
    tau = 1 / (A.norm() ** 2 + lam * R.curvature)
    solver = ip.FISTA(tau=tau, backtracking=True, restart="function")
    options = dict(nonneg=True, x0=start(test), x_true=x_true, solver=solver, niter=100 if FAST else 300, tol=1e-9)
    with np.errstate(all="ignore"):
        x, run = ip.variational(A, b, R, lam, **options)
    curves[name] = np.array(run.history["psnr"])
    best, last = curves[name].max(), curves[name][-1]
    print(f"{name:12} best {best:.2f} dB after {curves[name].argmax()} steps, {last:.2f} dB at the end")
figure, ax = plt.subplots(figsize=(6, 3.5))
for name, curve in curves.items():
    ax.plot(curve, label=name)
ax.set(xlabel="iteration", ylabel="PSNR (dB)", title="The convex regulariser settles, the adversarial one does not")
ax.legend()
figure.tight_layout()
figure.savefig(OUT / "tutorial_28_semi_convergence.png", dpi=100)

# %% A network of your own
# Any module that gives a number for each image will do.  What you know of it, you say; what you say is looked at.


class Own(torch.nn.Module):
    def forward(self, u: torch.Tensor) -> torch.Tensor:
        d = torch.nn.functional.pad(u, (1, 1, 1, 1), mode="replicate")
        laplacian = d[..., 1:-1, :-2] + d[..., 1:-1, 2:] + d[..., :-2, 1:-1] + d[..., 2:, 1:-1] - 4 * u
        return (laplacian.square() + 1e-4).sqrt().sum((1, 2, 3))


A, b, x_true, info = ip.problem("denoise", image="camera", size=64, noise=0.1, seed=0)
R = ip.LearnedRegulariser(Own(), convex=True, L=64 / 1e-2, dims=(64, 64))
u, run = ip.variational(None, b, R, "discrepancy", info.noise_level)
print(f"your own: λ = {run.extra['lam']:.2g} by the discrepancy principle, {ip.psnr(u, x_true):.2f} dB")
assert ip.psnr(u, x_true) > ip.psnr(b, x_true) + 2

# %% The headline
ip.show(*pictures.values(), titles=list(pictures), path=OUT / "tutorial_28.png", vmin=0, vmax=1)
assert gain["WCRR"] > gain["CRR"] > gain["TV"]
assert all(ip.psnr(ct[name], test[2]) > ip.psnr(ct["FBP"], test[2]) + 2 for name in networks)
assert curves["CRR"][-1] > curves["CRR"].max() - 0.2
assert curves["adversarial"][-1] < curves["adversarial"].max() - 0.5
