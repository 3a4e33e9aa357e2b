"""The regularisers, small, and the images that all trainings share: denoising of crops of photographs, noise 0.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ipbox.learned.networks import ConvexRidge, FieldsOfExperts, InputConvex, LipschitzCritic, WeaklyConvexRidge
from ipbox.learned.networks.energy import Energy
from ipbox.problems.truths.photographs import photograph

SIGMA, SIZE, EACH = 0.1, 24, 2  # noise, pixels a side, crops of a picture
IMAGES = {"training": ("brick", "cat", "coffee", "rocket"), "held out": ("astronaut", "camera", "coins")}


@dataclass(frozen=True)
class Architecture:
    """A network, the weight λ it learns to denoise with, Adam's rates by what a parameter's name begins with.

    With that weight ½‖u - b‖² + λR is strongly convex for every value of the parameters, which the network proves.
    """

    build: Callable[[], Energy]
    rates: dict[str, float]
    lam: float = 1.0


RIDGE = {"log_alpha": 0.03, "raw": 0.1, "bank": 0.01}
ARCHITECTURES = {
    "CRR": Architecture(lambda: steep(ConvexRidge(widths=[4], kernel=5, knots=11, span=0.05)), RIDGE),
    "WCRR": Architecture(lambda: steep(WeaklyConvexRidge(widths=[4], kernel=5, knots=11, span=0.05)), RIDGE, 0.9),
    "input-convex": Architecture(
        lambda: InputConvex(width=4, layers=2, kernel=3, filters=4, eps=0.5, nu=0.02), {"raw": 0.1, "": 0.01}
    ),
    "critic": Architecture(
        lambda: LipschitzCritic(widths=[4, 8], strides=[1, 1], kernel=3, eps=0.2, modulus=0.9), {"": 0.01}
    ),
    "FoE": Architecture(lambda: FieldsOfExperts(filters=8, size=3), {"log": 0.05, "": 0.01}),
}


def network(name: str) -> Energy:
    """As all trainings begin with it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ARCHITECTURES[name].build()


@torch.no_grad()
def steep(net: ConvexRidge | WeaklyConvexRidge, factor: float = 10.0) -> ConvexRidge | WeaklyConvexRidge:
    """Profiles that begin ``factor`` times as steep, near absolute values."""
    net.raw.copy_((net.slopes() * factor + (0 if net.convex else 1)).clamp(min=1e-2).expm1().log())
    return net


def pairs(split: str) -> tuple[np.ndarray, np.ndarray]:
    """True crops of pictures of 128 x 128 and noisy ones, float64."""
    rng, found = np.random.default_rng(list(IMAGES).index(split)), []
    for name in IMAGES[split]:
        u = photograph(name, 128)
        for _ in range(EACH):
            i, j = rng.integers(0, u.shape[0] - SIZE, 2)
            found.append(u[i : i + SIZE, j : j + SIZE])
    truths = np.stack(found)
    return truths, truths + SIGMA * rng.standard_normal(truths.shape)
