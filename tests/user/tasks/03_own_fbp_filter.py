"""Filtered backprojection with a filter of your own.

MATLAB: x = fbp(A, b, theta, 'hann')  or  iradon(b, theta, filter)
"""

import numpy as np

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=90, noise=0.05, seed=0)

# %% now the five lines
x, _ = ip.fbp(A, b, filter=lambda f: np.exp(-4 * f**2), cutoff=0.8)

# %% and what came of them
assert ip.psnr(x, x_true) > ip.psnr(ip.fbp(A, b)[0], x_true)
