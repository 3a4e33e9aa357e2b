"""Second-order total generalised variation.

MATLAB: (in none of the toolboxes)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("denoise", size=64, noise=0.1, seed=0)

# %% now the five lines
x, run = ip.tgv(A, b, lam="discrepancy", noise_level=info.noise_level)

# %% and what came of them
assert ip.psnr(x, x_true) > ip.psnr(b, x_true) + 3
