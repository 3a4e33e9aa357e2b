"""A regulariser of your own, given by its value and its prox.

MATLAB: (a loop of your own)
"""

import numpy as np

import ipbox as ip

A, b, x_true, info = ip.problem("blur", size=64, noise=0.01, seed=0)

# %% now the five lines
R = ip.functional(lambda x: 0.5 * np.sum(x**2), prox=lambda x, tau: x / (1 + tau))
x, run = ip.variational(A, b, R, lam=0.01)

# %% and what came of them
assert ip.psnr(x, x_true) > ip.psnr(b, x_true)
