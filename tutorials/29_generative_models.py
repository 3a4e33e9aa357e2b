"""Generative models of images: samples, range, likelihood, and a covariance that knows which pixels go together.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` looks at fewer images.
"""

# %% The idea
# A generator G maps latent vectors z ~ N(0, I), here of 64 numbers, to images.  As a prior, it says that an image is
# G(z) for some z, or near it.  How near is another model: a variational autoencoder has u | z ~ N(G(z), Σ(z)) with
#
#     Σ = σ²I             identity
#     Σ = diag(σ_p²)      diagonal
#     Σ⁻¹ = L Lᵀ          structured: L a sparse lower triangular matrix that couples each pixel with its neighbours,
#
# where σ_p and L come from a second decoder, also of z.  log det Σ is a sum, Lᵀu a stencil, L⁻ᵀε a sample.  The models
# are trained on one patient; all images here are of another one.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.evaluate import evaluate_generator, log_likelihood, range_error, samples
from ipbox.learned import pretrained
from ipbox.problems.truths.brains import brain_slice

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

u = np.stack([brain_slice(k, 64, "test") for k in range(2, 23, 8 if FAST else 2)]).astype(np.float32)
niter = 30 if FAST else 300

# %% The range
# min_z ‖u - G(z)‖ is a floor that no method which insists on u = G(z) can pass, however good its data.
for name in ("autoencoder", "vae", "wgan"):
    found = range_error(pretrained(name), u, niter=niter)
    peak = 20 * np.log10(u.max() / (found.error / np.sqrt(u[0].size)))
    print(f"{name:12} range error {found.relative.mean():.3f} of the norm: {peak.mean():.1f} dB at best")

# %% The likelihood
# Nats per pixel of images that no training saw; both figures are lower bounds of log p(u)/n.  Encoder and mean are the
# same in all four, so only Σ differs.
likelihood = {}
for structure in ("identity", "diagonal", "3x3", "5x5"):
    found = log_likelihood(pretrained(f"covariance_{structure}"), u, samples=8 if FAST else 64)
    likelihood[structure] = found.importance_weighted.mean()
    print(f"{structure:8} {found.elbo.mean():.3f}, importance weighted {found.importance_weighted.mean():.3f}")

# %% A page of pictures
# Samples, samples with noise (from L⁻ᵀε: it has the texture and the edges of what G misses), interpolation between two
# heads, unseen images with the nearest in the range, and columns of Σ: with which pixels the one at the dot varies.
model = pretrained("covariance_3x3")
report = evaluate_generator(model, u[len(u) // 2 :: -1] if FAST else u[::-1], n=4 if FAST else 8, niter=niter)
print(report.table())
report.plot(OUT / "tutorial_29.png")

# %% The same Gaussian, by hand
# What a prior needs of it: -log p(u | z) = ½‖Lᵀ(u - G(z))‖² - Σ_p d_p + const, and its derivative by automatic
# differentiation; here against a sample's own statistics.
import torch  # noqa: E402

with torch.no_grad():
    z = model.encode(torch.tensor(u[:1])[:, None])
    precision = model.decode_precision(z)
    noise = torch.cat([precision.sample(torch.Generator().manual_seed(k)) for k in range(50)])
    energies = torch.cat([precision.energy(e[None]) for e in noise])
print(f"½eᵀΣ⁻¹e of samples: {energies.mean():.0f}, n/2 = {u[0].size // 2}")
print(f"log det Σ = {precision.log_det().item():.0f}")

# %% A model of your own
# Any torch module from (N, latent) to (N, 1, H, W) will do.
own = ip.learned.Generator(model.decoder, latent=64, dims=(64, 64))
print("samples of it:", samples(own, 3).shape)

# %% The headline
# A covariance that couples neighbours finds unseen images more likely than independent pixels do: it knows that what G
# misses are mostly edges, and that they go on along the skull and change their sign across it.
assert likelihood["3x3"] > max(likelihood["identity"], likelihood["diagonal"])
assert abs(energies.mean() / (u[0].size / 2) - 1) < 0.05
