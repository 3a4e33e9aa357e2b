#!/usr/bin/env bash
# The same solve twice with PyProximal 0.13.0: its operators keep what a call leaves.  L2 with an operator whose matrix is
# not known starts the inner iteration of its prox where the last call ended, in whatever solve that was, so that the
# second of two identical calls of ProximalGradient gives another image than the first.  A prox is a function; a good
# engineer would have expected its second value at a point to be the first, and a warm start to be the solver's.
# Beside it: Huber's prox jumps at |x| = alpha, where that of a convex function is continuous and never expands, and the
# value of f.H, whose prox is that of the conjugate f*, is f's.
#
# Seen: pyproximal 0.13.0, pylops 2.8.0, numpy 2.4.6, scipy 1.17.1, Python 3.11.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --only-binary=:all: \
    pyproximal==0.13.0 pylops==2.8.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'P'
import numpy as np
import pylops
import pyproximal
from pyproximal.optimization.primal import ProximalGradient

rng = np.random.default_rng(0)
A, b, c = rng.standard_normal((30, 40)), rng.standard_normal(30), rng.standard_normal(40)
K = pylops.FunctionOperator(lambda x: A @ x, lambda y: A.T @ y, 30, 40, dtype=np.float64)
f = pyproximal.L2(K, b)
p, again = f.prox(c, 1.0), f.prox(c, 1.0)
first, second = (ProximalGradient(pyproximal.L2(b=c), f, np.zeros(40), tau=0.5, niter=10) for _ in range(2))
print("two values of one prox at one point differ by", np.linalg.norm(p - again) / np.linalg.norm(p))
print("two identical solves differ by", np.linalg.norm(first - second) / np.linalg.norm(first))
assert np.linalg.norm(p - again) > 1e-3 * np.linalg.norm(p), "the prox has no memory now"
assert np.linalg.norm(first - second) > 1e-3 * np.linalg.norm(first), "the solves agree now"

huber, x = pyproximal.Huber(0.5), np.array([0.5, 0.5 + 1e-9])
below, above = huber.prox(x, 1.0)
print("Huber's prox at two points 1e-9 apart:", below, above)
assert abs(below - above) > 0.1, "it is continuous now"

conjugate = pyproximal.L1(1.0).H  # f*(2) = inf, the indicator of |x| <= 1; its prox projects
print("f*(2) =", conjugate(np.array([2.0])), " prox of f* at 2 =", conjugate.prox(np.array([2.0]), 1.0))
assert conjugate(np.array([2.0])) == 2.0 and conjugate.prox(np.array([2.0]), 1.0) == 1.0, "it has its own value now"
P
echo "as found: a prox with a memory, one that jumps, and a conjugate with its function's value"
