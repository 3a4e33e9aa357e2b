"""Total variation and its relatives: staircases, rotations, colour, and edges borrowed from another image.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes smaller images.
"""

# %% TV keeps edges and makes staircases
# min_u ½‖u - b‖² + λ TV(u), TV(u) = Σ |∇u|, prefers piecewise constant images: edges stay, ramps become stairs.  The
# infimal convolution with second differences, min_v α₁ TV(u - v) + α₀ Σ |∇²v|, leaves the ramps to v.
import os
from pathlib import Path

import numpy as np
from skimage import data

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
rng = np.random.default_rng(0)


def denoise(b, R, lam, niter=200 if FAST else 400, tol=1e-3):
    """min_u ½‖u - b‖² + λ R(u)."""
    gap = ip.stop.gap(tol) | ip.stop.niter(niter) if not R.aux else ip.stop.niter(niter)
    return ip.solve(ip.Problem(ip.L2(b=b) + lam * R), ip.PDHG(), x0=b, stop=gap).x


def best(b, truth, R, lams):
    """The image of the λ with the highest PSNR."""
    images = [denoise(b, R, lam) for lam in lams]
    return max(images, key=lambda u: ip.psnr(u, truth))


n = 40 if FAST else 96
i, j = np.indices((n, n)) / n
ramps = np.where(np.hypot(i - 0.5, j - 0.5) < 0.3, 1 - i, 0.6 * j).astype(np.float32)
noisy = ramps + 0.05 * rng.standard_normal(ramps.shape).astype(np.float32)
stairs = best(noisy, ramps, ip.TV(ramps.shape), (0.05, 0.08))
smooth = best(noisy, ramps, ip.InfConvTV(ramps.shape, 1.0, 2.0), (0.05, 0.08))
bends = {name: float(np.abs(np.diff(u[: n // 8], 2)).mean()) for name, u in (("TV", stairs), ("infconv", smooth))}
print(f"TV {ip.psnr(stairs, ramps):.2f} dB, infimal convolution {ip.psnr(smooth, ramps):.2f} dB; bends {bends}")

# %% Rotations
# The differences of isotropic TV look forward, so an image and the same image turned by 90 degrees do not cost the
# same.  The mean over the reflections does not care.
tri, costs = np.tri(32, dtype=np.float32), {}
for name, symmetric in (("isotropic", False), ("symmetric", True)):
    R = ip.TV(tri.shape, symmetric=symmetric, accuracy=1e-3)
    costs[name] = [R.value(np.rot90(tri, k).copy()) for k in range(4)]
    moved = np.abs(np.rot90(R.prox(np.rot90(tri).copy(), 0.2), -1) - R.prox(tri, 0.2)).max()
    print(f"{name}: a diagonal edge costs {np.round(costs[name], 3)}, turning it moves the prox by {moved:.1e}")

# %% Colour
# Channels have their edges in the same places.  One length over all channels makes them share them.
astronaut = data.astronaut()[20:148, 160:288] if FAST else data.astronaut()[:320, 80:400]
colour = np.ascontiguousarray(astronaut.transpose(2, 0, 1), dtype=np.float32) / 255
grainy = colour + 0.15 * rng.standard_normal(colour.shape).astype(np.float32)
lams = (0.08, 0.11, 0.15)
each = np.stack([best(b, x, ip.TV(x.shape), lams) for b, x in zip(grainy, colour, strict=True)])
joint = best(grainy, colour, ip.TV(colour.shape, channels=True), (0.11, 0.15, 0.19))
print(f"astronaut: channel by channel {ip.psnr(each, colour):.2f} dB, jointly {ip.psnr(joint, colour):.2f} dB")

# %% Edges of another modality
# The MR image of the same head shows where grey matter ends.  Directional TV makes edges cheap there: not their sign or
# height, only their direction.  A PET scan with few counts, Poisson likelihood, u >= 0:
size, views, niter = (64, 60, 100) if FAST else (128, 120, 300)
A, b, activity, info = ip.problem("pet", size=size, views=views, counts=3e5, seed=0)
mr, start = info.extra["t1"], np.ones(A.dims, np.float32)


def pet(R, lams):
    """The best of KL(Au + r, b) + λ R(u), u >= 0, over λ."""
    problems = [ip.Problem(ip.KL(A, b) + lam * R + ip.NonNegative()) for lam in lams]
    images = [ip.solve(p, ip.PDHG(), x0=start, stop=ip.stop.niter(niter)).x for p in problems]
    return max(images, key=lambda u: ip.psnr(u, activity))


u_tv, u_guided = pet(ip.TV(A.dims), (0.3, 0.6, 1.0)), pet(ip.DirectionalTV(A.dims, mr), (0.6, 1.0, 2.0))
quality = {name: ip.psnr(u, activity) for name, u in (("TV", u_tv), ("guided by MR", u_guided))}
print("PET: " + ", ".join(f"{name} {value:.2f} dB" for name, value in quality.items()))

# %% Look
shown = [
    noisy,
    stairs,
    smooth,
    *(np.moveaxis(c, 0, -1) for c in (grainy, each, joint)),  # in colours: (ny, nx, 3)
    mr,
    activity / 4,
    u_tv / 4,
    u_guided / 4,
]
titles = [
    "noisy ramps",
    f"TV: {ip.psnr(stairs, ramps):.1f} dB",
    f"infimal convolution: {ip.psnr(smooth, ramps):.1f} dB",
]
titles += ["noisy", f"each channel: {ip.psnr(each, colour):.1f} dB", f"joint: {ip.psnr(joint, colour):.1f} dB"]
titles += ["MR", "PET/4, truth", *[f"PET/4, {name}: {value:.1f} dB" for name, value in quality.items()]]
ip.show(*shown, titles=titles, vmin=0, vmax=1, path=OUT / "tutorial_11.png")

# %% The headlines
assert bends["infconv"] < 0.5 * bends["TV"] and ip.psnr(smooth, ramps) > ip.psnr(stairs, ramps) + 0.5
assert np.ptp(costs["isotropic"]) > 1 and np.ptp(costs["symmetric"]) < 1e-3
assert ip.psnr(joint, colour) > ip.psnr(each, colour) + 0.5
assert quality["guided by MR"] > quality["TV"] + 1.5
