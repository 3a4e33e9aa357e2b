"""A forward model of PyLops'.

MATLAB: A = opGaussian(...)  (Spot)
"""

import numpy as np
import pylops

import ipbox as ip

x_true = np.zeros((48, 48))
x_true[12:30, 16:40] = 1
kernel = np.ones((5, 5)) / 25
A = pylops.signalprocessing.Convolve2D((48, 48), kernel, offset=(2, 2))
b = A @ x_true + 0.01 * np.random.default_rng(0).standard_normal((48, 48))

# %% now the five lines
x, run = ip.tv(A, b, lam=0.01, nonneg=True)

# %% and what came of them
assert ip.psnr(x, x_true) > ip.psnr(b, x_true) + 3
