"""Deblurring: kinds of blur, why inversion fails, and what helps, from the spectral cut-off to total variation.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% The problem: A u = k * u
# A point of the scene is spread over the point-spread function k: a Gaussian (atmosphere), a segment (motion), a disc
# (out of focus), a square (pixels of a detector).  `problem` blurs a photograph that goes on beyond the field of view,
# as real ones do; the operator continues the image by reflection instead, and ``info.model_error`` says what that
# costs.
import math
import os
from pathlib import Path

import numpy as np
from skimage import data

import ipbox as ip
from ipbox.choose import tv_weight
from ipbox.operators.images.psf import motion_psf

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size = 128 if FAST else 256

kinds = {k: ip.problem("blur", kernel=k, size=size)[1] for k in ("gaussian", "motion", "out-of-focus", "uniform")}
A, b, x_true, info = ip.problem("blur", kernel="out-of-focus", radius=4.0, size=size, noise=0.01, seed=0)
delta = math.hypot(info.noise_level, info.model_error)
print(f"noise {info.noise_level:.2f}, model error {info.model_error:.2f}; ‖A‖ = {A.norm():.3f} ({A.norm_kind})")

# %% Why the inverse fails
# The cosine transform diagonalises this A (the Fourier transform would for periodic boundary).  Its eigenvalues k̂ fall
# towards zero and cross it: dividing by them blows up the noise at these frequencies.
smallest = float(np.abs(A.diagonal.values).min())
print(f"eigenvalues from {smallest:.1e} to {A.norm():.3f}: the noise is amplified up to {1 / smallest:.0e} times")
x_naive, _ = ip.truncated_inverse(A, b, threshold=0.0)

# %% Cut off, damp, or look for a piecewise smooth image
# The truncated inverse leaves out the frequencies at which the blur left too little; the discrepancy principle says
# which.  The Wiener filter damps each frequency by what signal and noise are expected there.  TV is not linear: it
# keeps edges sharp, which no filter can.
x_cut, cut = ip.truncated_inverse(A, b, delta)
x_wiener, _ = ip.wiener(A, b, delta)
x_tv, tv = ip.tv(A, b, 0.5 * tv_weight(A, b, delta), box=(0.0, 1.0), niter=300, tol=1e-3)
print(f"cut-off at |k̂| = {cut.parameters['threshold']:.3f}: {100 * cut.parameters['kept']:.0f} % of the frequencies")

images = {"blurred": b, "inverse": x_naive, "cut-off": x_cut, "wiener": x_wiener, "tv": x_tv}
quality = {name: ip.psnr(x, x_true) for name, x in images.items()}
for name, value in quality.items():
    print(f"{name:10s} {value:7.2f} dB")

# %% The boundary matters
# An oblique motion with reflection is diagonal in no fast transform, and the filters say so.  Two ways out: an
# iterative method, or periodic boundary after tapering the edges.  Periodic boundary alone rings through the image.
A2, b2, x2, info2 = ip.problem("blur", kernel="motion", length=11.0, angle=0.6, size=size)
delta2 = math.hypot(info2.noise_level, info2.model_error)
periodic = ip.Blur(A2.dims, A2.kernel, boundary="periodic")
edges = {
    "periodic": ip.wiener(periodic, b2, delta2)[0],
    "edges tapered": ip.wiener(A2, b2, delta2, edgetaper=True)[0],
    "reflective, tv": ip.tv(A2, b2, 0.5 * tv_weight(A2, b2, delta2), box=(0.0, 1.0), niter=300, tol=1e-3)[0],
}
boundary = {name: ip.psnr(x, x2) for name, x in edges.items()}
print(", ".join(f"{name}: {value:.2f} dB" for name, value in boundary.items()))

# %% A blur that varies over the image
# The camera turned during the exposure: the middle is sharp, the rim is not.  `VaryingBlur` interpolates between local
# kernels.  Iterative methods take it like any operator; one kernel for all pixels does harm.
A3, b3, x3, info3 = ip.problem("blur-varying", kernel="rotation", strength=8.0, size=size, grid=4 if FAST else 6)
delta3 = math.hypot(info3.noise_level, info3.model_error)
x_turned, _ = ip.tv(A3, b3, 0.5 * tv_weight(A3, b3, delta3), box=(0.0, 1.0), niter=100, tol=1e-3)
print(f"rotation: {ip.psnr(b3, x3):.2f} dB, after TV {ip.psnr(x_turned, x3):.2f} dB")

# %% A photograph that really is blurred
# The clock of scikit-image was photographed with a camera in motion.  The truth is unknown and k a guess: a horizontal
# segment, with the length at which the clock's face becomes round.  (The camera's true path was not that simple:
# shadows are left beside it.)
clock = (data.clock() / 255.0).astype(np.float32)
A4 = ip.Blur(clock.shape, motion_psf(36.0), boundary="reflective")
x_clock, _ = ip.wiener(A4, clock, 0.02 * math.sqrt(clock.size))

# %% Look
shown = [*kinds.values(), x_true, *(np.clip(x, 0, 1) for x in images.values())]
titles = [*kinds, "truth", *[f"{name}: {value:.1f} dB" for name, value in quality.items()]]
shown += [b2, *(np.clip(x, 0, 1) for x in edges.values())]
titles += ["oblique motion", *[f"{name}: {value:.1f} dB" for name, value in boundary.items()]]
shown += [b3, x_turned, clock[70:240, 100:320], x_clock[70:240, 100:320]]
titles += ["rotation", f"tv: {ip.psnr(x_turned, x3):.1f} dB", "a moved camera", "deblurred"]
ip.show(*shown, titles=titles, path=OUT / "tutorial_08.png")

# %% The headlines
assert quality["inverse"] < quality["blurred"] < quality["cut-off"] < quality["wiener"] < quality["tv"]
assert boundary["periodic"] < boundary["edges tapered"] < boundary["reflective, tv"]
assert ip.psnr(x_turned, x3) > ip.psnr(b3, x3) + 1
