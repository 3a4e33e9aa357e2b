"""An iteration that begins at an image, here where another ended.

MATLAB: options.x0 = x0; [X, info] = IRcgls(A, b, options)
"""

import numpy as np

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
x0, run = ip.sirt(A, b, niter=10)
x, run = ip.sirt(A, b, niter=10, x0=x0)

# %% and what came of them
assert np.allclose(x, ip.sirt(A, b, niter=20)[0], atol=1e-6)
