"""Fan-beam CT: full circle, short scan and few views, with an analytical and a variational method.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% The geometry
# A point source turns about the patient, a flat detector opposite to it.  The ray of view β that falls on the detector
# at a makes the angle γ with the central ray, tan γ = a / (R + R_d): it is the parallel-beam ray of angle β - γ and
# offset R sin γ.  Each line is measured twice on a full circle: at (β, γ) and at (β + π - 2γ, -γ).
import math
import os
from pathlib import Path

import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size, views = (128, 240) if FAST else (256, 480)
A, b, x_true, info = ip.problem("fan", size=size, views=views, slice=2, photons=1e5, seed=0)
fan_angle = 2 * math.atan(np.abs(A.positions()).max() / (A.source_distance + A.detector_distance))
print(f"A: {tuple(A.dims)} -> {tuple(A.dimsd)}, fan angle {math.degrees(fan_angle):.0f}°, ‖A‖ <= {A.norm():.1f}")

# %% Full circle
# Filtered back-projection weights the data with cos γ, filters each view with the ramp and smears it back along the
# rays, with 1/U², U being the distance from the source relative to the centre's.
x_full, _ = ip.fbp(A, b, filter="hann")

# %% Short scan
# π plus the fan angle is enough to measure each line at least once.  `fbp` sees the gap between the views and takes
# Parker's weights, which share smoothly what was measured twice.  `subset` is the operator at some of the views; its
# data are the same rows of b.
needed = math.ceil((math.pi + fan_angle) / (2 * math.pi) * views) + 1
A_short, b_short = A.subset(slice(0, needed)), b[:needed]
x_short, _ = ip.fbp(A_short, b_short, filter="hann")

# %% Few views
# Every eighth view: ``b[::8]`` shares the memory of b.  Streaks cover the analytical reconstruction; total variation
# removes them.
A_few, b_few = A.subset(slice(0, None, 8)), b[::8]
x_few, _ = ip.fbp(A_few, b_few, filter="hann")

from ipbox.choose import tv_weight  # noqa: E402

delta = math.hypot(info.noise_level, info.model_error) * math.sqrt(len(b_few) / len(b))
lam = tv_weight(A_few, b_few, delta)
x_tv, tv = ip.tv(A_few, b_few, lam, nonneg=True, tol=1e-3)
print(f"tv: λ = {lam:.3g}, {tv.niter} iterations ({tv.stop})")

# %% A curved detector
# Medical scanners have arcs about the source, whose rays are the same angle apart.  `detector="curved"` says so, and
# FBP changes along: the ramp's samples are multiplied by (γ/sin γ)², and U is the pixel's own distance.
geometry = dict(source_distance=A.source_distance, detector_distance=A.detector_distance, pixel_size=info.pixel_size)
A_arc = ip.FanBeamTransform(A.dims, A.angles, detector="curved", dtype=b.dtype, **geometry)
psnr_arc, psnr_flat = (ip.psnr(ip.fbp(C, C.apply(x_true), filter="hann")[0], x_true) for C in (A_arc, A))
print(f"no noise: {psnr_arc:.1f} dB from {A_arc.n_det} pixels of an arc, {psnr_flat:.1f} dB from {A.n_det} in a line")

# %% Look
few = len(b_few)
images = {
    f"fbp, {views} views on 2π": x_full,
    f"fbp, short scan of {needed}": x_short,
    f"fbp, {few} views": x_few,
    f"tv, {few} views": x_tv,
}
quality = [ip.psnr(x, x_true) for x in images.values()]
titles = ["truth", *(f"{name}: {value:.1f} dB" for name, value in zip(images, quality, strict=True))]
print("\n".join(titles[1:]))
ip.show(x_true, *images.values(), titles=titles, unit=info.unit, path=OUT / "tutorial_04.png")

# %% The headline: the short scan costs little, and with few views TV is several dB above the analytical method
full, short, few_fbp, few_tv = quality
assert short > full - 1.5
assert few_tv > few_fbp + 4
assert psnr_arc > psnr_flat - 1 and A_arc.n_det < A.n_det
