"""Measured data: electron tomography of a needle, with a missing wedge; when to stop when nobody knows the truth."""

# %% The data: 77 angles from -76 to 76 degrees
# Neither truth nor noise level is known.  Every fifth angle is held out and plays the judge.
import os
import warnings
from pathlib import Path

import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

held = np.arange(0, 77, 5)
used = np.setdiff1d(np.arange(77), held)
A, b, _, info = ip.problem("tomography-measured", slice=0, angles=used)
H, h, _, _ = ip.problem("tomography-measured", slice=0, angles=held)

# %% Where such data come from
# A detector counts; with the beam alone it counted F, without it D.  Line integrals are -log((I - D)/(F - D)), and
# counts below the dark field are set to a floor, and told.  These counts are simulated from the measured data.
flat, dark = 3e4 * (1 + 0.3 * np.sin(np.arange(256) / 9)), 100.0
counts = np.random.default_rng(0).poisson(flat * np.exp(-3 * b / b.max()) + dark).astype("uint16")
again, clamped = ip.line_integrals(counts, flat + dark, dark)
apart = float(np.linalg.norm(again * b.max() / 3 - b) / np.linalg.norm(b))
print(f"from counts: {100 * apart:.1f} % apart, {clamped} entries at the floor")
assert apart < 0.02 and clamped == 0

# %% Semi-convergence
# CGLS first fits the object, then the noise: the residual at the angles it sees keeps falling, the one at the angles
# it does not see turns up again.
inside, outside, images = [], [], []
for run in ip.iterate(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=ip.stop.niter(50)):
    inside.append(ip.relative_residual(A, run.x, b))
    outside.append(ip.relative_residual(H, run.x, h))
    images.append(run.x.copy())
best = int(np.argmin(outside))
print(
    f"used angles: {inside[-1]:.4f} after 50 iterations; held out: least {outside[best]:.4f} at {best}, "
    f"{outside[-1]:.4f} at 50"
)
assert np.all(np.diff(inside) <= 1e-6)
assert outside[-1] > outside[best]

# %% How much of the residual is noise?
# `estimate_noise` looks for it where neighbouring readings change little, and knows that it grows with the counts.  It
# is about half of what CGLS leaves after 50 iterations, and the held-out angles were predicted best before that: the
# rest is the model's (alignment, detector, scattering).  So the discrepancy principle would stop too late here.
noise = ip.estimate_noise(b, A) / float(np.linalg.norm(b))
print(f"noise: {100 * noise:.2f} % of the data; residual after 50 iterations {100 * inside[-1]:.2f} %")
assert 0.002 < noise < 0.6 * inside[best]

# %% A prior helps where the data are missing
# TV and non-negativity fill the wedge: the held-out residual falls below CGLS's best.  The residual at CGLS's best
# stands in for the unknown noise level; `tv_weight` makes a weight of it.
from ipbox.choose import tv_weight  # noqa: E402

lam = tv_weight(A, b, inside[best] * float(np.linalg.norm(b)))
x_tv, tv = ip.tv(A, b, lam, nonneg=True, tol=1e-3, niter=150 if FAST else 1000)
with_tv = ip.relative_residual(H, x_tv, h)
print(f"tv: held out {with_tv:.4f} ({tv.niter} iterations, {tv.stop})")

# %% Look
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "fbp: the views leave out")  # the wedge that is missing
    x_fbp, _ = ip.fbp(A, b, filter="hann")
titles = ["fbp", f"cgls, {best} iterations", "cgls, 50 iterations", "tv"]
shown = [x_fbp, images[best], images[-1], x_tv]
ip.show(*shown, titles=titles, vmin=0, vmax=float(x_tv.max()), unit=info.unit, path=OUT / "tutorial_03.png")

# %% The headline: regularised, the model predicts the angles it has not seen better
assert with_tv < outside[best]
