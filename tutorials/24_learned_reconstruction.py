"""Reconstruction maps that are learned: post-processing and unrolled iterations, and how to train one of your own.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` trains for fewer steps.
"""

# %% The problem: chest CT from 40 views
# The maps below were trained on another patient, whose pixels are narrower.  This does not matter: a map takes its A
# from the problem at hand, and only the networks inside are learned.
import os
import warnings
from pathlib import Path

import numpy as np
import torch

import ipbox as ip
from ipbox.evaluate import OutsideDomain
from ipbox.learned import LearnedProximalGradient, fit, losses, pretrained, to_torch
from ipbox.problems.truths import datasets

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

A, b, x_true, info = ip.problem("ct", size=128, views=40, noise=0.01, slice=38, seed=38)

# %% Four ways
# Filtered back-projection A†b and TV know nothing of chests.  Post-processing corrects A†b by a network, once:
#
#     Φ(b) = N(A†b).
#
# The unrolled method is the proximal gradient method with a network in place of the proximal map, for six iterations:
#
#     u^{k+1} = N^k(u^k, s^k, P∇E(u^k)),   E(u) = ½‖Au - b‖²,
#
# so the data are seen again and again, through A.  P, the ramp filter, makes A*A nearly the identity: without it, six
# gradient steps get nowhere.  s^k are channels that N^k keeps for itself.
post, unrolled = pretrained("post_processing_ct", A), pretrained("unrolled_ct", A)
methods = {
    "FBP": lambda A, b: ip.fbp(A, b, "hann"),
    "TV": lambda A, b: ip.tv(A, b, 0.25, nonneg=True),
    "post-processing": post.as_method(),
    "unrolled": unrolled.as_method(),
}
result = ip.compare((A, b, x_true, info), methods)
print(result.table())
result.show(OUT / "tutorial_24.png", vmax=0.8 * float(x_true.max()))

# %% Does it fit the data?
# Nothing in training asked for Φ(b) to explain b.  The residual ‖AΦ(b) - b‖ should be of the size of the noise and of
# what A, which is not the projector that made the data, gets wrong.
level = np.hypot(info.noise_level, info.model_error) / np.linalg.norm(b)
print(f"noise and model error together: {level:.4f} of the data")

# %% The iterates
# Each network takes its iterate where the next one is good with it.
with torch.no_grad():
    iterates = [u[0].numpy() for u in unrolled.iterates(to_torch(b[None]))]
quality = [ip.psnr(u, x_true) for u in iterates]
print("PSNR of u⁰, u¹, ...:", " ".join(f"{q:.1f}" for q in quality))
titles = [f"u{k}: {q:.1f} dB" for k, q in enumerate(quality)]
window = dict(vmin=0, vmax=0.8 * float(x_true.max()), unit=info.unit)
ip.show(*iterates, titles=titles, path=OUT / "tutorial_24_iterates.png", **window)

# %% Off their ground
# Maps that were trained on chests have learned what chests look like.  A zoomed field of view around the spine is
# something else: more bone than they have ever seen, no lung, narrow pixels.  They draw it all the same, and it looks
# like anatomy.  A shipped map states its domain, the statistics of slices held out from training, and compares: of the
# geometry, of the noise, of A†b, and of how well Φ(b) fits b.  It warns once of each that is off.  What is off need not
# be wrong, nor what is on it right: the check knows of the distance from training, not of the error.
print(unrolled.domain.words)
fine, width = datasets.lung_slice(2)  # 512 x 512
zoomed = datasets.area_average(fine[256:512, 128:384], (128, 128)).astype("float32")
zoomed *= datasets.field_of_view(zoomed.shape)
Z = ip.RayTransform((128, 128), A.angles, pixel_size=2 * width, dtype="float32")
z = Z.apply(zoomed)
z += 0.01 * np.sqrt((z**2).mean()) * np.random.default_rng(0).standard_normal(z.shape).astype("float32")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always", OutsideDomain)
    on_ground = unrolled.reconstruct(b)[1].parameters["domain"][0]
    assert not told
    x_zoomed, run = unrolled.with_operator(Z).reconstruct(z)
off_ground = run.parameters["domain"][0]
print(told[-1].message)
scores = [f"{found.score:.1f} standard deviations, off: {', '.join(found.off) or 'nothing'}"
          for found in (on_ground, off_ground)]  # fmt: skip
x_tv = ip.tv(Z, z, 0.08, nonneg=True)[0]
titles = [f"chest: {scores[0]}", f"unrolled: {ip.psnr(x_zoomed, zoomed):.1f} dB", f"TV: {ip.psnr(x_tv, zoomed):.1f} dB"]
print("zoomed:", scores[1], "|", *titles[1:])
ip.show(unrolled.reconstruct(b)[0], x_zoomed, x_tv, zoomed, titles=[*titles, "zoomed: truth"],
        unit=info.unit, path=OUT / "tutorial_24_domain.png")  # fmt: skip
