"""The field's story on one problem: analytical, variational and iterative methods, nothing set by hand.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image.
"""

# %% One problem, known noise level, unknown truth
# What `python -m ipbox compare ct` does, step by step.  The measurement process tells the noise level δ; every method
# below takes its weight λ or its stopping index from δ alone.  The truth is only looked at for the table.
import math
import os
from pathlib import Path

import ipbox as ip

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size, views, niter = (64, 30, 200) if FAST else (256, 60, 1000)


def posed(noise: float) -> tuple:
    """The problem at a noise level, and the methods that know this level."""
    problem = ip.problem("ct", size=size, views=views, noise=noise, seed=0, slice=2)
    delta = math.hypot(problem[3].noise_level, problem[3].model_error)
    rule = {"lam": "discrepancy", "noise_level": delta, "tol": 1e-3}
    methods = {
        # analytical: one formula, made for full data
        "fbp": lambda A, b: ip.fbp(A, b, "hann"),
        # variational: a model of the image, many iterations
        "tikhonov": lambda A, b: ip.tikhonov(A, b, **rule),
        "tv": lambda A, b: ip.tv(A, b, nonneg=True, niter=niter, **rule),
        # iterative: few iterations towards the data, stopped before the noise is fitted
        "landweber": lambda A, b: ip.landweber(A, b, delta),
        "cgls": lambda A, b: ip.cgls(A, b, delta),
        "hybrid lsqr": ip.hybrid_lsqr,
    }
    return problem, methods


# %% The table
# "A and A*" counts the applications of the operator, the cost that does not depend on the machine.  "dB lost" is how
# much the PSNR falls when the noise doubles (everything is chosen anew): the sensitivity to the noise level.
problem, methods = posed(0.01)
result = ip.compare(problem, methods, noisier=posed(0.02), progress=not FAST)
print(result.table())
result.show(OUT / "tutorial_19.png")

# %% What it says
# The analytical method is the fastest by far, the variational one the best by far and the slowest; early stopping is in
# between in both.  Tikhonov and the stopped iterations end near each other: both filter the singular values, none of
# them knows what an image looks like.
rows = {row.method: row for row in result.rows}
assert rows["fbp"].seconds < rows["tv"].seconds  # the others are too near to it on a machine that does much else
assert rows["tv"].psnr > max(row.psnr for row in result.rows if row.method != "tv") + (0.3 if FAST else 1.0)
assert rows["cgls"].applications < rows["landweber"].applications < rows["tv"].applications
assert abs(rows["tikhonov"].psnr - rows["cgls"].psnr) < 1.5

# %% λ, seen
# Each rule returns its curve: here the discrepancy principle's, a few warm-started solves by the secant method.
choice = result.infos["tv"].extra["choice"]
print(f"λ = {choice.lam:.3g} after {choice.solves} solves")
choice.plot(OUT / "tutorial_19_lambda.png")
assert choice.solves <= 12
