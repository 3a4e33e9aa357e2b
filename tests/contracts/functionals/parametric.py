"""What the terms of lower levels are at a fixed θ: smoothed TV and TGV, experts, an energy of torch's."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch

from ipbox.bilevel.terms.smoothed_tv import SmoothedTVWithSquare
from ipbox.bilevel.terms.tgv import SmoothedTGV
from ipbox.bilevel.terms.torch_term import TorchEnergy, TorchTerm
from ipbox.functionals import Functional
from ipbox.functionals.regularisers.experts import Experts
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, lacking

SMOOTH = ("prox", "prox_conj", "conj")


def experts(dtype: np.dtype, xp: ModuleType) -> Functional:
    return Experts(DIMS, array(np.float64, np, (2, 3, 3)), np.array([0.5, 2.0]), np.array([2.0, 3.0]))


def energy(u: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """e^θ Σ √(|u'|² + 4) + ½‖u‖²."""
    d = u.diff(dim=-1)
    return theta[0].exp() * ((d * d.conj()).real + 4).sqrt().sum((1, 2)) + 0.5 * (u * u.conj()).real.sum((1, 2))


def torch_energy(dtype: np.dtype, xp: ModuleType) -> Functional:
    term = TorchTerm(energy, DIMS, ("log weight",), mu=1.0, L=lambda theta: 1 + 2 * np.exp(theta[0]))
    return term.functional(np.array([-0.5]))


CASES = [
    FunctionalCase(
        "smoothed TV with a square",
        SmoothedTVWithSquare,
        lambda dtype, xp: SmoothedTVWithSquare(DIMS, 0.7, 0.2, 2.0, "neumann"),
        lacks=lacking(*SMOOTH),
    ),
    FunctionalCase(
        "smoothed TV of signals",
        SmoothedTVWithSquare,
        lambda dtype, xp: SmoothedTVWithSquare((9,), 0.7, 0.2, 2.0, "zero"),
        (9,),
        lacking(*SMOOTH),
    ),
    FunctionalCase(
        "smoothed TGV",
        SmoothedTGV,
        lambda dtype, xp: SmoothedTGV(DIMS, 0.7, 1.3, 2.0, 0.2),
        (3, *DIMS),
        lacking(*SMOOTH, "complex"),
    ),
    FunctionalCase("experts", Experts, experts, lacks=lacking(*SMOOTH, "complex")),
    FunctionalCase("energy of torch", TorchEnergy, torch_energy, lacks=lacking(*SMOOTH)),
]
