"""Score-based diffusion: a prior by its denoiser, samples of it, and of what it makes of too few data.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes fewer steps and samples.
"""

# %% A prior that is known by its scores
# Add noise of deviation σ to images x_0 of a law p.  The mean of x_0 given the noisy x is the best denoiser D_σ(x), and
# by Tweedie's formula it knows the gradient of the noisy law's logarithm, the score:
#
#     ∇ log p_σ(x) = (D_σ(x) - x)/σ²
#
# A network that learned to denoise at every σ is so a prior without a formula.  This one saw slices of one patient.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.bayes.diffusion import prior_samples
from ipbox.learned import as_score, pretrained

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

score = as_score(pretrained("score_ct"), scale=0.02)  # the network's unit, in 1/mm: water has about 1
print(f"noise levels from {score.sigma_range[0]:g} to {score.sigma_range[1]:g}, in 1/mm")

# %% Samples of the prior
# From noise alone, the probability flow dx/dσ = -σ ∇ log p_σ(x) goes down to σ = 0 and ends in images that look like
# slices of a chest or a neck, if not down to the smallest vessel: this network is small, and learned from one patient.
prior = prior_samples(score, (64, 64), method="flow", samples=2 if FAST else 4, steps=25 if FAST else 50, seed=1)
print(f"attenuation of the samples: up to {prior.samples.max():.3f}/mm")

# %% Samples of a posterior
# Fifteen views of another patient, with noise.  DiffPIR denoises at each σ, moves the image to where it meets the data
# as far as σ and the noise allow, and makes noise of the next level.
A, b, x_true, info = ip.problem("ct", size=64, views=15, noise=0.02, slice=23, seed=0, dtype="float32")
options = {"noise_level": info.noise_level, "samples": 4 if FAST else 16, "steps": 30 if FAST else 100}
posterior = ip.diffusion(A, b, score, **options)

s = info.noise_level / b.size**0.5
x_tv = max((ip.tv(A, b, c * s, nonneg=True)[0] for c in (4, 8, 16, 32)), key=lambda x: ip.psnr(x, x_true))
one = np.mean([ip.psnr(x, x_true) for x in posterior.samples])
mean, tv = ip.psnr(posterior.mean, x_true), ip.psnr(x_tv, x_true)
print(f"posterior mean {mean:.2f} dB, one sample {one:.2f} dB, best TV {tv:.2f} dB")
assert mean > tv + 0.5
assert mean > one  # the mean of the squared error is least at the mean

# %% Every sample explains the data, and they differ
residuals = np.linalg.norm(A.apply(posterior.samples) - b, axis=(1, 2)) / info.noise_level
print(f"residuals, over the noise: {residuals.min():.2f} to {residuals.max():.2f}")
assert 0.5 < residuals.min() and residuals.max() < 1.5

# %% Where is it unsure?
# At edges and vessels; where the deviation is large, so is the error, on the average.  The size is another matter: what
# each method approximates its docstring says, and `ip.bayes.interval_coverage` measures.
error = abs(posterior.mean - x_true)
unsure = posterior.std > np.quantile(posterior.std, 0.9)
print(f"error where the deviation is among the largest tenth: {error[unsure].mean() / error[~unsure].mean():.1f} times")
assert error[unsure].mean() > 2 * error[~unsure].mean()

# %% The same score as a denoiser
# Plug-and-play uses D_σ for small σ only: one image, and no samples.
x_pnp, _ = ip.pnp(A, b, score, noise_level=info.noise_level)
print(f"plug-and-play {ip.psnr(x_pnp, x_true):.2f} dB")

# %% What it looks like
# One scale for all; of the prior, no image of this patient, and of the deviation only the shape is to be compared.
low, high = float(x_true.min()), float(x_true.max())
images = {"prior: a sample": prior.samples[0], "truth": x_true, "best TV": x_tv, "plug-and-play": x_pnp}
images |= {"posterior mean": posterior.mean, "a sample": posterior.samples[0], "another": posterior.samples[1]}
images = {title: u.clip(low, high) for title, u in images.items()}
images["deviation, times 5"] = (5 * posterior.std).clip(low, high)  # on the scale of the images
ip.show(*images.values(), titles=list(images), unit=info.unit, path=OUT / "tutorial_32.png")
print(f"picture: {OUT / 'tutorial_32.png'}")
