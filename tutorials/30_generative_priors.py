"""Generative priors: an image is good where a generative model could have made it, or nearly so.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` does fewer iterations.
"""

# %% A prior that measures the distance from what a model makes
# A generative model has a decoder G, from vectors z ~ N(0, I) to images, and here a covariance Σ(z) of what it leaves
# out, so that u | z ~ N(G(z), Σ(z)).  Then
#
#     R(u) = inf_z ½ log det Σ(z) + ½‖u - G(z)‖² in Σ(z)⁻¹ + ½‖z‖²
#
# is the negative logarithm of a density, and ½‖Au - b‖² + σ²R(u) is least at a mode of the posterior of u and z.  That
# mode is biased: the reward for a small Σ(z) stays, whatever the data leave open.  So u is integrated out before z is
# chosen, unless ``log_det_factor=0.5`` asks for the joint mode.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.learned import pretrained
from ipbox.learned.priors.generative import CovariancePrior

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

A, b, x_true, info = ip.problem(
    "mri", size=64, mask="variable-density-points", acceleration=3, noise=0.1, slice=12, real_image=True
)
model = pretrained("covariance_3x3")  # it has seen the head of another patient
NITER = 15 if FAST else 100

# %% The reconstruction
# For each z the best u solves a linear system, by conjugate gradients in the learned precision; what is left is a
# smooth function of z, for L-BFGS.  It is not convex: so four starts, as one batch, and the least objective is kept.
options = {"noise_level": info.noise_level}
x, run = ip.generative(A, b, model, niter=NITER, **options)
x_joint, _ = ip.generative(A, b, model, log_det_factor=0.5, niter=NITER, **options)  # of u and z together
x_range, run_range = ip.generative(A, b, model, prior="range", noise_level=info.noise_level, niter=NITER)
print(f"covariance {ip.psnr(x, x_true):.2f} dB, its joint mode {ip.psnr(x_joint, x_true):.2f} dB")
print(f"range {ip.psnr(x_range, x_true):.2f} dB")
print(f"objectives of the starts: {run.extra['objectives'].round(4).tolist()}, kept: {run.extra['restart']}")
print(f"does a theorem apply?  {run.extra['theorem'].reason}")
assert ip.psnr(x, x_true) > ip.psnr(x_range, x_true) + 1  # the head is no image that G makes

# %% A method with a theorem
# Gradient steps with Armijo's rule, and PALM, which moves z and u by turns, never let the objective rise; where the
# decoder is smooth they converge to a critical point.  That says nothing of which one.
history = ip.callbacks.History(every=1)
x_palm, palm = ip.generative(A, b, model, method="palm", restarts=1, niter=3 * NITER, callbacks=[history], **options)
values = palm.history["objective"]
assert palm.extra["theorem"] and (np.diff(values) <= 1e-5 * np.abs(values[1:])).all()
print(f"PALM: {ip.psnr(x_palm, x_true):.2f} dB, objective from {values[0]:.2f} to {values[-1]:.2f}")

# %% The prior inside another solver
# For a z that is held, the prior is a quadratic functional of u like any other: so with a constraint, say.
R = CovariancePrior(model).at(run.extra["z"])
weight = info.noise_level**2 / (2 * np.count_nonzero(A.mask))  # σ²
problem = ip.Problem(ip.L2(A, b) + weight * R + ip.NonNegative())
x_nonneg = ip.solve(problem, ip.FISTA(), x0=x.clip(0), stop=ip.stop.niter(NITER)).x
print(f"u >= 0 at the same z: {ip.psnr(x_nonneg, x_true):.2f} dB")

# %% What it looks like
images = {"zero-filled": ip.zero_filled(A, b)[0], "range": x_range, "covariance": x}
ip.show(*images.values(), titles=list(images), x_true=x_true, vmin=0, path=OUT / "tutorial_30.png")
print(f"picture: {OUT / 'tutorial_30.png'}")
