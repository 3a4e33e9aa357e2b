"""Cartesian MRI: masks, several coils, sensitivities estimated from the data, and SENSE."""

# %% The problem
# An MR scanner samples the Fourier transform of the image, and every sample takes time.  Here a quarter of k-space is
# measured, on the grid, by 8 coils each of which sees the image weighted with its own sensitivity S_c:
#     b_c = W F(S_c u) + noise,      W the sampling mask.
# The data are made from the discrete image with the same F and S_c: an inverse crime, and the image is an MR magnitude
# that a scanner reconstructed.
import os
from pathlib import Path

import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size = 128 if FAST else 256
options = dict(size=size, coils=8, acceleration=4, noise=0.01, seed=0, phase=True)
A, b, x_true, info = ip.problem("mri", mask="poisson-disc", **options)
truth = np.abs(x_true)
print(f"{b.shape[0]} coils, every {info.extra['acceleration']:.2f}th point; noise {info.noise_level:.3g}")


def quality(x: np.ndarray) -> float:
    return ip.psnr(np.abs(x), truth)


# %% Without sensitivities: root sum of squares; with them: zero filling
# Both take what is not measured as zero.  A Poisson-disc mask makes the error look like noise, without edges of its
# own.
x_rss, _ = ip.root_sum_of_squares(A, b)
x_zero, _ = ip.zero_filled(A, b)

# %% Sensitivities from the data
# The middle of k-space is fully sampled.  ESPIRiT finds the maps as eigenvectors: patches of the data of all coils
# lie in a small subspace.  They are known up to a phase at each pixel, so compare |Σ conj(Ŝ_c) S_c|, which is 1 where
# the two agree.
S = ip.estimate_sensitivities(b, calibration=info.extra["calibration"])
agreement = np.abs((S.conj() * info.extra["sensitivities"]).sum(axis=0))
print(f"maps agree to {agreement[truth > 0.1].mean():.5f} on average where there is signal")

# %% SENSE
# min ½‖A u - b‖² by conjugate gradients: eight coils tell more than enough about each pixel, though each saw a quarter.
x_sense, sense = ip.sense(A, b)
x_est, _ = ip.sense(ip.CartesianMRI(A.mask, S), b)
print(f"SENSE: {sense.niter} iterations ({sense.stop})")

# %% Lines instead of points
# In a slice the scanner reads whole lines, so only one direction can be undersampled.  The gaps are wider there than
# the coils can bridge, and what they leave is folded over the image.  All masks have as many samples.
lines, points = {}, {"poisson-disc": A.mask}
for mask in ("uniform", "variable-density"):
    C, c, _, _ = ip.problem("mri", mask=mask, **options)
    lines[mask] = ip.sense(C, c)[0]
    points[mask] = C.mask

# %% Look
images = {
    "root sum of squares": x_rss,
    "zero-filled": x_zero,
    "SENSE, true maps": x_sense,
    "SENSE, estimated maps": x_est,
    "SENSE, uniform lines": lines["uniform"],
    "SENSE, random lines": lines["variable-density"],
}
values = {name: quality(x) for name, x in images.items()}
for name, value in values.items():
    print(f"{name:24s} {value:5.2f} dB")
pictures = [*(np.abs(x) for x in images.values()), *points.values(), *np.abs(S[:2])]
titles = ["truth", *[f"{name}: {value:.1f} dB" for name, value in values.items()]]
titles += [*points, "|S| of coil 0", "|S| of coil 1"]
ip.show(truth, *pictures, titles=titles, path=OUT / "tutorial_06.png")

# %% The headline: SENSE is 10 dB above zero filling, and needs no sensitivities from elsewhere
assert values["SENSE, true maps"] > max(values["zero-filled"], values["root sum of squares"]) + 10
assert values["SENSE, estimated maps"] > values["SENSE, true maps"] - 1
assert values["SENSE, random lines"] > values["SENSE, uniform lines"]
