"""CGLS, with the error of every iterate.

MATLAB: options = IRset('x_true', x); [X, info] = IRcgls(A, b, 1:30, options); plot(info.Enrm)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
x, run = ip.cgls(A, b, niter=30, x_true=x_true)
run.plot("history.png")
errors = run.history["nrmse"]

# %% and what came of them
assert len(errors) >= 30
assert errors.min() < 0.2
