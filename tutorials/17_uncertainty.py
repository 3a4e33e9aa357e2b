"""How sure is the reconstruction?  Sampling the posterior by Langevin's dynamics, for Gaussian priors and for TV.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image and fewer samples.
"""

# %% A minimiser is one image; a posterior is a law on images
# With Gaussian noise of deviation σ and the prior exp(-λ R), the images that explain b have the density
# exp(-‖Au - b‖²/(2σ²) - λ R(u)).  TV's minimiser is its mode.  A Markov chain that has this law tells more: the mean,
# and how much each pixel varies about it.
import math
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.choose import tv_weight

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size, n, burn_in, thin = (48, 300, 100, 2) if FAST else (64, 1500, 1000, 4)

# %% First a posterior that is known: Gaussian noise and a Gaussian prior
# For denoising with R = ‖u‖²/2 every pixel has the variance 1/(1/σ² + λ); Langevin's chain with step τ has a little
# more, by the factor 1/(1 - τL/2), which is known too.
sigma, lam = 0.5, 2.0
b = np.random.default_rng(0).standard_normal((size, size))
known = ip.sample(ip.Problem(sigma**-2 * ip.L2(b=b) + lam * ip.L2()), ip.ULA(), n=n, burn_in=burn_in)
L = sigma**-2 + lam
expected = math.sqrt(1 / (L * (1 - known.solution.state.tau * L / 2)))
print(f"deviation {known.std.mean():.4f}, in closed form {expected:.4f}; ESS {np.median(known.ess):.0f} of {n}")
assert abs(known.std.mean() / expected - 1) < 0.02

# %% TV inpainting: what was not measured is unsure, at edges most of all
# TV is not smooth: MYULA replaces it by its Moreau envelope, whose gradient needs TV's prox.  The chains start at the
# minimiser.  Each chain is a sample of a batch; where the chains agree, r_hat is near 1.
A, b, x_true, info = ip.problem("inpaint", size=size, noise=0.1, seed=0, dtype="float32")
sigma = info.noise_level / math.sqrt(b.size)
weight = 2 * tv_weight(A, b, info.noise_level)
x_map, _ = ip.tv(A, b, weight, niter=300)

D, R = sigma**-2 * ip.L2(A, b), weight / sigma**2 * ip.TV(A.dims, accuracy=2e-3)
chains = 2
start = np.repeat(x_map[None], chains, axis=0)
problem = ip.Problem(D + R, batch=chains, roles={1: "prox"})
posterior = ip.sample(problem, ip.MYULA(seed=1), n=n, burn_in=burn_in, thin=thin, x0=start, progress=not FAST)
print(
    f"MYULA: {ip.psnr(posterior.mean, x_true):.2f} dB (minimiser {ip.psnr(x_map, x_true):.2f} dB); effective samples "
    f"{np.median(posterior.ess):.0f} of {chains * n}, r_hat up to {posterior.r_hat.max():.2f}, "
    f"Monte-Carlo error of the mean {posterior.error:.2f} deviations"
)

# %% Where is it unsure?
# Where nothing was measured, only the neighbours and the prior speak; and more so where the neighbours disagree.
seen = A.apply_adjoint(np.ones(A.dimsd, "float32")) > 0
gy, gx = np.gradient(x_true.astype(float))
edges = np.hypot(gx, gy) > np.quantile(np.hypot(gx, gy), 0.8)
for name, where in (("seen", seen), ("not seen", ~seen)):
    flat, edge = posterior.std[where & ~edges].mean(), posterior.std[where & edges].mean()
    print(f"deviation of pixels {name:8s}: {flat:.3f} in flat regions, {edge:.3f} at edges (noise {sigma:.3f})")
assert posterior.std[~seen].mean() > 1.2 * posterior.std[seen].mean()

# %% The chain knows roughly how wrong it is
error = np.abs(posterior.mean - x_true)
within = float((error < 2 * posterior.std).mean())
print(f"{100 * within:.0f} % of the pixels of the truth lie within two deviations of the mean")
posterior.show(OUT / "tutorial_17.png")
