"""Sparsity, by the 1-norm and FISTA.

MATLAB: [X, info] = IRell1(A, b, options)  or  IRfista(A, b, options)
"""

import numpy as np

import ipbox as ip

rng = np.random.default_rng(0)
A = rng.standard_normal((60, 120))
x_true = np.zeros(120)
x_true[rng.choice(120, 8, replace=False)] = rng.uniform(1, 2, 8)
b = A @ x_true + 0.01 * rng.standard_normal(60)

# %% now the five lines
problem = ip.Problem(ip.L2(A, b) + 0.1 * ip.L1())
run = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(500))
x = run.x

# %% and what came of them
assert np.linalg.norm(x - x_true) < 0.05 * np.linalg.norm(x_true)
