"""A sparse matrix of your own, with total variation.

MATLAB: [X, info] = IRhtv(A, b, options)  % A a sparse matrix
"""

import numpy as np
import scipy.sparse

import ipbox as ip

rng = np.random.default_rng(0)
A = scipy.sparse.random(300, 16 * 16, density=0.05, rng=rng, format="csr")
x_true = np.zeros((16, 16))
x_true[4:10, 5:12] = 1
b = A @ x_true.ravel() + 0.01 * rng.standard_normal(300)

# %% now the five lines
x, run = ip.tv(A, b, lam=0.2, shape=(16, 16))

# %% and what came of them
assert x.shape == (16, 16)
assert ip.psnr(x, x_true) > 25
