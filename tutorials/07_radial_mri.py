"""Radial and spiral MRI: gridding, coil sensitivities from the data themselves, and SENSE by conjugate gradients."""

# %% The problem
# An MR scanner measures the Fourier transform of the image along a trajectory k.  Here 8 coils each see the image
# weighted with their own sensitivity, along a sixth of the spokes that would leave no gap in k-space:
#     b_c = F(S_c u) + noise.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.reconstruct import gridded_kspace

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size = 128 if FAST else 256
A, b, x_true, info = ip.problem("mri-radial", size=size, undersampling=6, coils=8, noise=0.02, seed=0)
k = info.extra["trajectory"]
truth = np.abs(x_true)
print(f"{k.shape[0]} spokes of {k.shape[1]} samples, {b.shape[0]} coils; noise {info.noise_level:.3g}")


def quality(x: np.ndarray) -> float:
    return ip.psnr(np.abs(x), truth)


# %% Gridding
# The samples crowd in the middle of k-space, so each is weighted with the area that it stands for, |k| Δk Δθ.  With
# all spokes the adjoint of the weighted data is almost the inverse.  With a sixth of them, streaks fill the image.
x_grid, _ = ip.gridding(A, b)

# %% Where do the sensitivities come from?
# In an examination nobody knows S_c.  But the gaps between spokes close towards the middle of k-space: its gridded
# data are the calibration region from which the sensitivities are estimated.
y = gridded_kspace(A, b)
S = ip.estimate_sensitivities(y, calibration=24)
A_est = ip.NonCartesianMRI((size, size), k, S)

# %% SENSE
# min ‖A u - b‖² by conjugate gradients: where the spokes leave gaps, the coils together still tell what is there.  A
# few iterations are enough; more of them fit the noise.
niter = 15
x_sense, _ = ip.sense(A, b, niter=niter, tol=1e-6)
x_est, _ = ip.sense(A_est, b, niter=niter, tol=1e-6)

# %% A spiral
# Half of the interleaved spirals are measured.  The gaps are the same everywhere, and what they fold into the image is
# no faint streaks but a swirl.
C, c, x_c, _ = ip.problem("mri-radial", size=size, undersampling=2, coils=8, noise=0.02, trajectory="spiral")
s_grid, _ = ip.gridding(C, c)
s_sense, _ = ip.sense(C, c, niter=niter, tol=1e-6)

# %% Look
images = {
    "gridding": x_grid,
    "SENSE, true maps": x_sense,
    "SENSE, estimated maps": x_est,
    "spiral, gridding": s_grid,
    "spiral, SENSE": s_sense,
}
decibels = {name: quality(x) for name, x in images.items()}
for name, value in decibels.items():
    print(f"{name:22s} {value:5.2f} dB")
titles = ["truth", *[f"{name}: {value:.1f} dB" for name, value in decibels.items()], "map of one coil, estimated"]
coil = np.abs(S[0]) * (truth.max() / np.abs(S[0]).max())
ip.show(truth, *map(np.abs, images.values()), coil, titles=titles, path=OUT / "tutorial_07.png")

# %% The headline: SENSE is worth several dB, and the data know the sensitivities themselves
assert decibels["SENSE, estimated maps"] > decibels["gridding"] + 3
assert decibels["SENSE, estimated maps"] > decibels["SENSE, true maps"] - 1
assert decibels["spiral, SENSE"] > decibels["spiral, gridding"] + 15
