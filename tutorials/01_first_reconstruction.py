"""CT from end to end: one slice, reconstructed with an analytical, an iterative and a variational method.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% The problem: A u = b
# A u is the set of line integrals of an image u, measured at a few angles.  `problem` returns the operator A, the
# noisy data b, the truth and what is known about them.  The data are simulated from a finer image with another
# projector (no inverse crime): ``info.model_error`` says what that adds to the noise.
import math
import os
from pathlib import Path

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size, views = (128, 40) if FAST else (256, 60)
A, b, x_true, info = ip.problem("ct", size=size, views=views, noise=0.01, slice=2, seed=0)
delta = math.hypot(info.noise_level, info.model_error)
print(f"A: {tuple(A.dims)} -> {tuple(A.dimsd)}, ‖A‖ <= {A.norm():.1f}; noise {info.noise_level:.2f}")

# %% Analytical: filtered back-projection
# The inverse of the ray transform filters each projection with |ω| and smears it back.  It is exact for all angles
# and no noise, and fast; with few angles it leaves streaks, and |ω| amplifies the noise.
x_fbp, _ = ip.fbp(A, b, filter="hann")

# %% Iterative: Landweber and CGLS, stopped early
# Both go towards a least-squares solution, which fits the noise too.  The discrepancy principle stops them when the
# residual has come down to the noise: ‖A u - b‖ <= 1.01 δ.  CGLS is there after a few steps.
x_lw, landweber = ip.landweber(A, b, delta, niter=500)
x_cgls, cgls = ip.cgls(A, b, delta)
print(f"landweber: {landweber.niter} iterations ({landweber.stop}); cgls: {cgls.niter} ({cgls.stop})")
assert landweber.stop == cgls.stop == "discrepancy"
assert cgls.niter < landweber.niter / 2

# %% Variational: total variation
# min ½‖A u - b‖² + λ TV(u) over u >= 0.  TV keeps edges and removes noise and streaks.  `tv_weight` gives a first λ
# from the noise alone.
from ipbox.choose import tv_weight  # noqa: E402

lam = tv_weight(A, b, delta)
x_tv, tv = ip.tv(A, b, lam, nonneg=True, tol=1e-3)
print(f"tv: λ = {lam:.3g}, {tv.niter} iterations ({tv.stop}); {tv.splitting}")

# %% Look
images = {"fbp": x_fbp, "landweber": x_lw, "cgls": x_cgls, "tv": x_tv}
quality = {name: ip.psnr(x, x_true) for name, x in images.items()}
for name, value in quality.items():
    print(f"{name:10s} {value:5.2f} dB")
# Without `path` this opens a window, and in a notebook a picture below the cell.
ip.show(*images.values(), titles=list(images), x_true=x_true, unit=info.unit, path=OUT / "tutorial_01.png")

# %% The headline: on this slice TV is several dB above the analytical method
assert quality["tv"] > quality["fbp"] + 4
