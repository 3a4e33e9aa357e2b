"""The weight by the discrepancy principle.

MATLAB: options.RegParam = 'discrep'; options.NoiseLevel = 0.02; [X, info] = IRhybrid_lsqr(A, b, options)
"""

import numpy as np

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
delta = 0.02 * np.linalg.norm(b)
x, run = ip.tikhonov(A, b, lam="discrepancy", noise_level=delta)

# %% and what came of them
assert abs(np.linalg.norm(A @ x - b) / delta - 1) < 0.1
