"""Several methods on data of your own, with one table and one picture.

MATLAB: (a script of your own)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
methods = {"fbp": ip.fbp, "cgls": ip.cgls, "tv": lambda A, b: ip.tv(A, b, lam=0.2, nonneg=True)}
result = ip.compare((A, b), methods)
print(result.table())
result.show(path="compare.png")

# %% and what came of them
assert ip.psnr(result.images["tv"], x_true) > 27
