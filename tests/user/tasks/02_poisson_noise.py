"""Poisson noise: photon counts behind the object.

MATLAB: b = PRnoise(b, 'poisson')  or  poissrnd(b)
"""

import ipbox as ip

# %% now the five lines
A, b, x_true, info = ip.problem("ct", size=64, views=60, photons=1e4, seed=0)
x, _ = ip.tv(A, b, lam="discrepancy", noise_level=info.noise_level, nonneg=True)

# %% and what came of them
assert ip.psnr(x, x_true) > 25
