"""Photographs: inpainting, super-resolution and denoising, and an operator of your own.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes smaller images.
"""

# %% One idea, many problems
# Missing pixels, too few pixels, noise: each is A u = b with another A.  The operator changes, the methods stay.
# The analytical answer is the pseudo-inverse A†, which returns the image of minimal norm among those that fit the data
# best.  It puts nothing where nothing was measured.  Tikhonov's ‖∇u‖² prefers smooth images, total variation images
# with few edges.
import math
import os
from pathlib import Path

import numpy as np

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size, tol = (96, 1e-2) if FAST else (256, 1e-3)
images, titles, gains = [], [], {}


def record(name, x_true, analytical, tikhonov, tv):
    """Keep the pictures and the gain in PSNR of TV over the analytical answer."""
    methods = {"A†": analytical, "‖∇u‖²": tikhonov, "TV": tv}
    quality = {method: ip.psnr(x, x_true) for method, x in methods.items()}
    gains[name] = quality["TV"] - quality["A†"]
    print(f"{name:16s} " + ", ".join(f"{method} {value:5.2f} dB" for method, value in quality.items()))
    images.extend([x_true, *methods.values()])
    titles.extend([name, *(f"{method}: {value:.1f} dB" for method, value in quality.items())])


def smooth(A, b, lam):
    """Tikhonov with the gradient."""
    return ip.tikhonov(A, b, lam, gradient=True, tol=1e-4)[0]


# %% Inpainting: A multiplies with a mask
# Here A is a projection, so A† = A* = A: the data themselves, black where a pixel is missing.  Half of the pixels are
# enough for TV.
A, b, x_true, info = ip.problem("inpaint", size=size, missing=0.5, noise=0.02, image="camera")
x_pinv, _ = ip.pseudo_inverse(A, b)
x_tv, _ = ip.tv(A, b, lam=0.006, box=(0.0, 1.0), tol=tol)
assert np.array_equal(x_pinv, b)
record("inpainting", x_true, x_pinv, smooth(A, b, 0.05), x_tv)

# %% An image that was written over
A, b, x_true, info = ip.problem("inpaint", size=size, mask="text", noise=0.02, image="cat")
x_tv, _ = ip.tv(A, b, lam=0.006, box=(0.0, 1.0), tol=tol)
record("text removal", x_true, ip.pseudo_inverse(A, b)[0], smooth(A, b, 0.05), x_tv)

# %% Super-resolution: A averages over blocks of 2 x 2 pixels
# A A* = I/4, so A† = 4 A*: each data pixel is repeated.  TV draws the edges between them.
A, b, x_true, info = ip.problem("super-resolution", size=size, factor=2, noise=0.01, image="camera")
x_pinv, _ = ip.pseudo_inverse(A, b)
np.testing.assert_allclose(x_pinv, np.kron(b, np.ones((2, 2))), atol=1e-4)
x_tv, _ = ip.tv(A, b, lam=0.002, box=(0.0, 1.0), tol=tol)
record("super-resolution", x_true, x_pinv, smooth(A, b, 0.003), x_tv)

# %% Denoising: A = I
# Salt and pepper is not Gaussian: the squared distance to the data is the wrong fidelity, since it asks to stay near
# values that say nothing.  But lost pixels are known by their value: what is left is inpainting.
A, b, x_true, info = ip.problem("denoise", size=size, noise="poisson", photons=60, image="coins")
x_tv, _ = ip.tv(None, b, lam=1.2 * info.noise_level / math.sqrt(b.size), tol=tol)
record("photon noise", x_true, b, smooth(A, b, 0.7), x_tv)

A, b, x_true, info = ip.problem("denoise", size=size, noise="salt-and-pepper", fraction=0.3, image="camera")
known = (b > b.min()) & (b < b.max())
M = ip.Mask(known)
x_tv, _ = ip.tv(M, b * known, lam=0.006, box=(0.0, 1.0), tol=tol)
record("salt and pepper", x_true, b, smooth(M, b * known, 0.02), x_tv)

# %% Wavelets instead of edges
# Photographs have few large wavelet coefficients.  With an orthogonal W, min ½‖u - b‖² + λ‖W u‖₁ is solved by one
# soft threshold of W b.
A, b, x_true, info = ip.problem("denoise", size=size, noise=0.15, image="camera")
sigma = info.noise_level / math.sqrt(b.size)
W = ip.Wavelet(b.shape, "sym4", levels=3)
c = W.apply(b)
x_wavelet = W.apply_adjoint(np.sign(c) * np.maximum(np.abs(c) - 1.5 * sigma, 0).astype(c.dtype))
x_tv, _ = ip.tv(None, b, lam=0.9 * sigma, tol=tol)
print(f"Gaussian noise: data {ip.psnr(b, x_true):.2f} dB, wavelets {ip.psnr(x_wavelet, x_true):.2f} dB")
record("Gaussian noise", x_true, b, smooth(A, b, 0.7), x_tv)
assert ip.psnr(x_wavelet, x_true) > ip.psnr(b, x_true) + 2

# %% An operator of your own: two functions
# Every other row of a camera was read out, and the scene moved by one pixel in between: rows 1, 3, 5, ... are shifted.
# The forward model takes two lines, its adjoint too.  `ip.operator` compares ⟨A u, v⟩ with ⟨u, A* v⟩ on random arrays
# and refuses a pair that does not belong together, with both numbers.


def forward(u):
    shifted = np.roll(u, 1, axis=1)
    return np.stack([0.5 * (u[0::2] + shifted[0::2]), u[1::2]])


def adjoint(v):
    u = np.zeros((2 * v.shape[1], v.shape[2]), v.dtype)
    u[0::2] = 0.5 * (v[0] + np.roll(v[0], -1, axis=1))
    u[1::2] = v[1]
    return u


def wrong_adjoint(v):
    u = adjoint(v)
    u[0::2] = 0.5 * (v[0] + np.roll(v[0], 1, axis=1))  # the shift goes the wrong way
    return u


shape = (size, size)
try:
    ip.operator(forward, wrong_adjoint, shape, (2, size // 2, size), "float32")
except ValueError as error:
    print(f"refused: {error}")
else:
    raise AssertionError("a wrong adjoint passed")

A = ip.operator(forward, adjoint, shape, (2, size // 2, size), "float32", name="rows")
_, _, x_true, _ = ip.problem("denoise", size=size, image="rocket")
rng = np.random.default_rng(0)
b = A.apply(x_true) + 0.03 * rng.standard_normal(A.dimsd).astype("float32")
x_pinv, info = ip.pseudo_inverse(A, b, method="cgls")
x_tv, _ = ip.tv(A, b, lam=0.02, box=(0.0, 1.0), tol=tol)
record("own operator", x_true, x_pinv, smooth(A, b, 0.3), x_tv)

# %% Look: truth, A†b, Tikhonov and TV of each problem
ip.show(*images, titles=titles, path=OUT / "tutorial_09.png")

# %% The headline: on every problem TV is better than the analytical answer, by 10 dB where pixels are missing
assert gains["inpainting"] > 10 and gains["text removal"] > 5 and gains["salt and pepper"] > 8
assert min(gains.values()) > 0.3
