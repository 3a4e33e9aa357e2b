"""Training a denoiser with `fit`: with truths, and from noisy photographs alone.

Run it as a script, or cell by cell.  ``IPBOX_FAST=1`` takes fewer photographs and steps.
"""

# %% Noisy photographs
# Each was taken once, with white noise of σ = 0.1.  The clean ones are known here, to compare with; in practice they
# rarely are.
import os
from pathlib import Path

import numpy as np
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.networks.denoisers import DnCNN
from ipbox.learned.training.fit import fit
from ipbox.learned.training.losses import SURE, Denoising, Supervised
from ipbox.problems.truths.photographs import photograph

FAST = os.environ.get("IPBOX_FAST") == "1"
OUT = Path(os.environ.get("IPBOX_OUT", "build"))
OUT.mkdir(exist_ok=True)
width, depth, steps = (16, 4, 240) if FAST else (24, 6, 800)
size, sigma = 32, 0.1


def tiles(name: str) -> list[np.ndarray]:
    u = photograph(name, 256)
    return [u[i : i + size, j : j + size] for i in range(0, 256, size) for j in range(0, 256, size)]


names = ["cat", "coffee", "gravel", "rocket"] if FAST else ["brick", "cat", "coffee", "grass", "gravel", "rocket"]
truths = to_torch(np.stack([u for name in names for u in tiles(name)]).astype("float32"))[:, None]
noisy = truths + sigma * torch.randn(truths.shape, generator=torch.Generator().manual_seed(0))
print(f"{len(truths)} tiles of {size} x {size}, {ip.psnr(from_torch(noisy), from_torch(truths), 1.0):.1f} dB")

test = photograph("camera", 256).astype("float32")
test_noisy = to_torch(test)[None, None] + sigma * torch.randn(
    (1, 1, 256, 256), generator=torch.Generator().manual_seed(1)
)


def network() -> DnCNN:
    torch.manual_seed(0)
    return DnCNN(width=width, depth=depth)


def denoised(net: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        return from_torch(net(test_noisy, sigma)[0, 0], copy=True)


# %% With truths
# `fit` takes a model, a loss and samples.  A sample here is (noisy, σ, truth); the loss compares N(noisy, σ) with the
# truth.  A checkpoint holds everything, so a run that was stopped goes on where it was: the weights are those of a run
# that was not stopped, bit for bit.
sigmas = torch.full((len(truths),), sigma)
pairs = list(zip(noisy, sigmas, truths, strict=True))
common = {"steps": steps, "batch_size": 8, "clip": 1.0, "validate_every": 40, "progress": True}
checkpoint = OUT / "tutorial_26.safetensors"


def stop_early(step: int, net: torch.nn.Module) -> bool:
    return step == 50


nets, results = {"truths": network()}, {}
results["truths"] = fit(nets["truths"], Supervised(), pairs, **common)

again = network()
first = fit(again, Supervised(), pairs, checkpoint=checkpoint, resume=False, callbacks=[stop_early], **common)
then = fit(again, Supervised(), pairs, checkpoint=checkpoint, **common)
print(f"stopped by a {first.stop} after {first.steps} steps, resumed to {then.steps}")
assert all(torch.equal(p, q) for p, q in zip(nets["truths"].parameters(), again.parameters(), strict=True))

# %% From noisy photographs alone
# ‖N(b) - b‖² is least for N(b) = b.  Stein's unbiased risk estimate adds what this forgets,
#
#     E ‖N(b) - x‖² = E [ ‖N(b) - b‖² - m σ² + 2σ² div N(b) ],
#
# and the divergence needs no truth: it costs a second evaluation of N, near b.
nets["SURE"] = network()
results["SURE"] = fit(nets["SURE"], SURE(sigma), noisy, **common)

# %% What does not work
# To take the noisy photographs for clean ones, and learn to remove noise that is added to them: the network learns to
# keep the noise that is there.
nets["noisy as clean"] = network()
results["noisy as clean"] = fit(nets["noisy as clean"], Denoising((sigma, sigma)), noisy, **common)

# %% On a photograph that none of them has seen
images = {name: denoised(net) for name, net in nets.items()}
quality = {name: ip.psnr(u, test) for name, u in images.items()}
quality["noisy"] = ip.psnr(from_torch(test_noisy[0, 0]), test)
for name, value in quality.items():
    print(f"{name:15s} {value:.2f} dB")

# %% The estimate is right
# During training SURE was the squared error, without having seen it: compare with the error on the truths.
with torch.no_grad():
    error = (nets["SURE"](noisy, sigma) - truths).square().mean().item()
    estimate = SURE(sigma)(nets["SURE"], (noisy,), torch.Generator().manual_seed(2)).item()
print(f"mean squared error {error:.2e}, estimated {estimate:.2e}")

# %% Look
shown = [test, from_torch(test_noisy[0, 0]), images["truths"], images["SURE"]]
titles = ["truth", *(f"{name}: {quality[name]:.1f} dB" for name in ("noisy", "truths", "SURE"))]
ip.show(*(np.clip(u[35:163, 65:193], 0, 1) for u in shown), titles=titles, path=OUT / "tutorial_26.png")

# %% The headlines
assert quality["truths"] > quality["noisy"] + (4 if FAST else 7)
assert quality["SURE"] > quality["truths"] - 1
assert quality["SURE"] > quality["noisy as clean"] + 0.5
assert abs(estimate / error - 1) < 0.2
