"""The same noise twice.

MATLAB: rng(0); [A, b, x, info] = PRtomo(n); bn = PRnoise(b)
"""

import numpy as np

import ipbox as ip

# %% now the five lines
A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=3)
_, again, _, _ = ip.problem("ct", size=64, views=45, noise=0.02, seed=3)
_, other, _, _ = ip.problem("ct", size=64, views=45, noise=0.02, seed=4)

# %% and what came of them
assert np.array_equal(b, again)
assert not np.array_equal(b, other)
