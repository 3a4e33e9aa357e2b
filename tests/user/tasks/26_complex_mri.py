"""A complex image from k-space under a mask of your own.

MATLAB: A = opFFT with opMask; b = mask .* fft2(x)
"""

import numpy as np

import ipbox as ip

rng = np.random.default_rng(0)
yy, xx = np.mgrid[-1:1:64j, -1:1:64j]
x_true = (xx**2 + yy**2 < 0.6) * np.exp(1j * (xx + yy))
mask = rng.random((64, 64)) < 0.4
mask[28:36, 28:36] = True
k = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x_true), norm="ortho"))

# %% now the five lines
A = ip.CartesianMRI(mask)
b = (mask * k).astype("complex64")
x, run = ip.tv(A, b, lam=0.01)

# %% and what came of them
assert x.dtype == np.complex64
assert np.linalg.norm(x - x_true) < 0.1 * np.linalg.norm(x_true)
