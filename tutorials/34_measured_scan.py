"""From a measured scan to an image: counts, fields, dead pixels, zingers, stripes, and an axis that nobody knows.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% What a panel measures
# Not line integrals but counts: I = D + g F exp(-b), with the dark field D, the flat field F and Poisson noise; gains g
# that have changed since the flat field was taken; pixels that are dead; readings that a stray photon hit; a beam that
# fades; and an axis of rotation that is not in the middle.  Such a scan is simulated here from a slice of a chest, so
# that the truth is known; `ip.read_scan` reads real ones.
import os
from pathlib import Path

import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size, views, photons = (128, 180, 2e4) if FAST else (256, 360, 2e4)
rng = np.random.default_rng(0)
x_true = ip.problem("ct", size=size, views=4)[2]
angles, n, shift = np.linspace(0, np.pi, views, endpoint=False), int(1.5 * size), 7.3
scanner = ip.RayTransform(x_true.shape, angles, n_det=n, det_shift=shift)
b_true = scanner.apply(x_true)
x_true *= 3 / b_true.max()  # the darkest ray loses e^-3
b_true *= 3 / b_true.max()

gain = 1 + 0.1 * rng.standard_normal(n)
gain[[40, 41, n - 50]] = 0.02  # dead
beam = np.linspace(1, 0.9, views)[:, None]
changed = 1 + 0.02 * rng.standard_normal(n)
counts = 100 + rng.poisson(photons * beam * gain * changed * np.exp(-b_true.astype(np.float64)))
hit = rng.uniform(size=counts.shape) < 5e-4
counts = np.minimum(counts + hit * rng.integers(5000, 30000, counts.shape), 65535).astype(np.uint16)
flats, after = (100 + rng.poisson(photons * light * gain, (20, n)) for light in (1.0, 0.9))
darks = 100 + rng.poisson(4.0, (20, n)) - 4

# %% Step by step
# Each step is a function of `ip.measured`.  The guard of the logarithm counts what it held, and says which readings are
# not to be trusted.
T, guard = ip.measured.flat_field(counts, flats, darks, flats_after=after)
plain = ip.measured.minus_log(T)
print(f"{guard.low} readings without light, {guard.saturated} saturated, of {guard.readings}")
middle = ip.RayTransform(x_true.shape, angles, n_det=n)  # as if the axis were there
x_plain, _ = ip.fbp(middle, plain, filter="hann")

# %% All of it
# `prepare` does it in the order that is right, looks for the axis and tells the noise level.
b, info = ip.measured.prepare(counts, flats, darks, flats_after=after, angles=angles)
print("; ".join(info.steps))
print(f"noise level {info.noise_level:.3g} from the {info.noise_from}, error {np.linalg.norm(b - b_true):.3g}")
info.plot(OUT / "tutorial_34_sinogram.png")

# %% The axis
# The double wedge of the Fourier transform tells it to a fraction of a column; how sharp filtered back-projection is
# with the axis beside agrees.
checked = ip.measured.check_centre(b, angles, info.centre.column)
print(
    f"axis: column {info.centre.column:.2f} by the {info.centre.method}, {checked.column:.2f} by the {checked.method}"
)
print(f"det_shift {info.det_shift:.2f}, true {shift}")

# %% An image
# What comes out is what every method here takes.  λ comes from the noise level, which came from the flat fields: no
# number was given by hand.
A = ip.RayTransform(x_true.shape, angles, n_det=n, det_shift=info.det_shift)
x_fbp, _ = ip.fbp(A, b, filter="hann")
few = slice(0, None, 4)
A_few, b_few = A.subset(few), b[few]
delta = info.noise_level * np.sqrt(len(b_few) / len(b))
x_tv, tv = ip.tv(A_few, b_few, lam="discrepancy", noise_level=delta, nonneg=True)
x_few, _ = ip.fbp(A_few, b_few, filter="hann")
print(f"tv: λ = {tv.extra['choice'].lam:.3g} by the discrepancy principle")

# %% Look
images = {
    "fields and logarithm only": x_plain,
    "prepared": x_fbp,
    f"prepared, fbp, {len(b_few)} views": x_few,
    f"prepared, tv, {len(b_few)} views": x_tv,
}
quality = [ip.psnr(x, x_true) for x in images.values()]
titles = ["truth", *(f"{name}: {value:.1f} dB" for name, value in zip(images, quality, strict=True))]
print("\n".join(titles[1:]))
ip.show(x_true, *images.values(), titles=titles, unit="1/pixel", path=OUT / "tutorial_34.png")

# %% The headline: the axis to a quarter of a column, values to 1 %, and many decibels
liver = np.s_[3 * size // 8 : size // 2, size // 4 : 3 * size // 8]
off = x_fbp[liver].mean() / x_true[liver].mean() - 1
print(f"liver: {x_true[liver].mean():.5f}, found {x_fbp[liver].mean():.5f} per pixel, {off:+.2%}")
assert abs(info.det_shift - shift) < 0.25 and abs(checked.det_shift - shift) < 0.5
assert abs(off) < 0.01
assert quality[1] > quality[0] + 5
assert quality[3] > quality[2]
