"""The L-curve, with its picture.

MATLAB: [reg_corner, rho, eta] = l_curve(U, s, b)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("shaw", noise=0.001, seed=0)

# %% now the five lines
x, run = ip.tikhonov(A, b, lam="l_curve")
run.extra["choice"].plot("l_curve.png")
print(run.extra["lam"])

# %% and what came of them
assert ip.nrmse(x, x_true) < 0.2, ip.nrmse(x, x_true)
