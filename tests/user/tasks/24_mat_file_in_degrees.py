"""A sinogram in a .mat file, its angles in degrees, from the command line.

MATLAB: load scan.mat; x = iradon(sinogram, 0:2:178)
"""

import subprocess
import sys

import numpy as np
import scipy.io

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=90, noise=0.01, seed=0)
scipy.io.savemat("scan.mat", {"sinogram": b})

# %% now the five lines
command = "ipbox reconstruct scan.mat --angles 0:180:90 --degrees --method fbp --out x.npy"
subprocess.run([sys.executable, "-m", *command.split()], check=True)

# %% and what came of them
assert np.load("x.npy").shape[0] >= 64
