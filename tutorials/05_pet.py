"""PET: counts, attenuation, and why the forward model must not have negative entries.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% The problem: b ~ Poisson(A u + r)
# A radioactive tracer sends out pairs of photons in opposite directions.  A reading counts the pairs on one line: on
# average the integral of the activity u along it, times the share of pairs that leave the body, a = exp(-∫ μ), times
# the efficiency of the detectors, n; and blurred by the scanner.  Randoms and scatter come on top, as a background r:
#
#     E b = A u + r,    A u = n a P H u.
#
# `problem("pet")` simulates a slice of a brain (FDG-like: 4 in grey, 1 in white matter) from a finer grid.
import os
from pathlib import Path

import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size, views, niter = (64, 60, 30) if FAST else (128, 180, 50)
A, b, x_true, info = ip.problem("pet", size=size, views=views, counts=1e6, seed=0)
share = info.extra["background"].sum() / b.sum()
print(f"{b.sum():.0f} counts, {100 * share:.0f} % of them background; up to {b.max():.0f} a reading")
print(f"attenuation leaves {100 * A.factors.min() / A.factors.max():.0f} % on the worst line")
print(f"noise {info.noise_level:.0f}, model error {info.model_error:.0f}")

# %% Signs and counts
# Counts are not negative, and neither is a model of them: P is Joseph's projector, a matrix without negative entries,
# with its exact transpose.  `RayTransform` is faster and more accurate on smooth images, but it rings.
fourier = ip.RayTransform(A.dims, A.projector.angles, A.projector.n_det, pixel_size=info.pixel_size)
print(f"smallest projection: PET {A.apply(x_true).min():.1e}, Fourier {fourier.apply(x_true).min():.1e}")
assert A.apply(x_true).min() >= 0 > fourier.apply(x_true).min()

# The transpose of ones is the sensitivity: what a unit of activity in a pixel adds to all readings together.
total, seen = A.apply(x_true).sum(dtype=np.float64), np.vdot(x_true, A.sensitivity())
print(f"counts without background: {total:.0f} projected, {seen:.0f} by the sensitivity")
assert abs(total - seen) < 1e-6 * total

# %% Analytical: filtered back-projection of (b - r) / (n a)
# Without the attenuation the middle of the head comes out too dark by far: fewer pairs leave it.
x_fbp, _ = ip.fbp(A, b, "hann")
no_attenuation = ip.PET(A.projector, normalisation=A.factors.max(), background=A.background)
x_dark, _ = ip.fbp(no_attenuation, b, "hann")
middle = (slice(3 * size // 8, 5 * size // 8),) * 2
print(f"the middle without correction: {100 * x_dark[middle].mean() / x_true[middle].mean():.0f} % of what is there")

# %% MLEM: the classic of emission tomography
# u <- u A*(b / (A u + r)) / A*1 raises the Poisson likelihood in each step, and keeps u >= 0 since nothing in the
# model is negative.  One line; the noise grows with the iterations, so one stops early.
u, likelihood = np.ones_like(x_true), []
for _ in range(niter):
    mean = A.mean(u)
    u *= A.apply_adjoint(b / mean) / A.sensitivity()
    likelihood.append(float((b * np.log(mean) - mean).sum(dtype=np.float64)))
assert np.all(np.diff(likelihood) > 0)

# %% Ordered subsets
# `A.subsets(n)` gives models of every n-th angle; their data are views of b.  A step with each subset in turn moves
# about as far as n steps of MLEM.
parts = A.subsets(6)
v = np.ones_like(x_true)
for _ in range(niter // 6):
    for k, B in enumerate(parts):
        v *= B.apply_adjoint(b[k::6] / B.mean(v)) / B.sensitivity()

# %% With a prior instead of a stop
# `bsrem` iterates until the image stays, and leaves the noise to the relative difference prior: λ R(u), a few
# thousandths of the sensitivity.
x_rdp, run = ip.bsrem(A, b, 0.003 * A.sensitivity().mean())
print(f"BSREM: {run.niter} iterations, stopped by {run.stop}")

# %% Look
images = {"FBP": x_fbp, "FBP without attenuation": x_dark, "MLEM": u, "ordered subsets": v, "BSREM": x_rdp}
quality = {name: ip.psnr(x, x_true) for name, x in images.items()}
for name, value in quality.items():
    print(f"{name:24s} {value:5.2f} dB")
largest = info.extra["attenuation"].max()
attenuation = info.extra["attenuation"] * (x_true.max() / largest)  # on the scale of the activity
titles = ["activity", f"attenuation, up to {largest:.4f} 1/mm"]
titles += [f"{name}: {value:.1f} dB" for name, value in quality.items()]
ip.show(x_true, attenuation, *images.values(), titles=titles, unit=info.unit, path=OUT / "tutorial_05.png")

# %% The headline: MLEM beats the inversion formula, and without attenuation most of the middle is lost
assert quality["MLEM"] > quality["FBP"] + (0.5 if FAST else 2)
assert quality["ordered subsets"] > quality["MLEM"] - 1
assert quality["BSREM"] > max(quality["MLEM"], quality["ordered subsets"])
assert x_dark[middle].mean() < 0.3 * x_true[middle].mean()
