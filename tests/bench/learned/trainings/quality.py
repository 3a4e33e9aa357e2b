"""How well a regulariser denoises: min_u ½‖u - b‖² + λR(u) on images that nothing was trained on."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch

from ipbox.bilevel import LowerLevel, NetworkTerm, solve_lower
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.networks.energy import Energy
from ipbox.learned.training.regularisers import descended
from tests.bench.learned.trainings.architectures import SIGMA, pairs

ACCURACY = 1e-2  # ‖u - û‖, of images of norm about 10
DESCENT = 300  # steps where nothing is proved
FACTOR = 1.25  # between weights that are tried


def denoised(net: Energy, lam: float, b: np.ndarray) -> np.ndarray:
    """The minimisers, to a proved accuracy where λR + ½‖u‖² is strongly convex; else what descent comes to."""
    net = copy.deepcopy(net).double().requires_grad_(False)
    if proved(net, lam):
        term = NetworkTerm(net, b.shape[1:], lam)
        return solve_lower(LowerLevel(None, b, term), term.initial(), ACCURACY).u
    return descent(net, lam, b)


def proved(net: Energy, lam: float) -> bool:
    return 1 + lam * (net.strong_convexity - net.weak_convexity) > 1e-3


@torch.no_grad()
def descent(net: Energy, lam: float, b: np.ndarray) -> np.ndarray:
    y = to_torch(b, copy=True)[:, None]
    settings = _Descent(lam)
    return from_torch(descended(settings, net, y, lambda u: u - y, (1.0, 1.0))[:, 0], copy=True, xp="numpy")


class _Descent:
    """What `descended` asks of a loss."""

    def __init__(self, lam: float) -> None:
        self.lam, self.steps, self.warm_up, self.accelerated, self.lipschitz = lam, 1, DESCENT, True, None


def quality(net: Energy, lam: float) -> dict[str, Any]:
    """PSNR on both sets, and whether the minimisers are proved."""
    found: dict[str, Any] = {"lam": lam, "proved": proved(net, lam)}
    for split in ("training", "held out"):
        x, b = pairs(split)
        found[split] = float(np.mean(-10 * np.log10(((denoised(net, lam, b) - x) ** 2).mean((1, 2)))))
    return found


def best_weight(net: Energy) -> float:
    """λ for the training images: from λ‖∇R‖ = ‖noise‖ by steps of a factor to one between worse ones."""
    x, b = pairs("training")
    slopes = net.gradient(to_torch(b.astype(np.float32), copy=True)[:, None]).flatten(1).norm(dim=1)
    start = SIGMA * math.sqrt(x[0].size) / float(slopes.mean())
    tried: dict[int, float] = {}

    def error(k: int) -> float:
        if k not in tried:
            tried[k] = float(((denoised(net, start * FACTOR**k, b) - x) ** 2).mean())
        return tried[k]

    k = 0
    while min(error(k - 1), error(k + 1)) < error(k):
        k += 1 if error(k + 1) < error(k) else -1
    return start * FACTOR**k
