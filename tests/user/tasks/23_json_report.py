"""What ran, and how it went, as JSON.

MATLAB: fprintf(fid, jsonencode(info))
"""

import json
from pathlib import Path

import ipbox as ip

A, b, x_true, info = ip.problem("ct", size=64, views=45, noise=0.02, seed=0)

# %% now the five lines
x, run = ip.cgls(A, b, noise_level=info.noise_level, x_true=x_true)
Path("run.json").write_text(json.dumps(run.report()))

# %% and what came of them
assert json.loads(Path("run.json").read_text())["stop"] == "discrepancy"
