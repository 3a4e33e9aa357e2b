"""Landweber's iteration with a non-negative solution.

MATLAB: options.lbound = 0; [X, info] = landweber(A, b, 50, [], options)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
x, run = ip.landweber(A, b, niter=100, nonneg=True)

# %% and what came of them
assert x.min() >= 0
assert ip.psnr(x, x_true) > 24
