#!/usr/bin/env bash
# ODL's as_scipy_operator (odl 1.0.0) hands SciPy the operator's ODL adjoint as rmatvec.  ODL's adjoint is that of inner
# products with weights, such as h² Σ u v of images on a grid with cells of size h²; SciPy's rmatvec is that of Σ u v.
# Where the weights of domain and range differ (ray transforms, sampling, anything from a grid to readings) they differ
# by the quotient of the weights, and nothing says so.  SciPy's solvers run, and end somewhere: for two consistent
# equations in 256 unknowns, which LSQR and LSMR solve in one step with rmatvec times w_X / w_Y, both give up after the 50
# steps allowed, with 95 % of b left over.  A good engineer
# would have expected a wrapper for scipy.sparse.linalg to keep SciPy's convention, or to refuse such spaces, as it
# refuses dtypes that differ.
#
# Seen: odl 1.0.0, scipy 1.17.1, numpy 2.4.6, Python 3.11, Linux.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check odl==1.0.0 'numpy<2.5' scipy
"$folder/venv/bin/python" -W ignore - <<'P'
import importlib.metadata as metadata

import numpy as np
import odl
import scipy.sparse.linalg as spla

print("odl", metadata.version("odl"), "scipy", metadata.version("scipy"))
X = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float64")  # cells of 1/64
T = odl.SamplingOperator(X, [[0, 3], [1, 5]], variant="point_eval")  # the image at (0, 1) and (3, 5)
rng = np.random.default_rng(0)
u, v = rng.standard_normal(256), rng.standard_normal(2)

x, y = X.element(u.reshape(16, 16)), T.range.element(v)
assert np.isclose(T(x).inner(y), x.inner(T.adjoint(y)))  # in ODL's own inner products all is well

S = odl.as_scipy_operator(T)
quotient = np.vdot(u, S.rmatvec(v)) / np.vdot(S.matvec(u), v)
print(f"<u, rmatvec(v)> / <matvec(u), v> = {quotient:g}; expected 1")

b = np.array([2.0, -1.0])
right = spla.LinearOperator(
    S.shape, matvec=S.matvec, rmatvec=lambda v: X.weighting.const * S.rmatvec(v), dtype="float64"
)
left = {}
for name, op in (("as_scipy_operator", S), ("times the weights", right)):
    for solver, limit in ((spla.lsqr, {"iter_lim": 50}), (spla.lsmr, {"maxiter": 50})):
        found = solver(op, b, **limit)
        left[name, solver.__name__] = np.linalg.norm(S.matvec(found[0]) - b) / np.linalg.norm(b)
        print(f"{name:18} {solver.__name__}: reason {found[1]}, {found[2]:3d} steps, ‖Tx - b‖ / ‖b‖ = "
              f"{left[name, solver.__name__]:.1e}")
assert left["times the weights", "lsqr"] < 1e-10 and left["times the weights", "lsmr"] < 1e-10
assert np.isclose(quotient, 64) and left["as_scipy_operator", "lsqr"] > 0.5, "mended"
print("seen: rmatvec is not the adjoint of matvec, and LSQR does not solve a consistent system")
P
