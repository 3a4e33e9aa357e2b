"""Results in files.

MATLAB: save x.mat x; imwrite(x, 'x.png'); dicomwrite(x, 'x.dcm')
"""

import numpy as np

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)
x, run = ip.fbp(A, b)

# %% now the five lines
ip.save(x, "x.npy")
ip.save(x, "x.tif")
ip.save(x, "x.png", window="range")

# %% and what came of them
assert np.array_equal(np.load("x.npy"), x)
assert np.array_equal(ip.read_image("x.tif")[0], x)
