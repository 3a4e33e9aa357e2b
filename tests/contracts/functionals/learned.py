"""Functionals that torch differentiates: a module's, and regularisation by denoising with its true gradient."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch

from ipbox.functionals import Functional
from ipbox.learned.priors import RED, TorchFunctional
from tests.contracts.functionals.registry import DIMS, FunctionalCase, lacking


class Bumps(torch.nn.Module):
    """Σ √(1 + x²), convex with L = 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (1 + x.square()).sqrt().sum((1, 2, 3))


def smoothing(dtype: np.dtype) -> torch.nn.Module:
    """A mean over 3 x 3 pixels, symmetric, with a parameter so that its dtype is known."""
    mean = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    torch.nn.init.constant_(mean.weight, 1 / 9)
    return mean.to(getattr(torch, np.dtype(dtype).name))


def red(dtype: np.dtype, xp: ModuleType) -> Functional:
    return RED(smoothing(dtype), gradient="autograd", L=4 / 3)


LACKS = lacking("prox", "prox_conj", "conj") | {"complex": TypeError}
CASES = [
    FunctionalCase(
        "a torch module",
        TorchFunctional,
        lambda dtype, xp: TorchFunctional(Bumps(), L=0.5, convex=True, dims=DIMS, scale=2.0),
        lacks=LACKS,
    ),
    FunctionalCase("RED by autograd", RED, red, lacks=LACKS, convex=False),
]
