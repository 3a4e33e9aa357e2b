"""A function called after each iteration, which may end the run.

MATLAB: (in none of the toolboxes; in Optimization Toolbox, 'OutputFcn')
"""

import numpy as np

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)


# %% now the five lines
def small(run):
    return np.linalg.norm(A @ run.x - b) < info.noise_level


x, run = ip.cgls(A, b, niter=50, callbacks=[small])

# %% and what came of them
assert run.niter < 50
