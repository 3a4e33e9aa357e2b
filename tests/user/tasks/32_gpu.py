"""On the GPU, or a sentence on what is missing.

MATLAB: b = gpuArray(b)
"""

import ipbox as ip

# %% now the five lines
try:
    A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, xp="cupy")
except Exception as error:
    print(error)
    A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02)

# %% and what came of them
assert b.shape[0] == 45
