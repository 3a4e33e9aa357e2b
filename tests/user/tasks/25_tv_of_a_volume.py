"""3-D total variation of a stack of slices.

MATLAB: (slice by slice; in 3-D, in TVReg)
"""

import numpy as np

import ipbox as ip

x_true = np.zeros((6, 24, 24))
x_true[1:5, 6:15, 8:18] = 1
A = ip.RayTransform((24, 24), np.linspace(0, np.pi, 30, endpoint=False), dtype="float64")
b = np.stack([A @ x for x in x_true])
b += 0.3 * np.random.default_rng(0).standard_normal(b.shape)

# %% now the five lines
volume = ip.operator(A.apply, A.apply_adjoint, x_true.shape, b.shape, norm=A.norm())
x, run = ip.tv(volume, b, lam=0.5, nonneg=True)

# %% and what came of them
assert ip.psnr(x, x_true) > 25
