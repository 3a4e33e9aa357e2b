"""Total variation with values between bounds.

MATLAB: [X, info] = IRhtv(A, b, options)  (bounds: IRconstr_ls)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
x, run = ip.tv(A, b, lam=0.2, box=(0, 0.05))

# %% and what came of them
assert x.min() >= 0
assert x.max() <= 0.05
assert ip.psnr(x, x_true) > 27
