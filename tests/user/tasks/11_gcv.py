"""Tikhonov's weight by generalised cross-validation.

MATLAB: options.RegParam = 'gcv'; [X, info] = IRhybrid_lsqr(A, b, options)  or  gcv(U, s, b)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=24, views=30, noise=0.02, seed=0)

# %% now the five lines
x, run = ip.tikhonov(A, b, lam="gcv")
print(run.extra["lam"])

# %% and what came of them
assert ip.psnr(x, x_true) > 20
