"""A forward model given by two functions.

MATLAB: A = @(x, flag) ...; [X, info] = IRcgls(A, b, options)
"""

import numpy as np
import scipy.ndimage

import ipbox as ip

x_true = np.zeros((48, 48))
x_true[12:30, 16:40] = 1


def blur(x):
    return scipy.ndimage.gaussian_filter(x, 2, mode="wrap")


b = blur(x_true) + 0.01 * np.random.default_rng(0).standard_normal((48, 48))

# %% now the five lines
A = ip.operator(blur, blur, (48, 48), (48, 48))
x, run = ip.tv(A, b, lam=0.01, nonneg=True)

# %% and what came of them
assert ip.psnr(x, x_true) > ip.psnr(b, x_true) + 3
