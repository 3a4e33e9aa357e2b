"""Equivariance: does a turned scan give the turned image?

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes a smaller image and fewer iterations.
"""

# %% The question
# Turn a patient by 90 degrees: the right image turns with her.  For a group G that acts on images, a reconstruction map
# Φ is equivariant where
#
#     Φ(A(g·u)) = g·Φ(Au)   for all g in G.
#
# Least squares with an invariant R has it, where A has it: if A(g·u) = g·(Au) for an orthogonal action on data and
# R(g·u) = R(u), the objective of g·b at g·u is that of b at u.  A network has it where it learned it, or was built so.
import os
from pathlib import Path

import numpy as np
import torch

import ipbox as ip
from ipbox.evaluate import equivariance_error, turned_views
from ipbox.learned import pretrained

torch.set_num_threads(1)
FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)

size = 64 if FAST else 128
A, b, x, info = ip.problem("ct", size=size, views=40, noise=0.01, slice=23, seed=23)
turns, D4 = ip.groups.Rotations(4), ip.groups.Dihedral(4)

# %% Groups act on images, and on data
# An element is called on an image; `@` composes.  For a parallel beam, a quarter turn shifts the views by half of them,
# and those that leave [0, π) come back with the detector reversed: rays are permuted, noise turns with them.
g = D4.element(turns=1)
moved = turned_views(A, g, b)
same = np.linalg.norm(A.apply(g(x)) - turned_views(A, g, A.apply(x))) / np.linalg.norm(A.apply(x))
print(f"{len(D4)} elements; g g⁻¹ is the identity: {g @ g.inverse == D4.identity}; A(g·u) - g·(Au): {same:.0e}")
assert same < 1e-4

# %% The error of a map
# Forward differences look down and to the right: TV by them is not invariant.  The symmetric form is the mean over the
# reflections of the image.
tv = dict(nonneg=True, tol=1e-2 if FAST else 1e-4, niter=3000)
symmetric = ip.TV(tuple(A.dims), symmetric=True)
maps = {
    "filtered back-projection": lambda b: ip.fbp(A, b, "hann")[0],
    "symmetric TV": lambda b: ip.variational(A, b, symmetric, 0.31, **tv)[0],
    "TV by forward differences": lambda b: ip.tv(A, b, 0.31, **tv)[0],
}
if not FAST:
    nets = {name: pretrained(name, A) for name in ("post_processing_ct", "unrolled_ct")}
    maps |= {name: lambda b, net=net: net.reconstruct(b)[0] for name, net in nets.items()}
found = {name: equivariance_error(phi, A, turns, data=b) for name, phi in maps.items()}
for name, error in found.items():
    print(f"{name:26} error {error.worst:.1e}, PSNR {ip.psnr(maps[name](b), x):.2f}")
print(found["TV by forward differences"].report())
assert max(found[n].worst for n in ("filtered back-projection", "symmetric TV")) < 1e-3
assert found["TV by forward differences"].worst > 3e-3

# %% Where the operator has no such symmetry
# Inpainting: A cuts a hole beside the middle, so A(g·u) is another part of g·u than Au is of u.  TV is invariant here,
# and yet Φ∘A is not equivariant: what is lost depends on how the patient lies.
mask = np.ones(A.dims, bool)
k = size // 8
mask[3 * k : 5 * k, k : 3 * k] = False
hole = ip.Mask(mask, dtype="float32")
fill = lambda v: ip.variational(hole, v, symmetric, 1e-4, tol=1e-2 if FAST else 1e-3, niter=3000)[0]  # noqa: E731
inpainting = equivariance_error(fill, hole, [turns.element(2)], x)
print(f"inpainting by symmetric TV, a hole on one side: error {inpainting.worst:.2f}")
pictures = [inpainting.found, inpainting.expected, abs(inpainting.found - inpainting.expected)]
ip.show(*pictures, titles=["Φ(A(g·u))", "g·Φ(Au)", "difference"], path=OUT / "tutorial_31.png", unit="1/mm")
both = mask & turns.element(2)(mask)
two = ip.Mask(both, dtype="float32")
fill_two = lambda v: ip.variational(two, v, symmetric, 1e-4, tol=1e-2 if FAST else 1e-3, niter=3000)[0]  # noqa: E731
symmetric_hole = equivariance_error(fill_two, two, [turns.element(2)], x)
print(f"the same with a hole on both sides: {symmetric_hole.worst:.0e}")
assert inpainting.worst > 0.02 and symmetric_hole.worst < 1e-3

# %% Any map, averaged over the group
# (1/|G|) Σ g⁻¹ Φ(g·b) is equivariant, and Φ itself where Φ is: a projection, at |G| times the work.
act = lambda g, b: turned_views(A, g, b)  # noqa: E731
averaged = ip.groups.Averaged(maps["TV by forward differences"], turns, act)
error = equivariance_error(averaged, A, [g], data=b)
print(f"TV by forward differences, averaged: error {error.worst:.0e}, PSNR {ip.psnr(averaged(b), x):.2f}")
assert error.worst < 1e-4

# %% Plug-and-play
# A denoiser that is turned by a random element in each iteration, and turned back, is equivariant in the mean, at no
# cost; averaged over the group it is so exactly, at the cost of |G| denoisers.  Draws depend on `seed` and on the
# iteration, and are in the state.  An equivariant network is so by its kernels: k(Rx) = π(R) k(x) π(R)⁻¹ for every turn
# R, a fourth of the weights for as many channels, and no more work than the ordinary one.
SCALE = 0.04
dncnn, equivariant = pretrained("dncnn"), pretrained("equivariant_dncnn")
runs = {
    "ordinary": (dncnn, {}),
    "turned at random": (dncnn, dict(equivariant=turns)),
    "averaged": (dncnn, dict(equivariant=turns, average=True)),
    "equivariant": (equivariant, {}),
}
levels = [SCALE * 0.1 * 0.06 ** (k / 23) for k in range(24)]  # of the noise that is taken off, iteration by iteration
given = dict(noise_level=info.noise_level, scale=SCALE, sigma=levels, lam=0.05, nonneg=True, progress=False)
for name, (net, options) in runs.items():
    plug_and_play = lambda b, net=net, options=options: ip.pnp(A, b, net, **given, **options)[0]  # noqa: E731
    found[name] = error = equivariance_error(plug_and_play, A, [g], data=b)
    upright, turned = (ip.psnr(u, g(x)) for u in (error.expected, error.found))  # g·Φ(b), and Φ(g·b)
    print(f"plug-and-play, {name:16}  PSNR {upright:.2f}, turned {turned:.2f}, error {error.worst:.0e}")
assert max(found["averaged"].worst, found["equivariant"].worst) < 0.05 * found["ordinary"].worst

# %% The headline
# What the discretisation breaks is larger than any rounding: the symmetric form keeps it.
ratio = found["TV by forward differences"].worst / found["symmetric TV"].worst
print(f"TV by forward differences is {ratio:.0f} times as far from equivariant as the symmetric form")
assert ratio > 10
