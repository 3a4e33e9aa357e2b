"""Several slices at once.

MATLAB: for k = 1:K, X(:, k) = IRcgls(A, B(:, k)); end
"""

import numpy as np

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=32, views=30, noise=0.02, seed=0)
b = np.stack([b, 2 * b, 3 * b])

# %% now the five lines
x, run = ip.tv(A, b, lam=0.2, nonneg=True)

# %% and what came of them
assert x.shape == (3, 32, 32)
