"""Kaczmarz' method (ART), stopped by the noise level.

MATLAB: options.stoprule.type = 'DP'; options.stoprule.taudelta = delta; [X, info] = kaczmarz(A, b, 50, [], options)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
x, run = ip.kaczmarz(A, b, niter=50, noise_level=info.noise_level, nonneg=True)
print(run.stop, run.niter)

# %% and what came of them
assert run.stop == "discrepancy"
assert ip.psnr(x, x_true) > 24
