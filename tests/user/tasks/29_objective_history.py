"""The objective along the iterations, as numbers and as a picture.

MATLAB: plot(info.Rnrm)
"""

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
x, run = ip.tv(A, b, lam=0.2, nonneg=True, callbacks=[ip.callbacks.History(1)])
objective = run.history["objective"]
run.plot("history.png")

# %% and what came of them
assert objective[-1] < objective[0]
