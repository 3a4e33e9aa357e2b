"""Choosing λ: every rule on tomography and on deblurring with total variation, and what each of them costs.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes smaller images.
"""

# %% Two problems, one question
# min ½‖Au - b‖² + λ TV(u): a small λ keeps the noise, a large one wipes out detail.  Which one?  The rules see the data
# only, and some of them the norm δ of the noise.  We also give them the truth, for the PSNR along the curve.
import math
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.choose import discrepancy, gcv, l_curve, quasi_optimality, sure, tv_weight, weighted_gcv
from ipbox.reconstruct.variational.minimise import VariationalFamily  # λ -> (u, info), warm-started

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
size = 48 if FAST else 128
problems = {
    "ct": ip.problem("ct", size=size, views=size // 2, noise=0.02),
    "blur": ip.problem("blur", size=size, sigma=1.5),
}

# %% One word is enough
# The discrepancy principle takes the λ with ‖Au - b‖ = δ: anything smaller would fit the noise.  The residual grows
# with λ, so a few steps of the secant method find it; each solve starts from the last one.
A, b, x_true, info = problems["ct"]
delta = math.hypot(info.noise_level, info.model_error)
x, run = ip.tv(A, b, "discrepancy", noise_level=delta, nonneg=True, niter=500)
choice = run.extra["choice"]
reached = float(np.linalg.norm(A.apply(x) - b)) / delta
print(f"λ = {choice.lam:.3g} after {choice.solves} solves: ‖Au - b‖ = {reached:.4f} δ, {ip.psnr(x, x_true):.2f} dB")
choice.plot(OUT / "tutorial_18_discrepancy.png")


# %% All rules
# L-curve: the corner of (‖Au - b‖, TV(u)), both on logarithmic scales.  GCV: how well the data predict each other.
# SURE: an unbiased estimate of ‖A(u - u_true)‖², from δ and the degrees of freedom.  GCV and SURE probe these by
# solving for perturbed data, so they need two solves for each λ.  Quasi-optimality: where the image changes least with
# λ.  Every rule works for any function λ -> (u, info).
def rules(A, b, x_true, delta):
    tv = VariationalFamily(ip.L2(A, b), ip.TV(A.dims), niter=40 if FAST else 500)
    common = dict(lam0=tv_weight(A, b, delta), x_true=x_true)
    if FAST:
        common |= dict(lams=tv_weight(A, b, delta) * np.geomspace(0.05, 20, 7))
    seek = {k: v for k, v in common.items() if k != "lams"}
    return {
        "discrepancy": discrepancy(tv, A, b, delta, inner_tol=1e-4, tol=1e-4, **seek),
        "sure": sure(tv, A, b, delta, **common),
        "gcv": gcv(tv, A, b, **common),
        "weighted_gcv": weighted_gcv(tv, A, b, **common),
        "l_curve": l_curve(tv, A, b, tv.R.value, **common),
        "quasi_optimality": quasi_optimality(tv, A, b, **common),
    }


lost, found = {}, {}
for name, (A, b, x_true, info) in problems.items():
    found[name] = rules(A, b, x_true, math.hypot(info.noise_level, info.model_error))
    best = max(c.curve["psnr"].max() for c in found[name].values())
    print(f"\n{name}: best λ {best:.2f} dB\n{'rule':18s}{'λ':>10s}{'PSNR':>8s}{'lost':>7s}{'solves':>8s}")
    for rule, c in found[name].items():
        value = ip.psnr(c.x, x_true)
        lost[name, rule] = best - value
        end = "  (no extremum inside the grid)" if c.at_end else ""
        print(f"{rule:18s}{c.lam:10.3g}{value:8.2f}{best - value:7.2f}{c.solves:8d}{end}")
    for rule in ("l_curve", "gcv", "sure", "quasi_optimality"):
        found[name][rule].plot(OUT / f"tutorial_18_{name}_{rule}.png")

# %% What they are worth
# SURE knows δ and measures what the data can tell: it is near the best.  GCV does nearly as well without δ where the
# noise is white.  The discrepancy principle is cheapest and takes a λ somewhat too large: the residual of the truth is
# δ, that of a good fit is smaller by its degrees of freedom.  The L-curve is a heuristic, quasi-optimality too, and it
# is not made for TV.
images = [p[2] for p in problems.values()][:1] + [c.x for c in found["ct"].values()]
titles = ["truth", *[f"{rule}: {ip.psnr(c.x, problems['ct'][2]):.1f} dB" for rule, c in found["ct"].items()]]
ip.show(*images, titles=titles, unit="1/mm", path=OUT / "tutorial_18.png")

# %% A matrix: what its singular values say
# Of a small matrix the singular value decomposition tells all.  The Picard plot shows how many coefficients of the data
# are above the noise; the truncated SVD keeps so many, and Tikhonov's λ cuts off smoothly at about the same place, here
# on a grid of weights of one's own.
M, g, f, about = ip.problem("shaw", noise=0.01)
ip.picard(M, g, about.noise_level).plot(OUT / "tutorial_18_picard.png")
f_tsvd, cut = ip.tsvd(M, g, "discrepancy", about.noise_level)
f_tik, smooth = ip.tikhonov(M, g, "gcv", lams=np.geomspace(1e-6, 1, 25))
print(f"\nshaw: TSVD with k = {cut.parameters['k']}: error {ip.nrmse(f_tsvd, f):.3f}", end="; ")
print(f"Tikhonov with λ = {smooth.extra['lam']:.2g} by GCV: {ip.nrmse(f_tik, f):.3f}")
assert ip.nrmse(f_tsvd, f) < 0.2 and ip.nrmse(f_tik, f) < 0.2
assert len(smooth.extra["choice"].curve["lam"]) == 25

# %% The headlines
assert abs(reached - 1) < 0.01 and choice.solves <= 12
assert lost["ct", "sure"] < 0.5 and lost["blur", "sure"] < 0.5
assert lost["ct", "gcv"] < 0.5
assert found["ct"]["discrepancy"].lam > found["ct"]["sure"].lam