assert on_ground.inside and not off_ground.inside and "pixel size" in off_ground.off

# %% One of your own
# A map is a torch module: tensors of shape (N,) + A.dimsd go in, (N,) + A.dims come out, and derivatives pass through
# A.  `fit` trains it, with a function that draws pairs.  Here for images of 64 x 64 from 20 views, with noise that is
# new each time, for less than a minute; the weights above took a quarter of an hour.
size, steps = 64, 60 if FAST else 400
pairs = [ip.problem("ct", size=size, views=20, noise=0.0, slice=k, patient="train") for k in range(0, 48, 4)]
B = pairs[0][0]
images, clean = (to_torch(np.stack([pair[i] for pair in pairs])) for i in (2, 1))


def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Four pairs with 1 % noise."""
    k = torch.randint(len(images), (4,), generator=generator)
    noise = torch.randn(clean[k].shape, generator=generator)
    return clean[k] + 0.01 * clean[k].square().mean(dim=(1, 2), keepdim=True).sqrt() * noise, images[k]


def loss(model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
    """Mean square error of the images, in units of 0.04/mm."""
    return ((model(batch[0]) - batch[1]) / 0.04).square().mean()


torch.manual_seed(0)
own = LearnedProximalGradient(B, niter=4, width=16, memory=2, inputs="gradient", filter="ramp", scale=0.04)
history = fit(own, loss, batch, steps=steps, lr=3e-3, clip=1.0).history
print("loss:", " ".join(f"{row['loss']:.5f}" for row in history))

# %% And on the patient it has not seen
test = [ip.problem("ct", size=size, views=20, noise=0.01, slice=k, seed=k) for k in (8, 23, 38, 53)]
mine, method = [], own.as_method()
for C, data, x, _ in test:
    mine.append([ip.psnr(u, x) for u in (ip.fbp(C, data, "hann")[0], method(C, data)[0])])
fbp, learned = np.mean(mine, axis=0)
print(f"four slices of 64 x 64: FBP {fbp:.2f} dB, after {steps} steps of training {learned:.2f} dB")

# %% Scans with an operator each
# Patients' scans differ in masks, sensitivities and numbers of coils.  `losses.PerOperator` takes the operator of each
# sample, and `with_operator` reconstructs from eight coils what was learned from four to seven, on another patient.
scans = [ip.problem("mri", size=48, coils=n, seed=n, slice=n, patient="train")[:3] for n in (4, 5, 6, 7)]
M, c, brain, _ = ip.problem("mri", size=48, coils=8, seed=8)
torch.manual_seed(0)
settings = dict(niter=5, width=16, memory=2, inputs="gradient", scale=float(abs(scans[0][2]).max()))
mri = LearnedProximalGradient(scans[0][0], **settings)
samples = [(torch.tensor(i), k, x) for i, (_, k, x) in enumerate(scans)]
each = losses.PerOperator(losses.Supervised(), [F for F, _, _ in scans])
fit(mri, each, samples, steps=60 if FAST else 400, batch_size=1, lr=3e-3)
found = {
    "zero-filled": ip.zero_filled(M, c)[0],
    "SENSE": ip.sense(M, c)[0],
    "learned": mri.with_operator(M).reconstruct(c)[0],
}
heads = {name: ip.psnr(x, brain) for name, x in found.items()}
print(f"{len(c)} coils:", ", ".join(f"{name} {value:.2f} dB" for name, value in heads.items()))

# %% The one that is shipped
# ``unrolled_mri`` was trained so, longer and for 256 x 256 pixels: 6 to 12 coils, a mask for each sample, 1 % noise.
# Total variation is better here, and takes longer: see ``python -m ipbox demo mri``.
W, d, slice11, about = ip.problem("mri", coils=8)
ready = pretrained("unrolled_mri", W)
print(ready.domain.words)
shown = {
    "zero-filled": ip.zero_filled(W, d)[0],
    "SENSE": ip.sense(W, d, about.noise_level)[0],
    "shipped": ready.reconstruct(d)[0],
}
whole = {name: ip.psnr(x, slice11) for name, x in shown.items()}
print("256 x 256:", ", ".join(f"{name} {value:.2f} dB" for name, value in whole.items()))
ip.show(*(abs(x) for x in (*shown.values(), slice11)), path=OUT / "tutorial_24_mri.png",
        titles=[*(f"{name}: {value:.1f} dB" for name, value in whole.items()), "truth"])  # fmt: skip

# %% The headlines
assert whole["shipped"] > whole["SENSE"] + 2
assert result["unrolled"].psnr > result["TV"].psnr + 1.5
assert result["unrolled"].psnr > result["post-processing"].psnr > result["FBP"].psnr
assert result["unrolled"].residual < 2 * level
assert quality[-1] == max(quality)
assert learned > fbp + 2
assert heads["learned"] > (heads["zero-filled"] + 1 if FAST else heads["SENSE"] + 1)
