#!/usr/bin/env bash
# Least squares in small units with PyLops 2.8.0: cg and cgls stop where the squared residual, of the normal equations for
# cgls, is below tol = 1e-4, in the units of the data.  Data of 1e-3 give zero, or an image 45 % off, and istop = 1,
# "converged"; the same data times 1000 give 13 digits.  A good engineer would have expected a tolerance relative to the
# right-hand side, as SciPy's cg has it, and the same digits in metres and in millimetres.
#
# Seen: pylops 2.8.0, numpy 2.4.6, scipy 1.17.1, Python 3.11.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --only-binary=:all: \
    pylops==2.8.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'P'
import numpy as np
import pylops

A = np.random.default_rng(0).standard_normal((9, 6))
D = pylops.MatrixMult(np.diag(np.arange(1.0, 7.0)))
for unit in (1.0, 1e-3):
    x, istop, steps, *_ = pylops.cgls(pylops.MatrixMult(A), unit * (A @ np.ones(6)), np.zeros(6), niter=50)
    off = np.linalg.norm(x / unit - 1) / np.sqrt(6)
    zero = pylops.cg(D, unit * np.arange(1.0, 7.0), np.zeros(6), niter=50)[0]
    print(f"data in units of {unit}: cgls is {off:.1e} off after {steps} steps, istop = {istop}; cg gives {zero / unit}")
assert off > 0.1 and istop == 1, "the tolerance of cgls is relative now"
assert np.abs(zero / unit - 1).max() > 0.1, "the tolerance of cg is relative now"
P
echo "as found: a tolerance in units of the data"
