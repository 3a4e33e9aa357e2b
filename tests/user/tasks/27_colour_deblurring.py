"""A blurred colour image.

MATLAB: x = deconvwnr(b, psf)  or  [A, b] = PRblur
"""

import numpy as np

import ipbox as ip

yy, xx = np.mgrid[-1:1:32j, -1:1:32j]
x_true = np.stack([xx**2 + yy**2 < 0.6, xx > yy, abs(xx) < 0.3], axis=0).astype("float32")
noise = 0.01 * np.random.default_rng(0).standard_normal(x_true.shape, "float32")

# %% now the five lines
A = ip.GaussianBlur((32, 32), sigma=1)
b = A.apply(x_true) + noise
x, run = ip.tv(A, b, lam=0.01, box=(0, 1))
ip.show(x_true, b, x, path="colour.png")

# %% and what came of them
assert ip.psnr(x, x_true) > ip.psnr(b, x_true) + 3
