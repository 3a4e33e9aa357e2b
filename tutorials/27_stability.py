"""How stable is a reconstruction?  Worst-case perturbations, inserted details and more samples.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` searches less.
"""

# %% The question
# A network that is best on average may still turn a tiny error of the data into a large one of the image.  For a
# reconstruction map Φ and data b one asks for the perturbation e of a given norm δ that does most harm,
#
#     max_{‖e‖ = δ} ½‖Φ(b + e) - u‖²,
#
# by gradient ascent: J* of a network comes from autograd, J* of a variational method from its optimality condition.
# Each map is attacked by its own worst perturbation, and tried under those of the others.
import os
from pathlib import Path

import numpy as np

import ipbox as ip
from ipbox.evaluate import Variational, more_samples, recovered_contrast, stability_table
from ipbox.learned import LearnedMap, pretrained

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

A, _, x, info = ip.problem("ct", size=128, views=40, noise=0.01, slice=23, seed=23)
b = A.apply(x)  # without noise: only e is wrong
delta = info.noise_level  # the norm of 1 % noise

# %% Four maps
# The two networks after filtered back-projection differ in one thing: one saw noise while it was trained.  TV is
# attacked through smoothed TV, whose solution can be differentiated, and evaluated itself.  Data without noise, letters
# in a chest and other views are not what the networks were trained on, which is what this is about: ``domain = None``
# has the maps not say so (the last cell but one of tutorial 24 lets them).
LAM = 0.31


def shipped(name: str, A: ip.RayTransform) -> LearnedMap:
    net = pretrained(name, A)
    net.domain = None
    return net


R = LAM * ip.SmoothedTV(tuple(A.dims), eps=4e-4)
smooth = Variational(A, R, tol=1e-2 if FAST else 1e-4, niter=25 if FAST else 1000, nonneg=True)
networks = {
    "no noise in training": shipped("post_processing_ct_noiseless", A),
    "noise in training": shipped("post_processing_ct", A),
    "unrolled": shipped("unrolled_ct", A),
}


def tv(b: np.ndarray) -> np.ndarray:
    return ip.tv(A, b, LAM, nonneg=True, tol=1e-2 if FAST else 1e-4, niter=3000)[0]


attack = dict(niter=2, restarts=1) if FAST else dict(niter=40, restarts=2)
found = stability_table({"TV": smooth, **networks}, b, x, delta, evaluate={"TV": tv}, **attack)
print(found.table())
lost = {name: found.loss(name) for name in found.names}
for name, value in lost.items():
    print(f"{name:22} error {found.clean[found.names.index(name)]:.4f}, grows by {value:.4f}")

# %% What it looks like
images, titles = [], []
for i, name in enumerate(found.names):
    p = found.perturbations[name]
    images += [tv(b), tv(b + p.e)] if name == "TV" else [p.x, p.x_perturbed]
    titles += [name, f"its worst case ({found.errors[i, i] / np.linalg.norm(x):.2f})"]
ip.show(*images, titles=titles, path=OUT / "tutorial_27.png", vmin=0, vmax=0.03, unit="1/mm")

# %% An inserted detail
# Letters that no training image had, a fifth of the image's range.  The number is the share of their contrast that is
# seen: 1 in full, 0 not at all.
letters = np.zeros_like(x)
letters[58:70, 40:42] = letters[58:70, 45:47] = letters[58:65, 49:51] = 0.008
letters[58:60, 45:51] = letters[63:65, 45:51] = 0.008
contrast = {"TV": recovered_contrast(tv, A, x, letters)}
contrast |= {
    n: recovered_contrast(lambda b, net=net: net.reconstruct(b)[0], A, x, letters) for n, net in networks.items()
}
for name, value in contrast.items():
    print(f"{name:22} contrast of the letters {value:.2f}")

# %% More samples
# A network trained for 40 views is given more of them, which should not hurt: its parameters do not depend on A.
views = (40, 80) if FAST else (20, 40, 60, 80, 120)
problems = [ip.problem("ct", size=128, views=n, noise=0.01, slice=23, seed=23) for n in views]
for name in ("post_processing_ct", "unrolled_ct"):
    curve = more_samples(lambda A, b, name=name: shipped(name, A).reconstruct(b), problems)
    print(f"{name:22}", ", ".join(f"{n} views: {p:.2f} dB" for n, (_, p) in zip(views, curve, strict=True)))

# %% The headline
# The network without noise in training loses most under its own worst perturbation, and several times more than TV does
# under the same one.  But TV has a worst perturbation, too: `python -m tests.bench.learned stability` prints how the
# two compare over several slices.
i, j = found.names.index("TV"), found.names.index("no noise in training")
same = found.errors[i, j] - found.clean[i]
most = lost["no noise in training"]
print(f"no noise in training: {most / lost['TV']:.1f} times what TV loses under its own worst case,")
print(f"{most / same:.1f} times what TV loses under the same perturbation")
assert most > lost["noise in training"] and most > 3 * same
assert FAST or most > 1.5 * lost["TV"]
assert contrast["TV"] > 0.5
