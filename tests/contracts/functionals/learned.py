"""Functionals that torch differentiates: a module's, an energy's, and RED with its true gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from ipbox.functionals import Functional
from tests.contracts.functionals.registry import DIMS, FunctionalCase, array, lacking

torch = pytest.importorskip("torch", reason="torch is not installed")

from ipbox.bilevel.terms.torch_term import TorchEnergy, TorchTerm  # noqa: E402
from ipbox.learned.networks import ConvexRidge, InputConvex, LipschitzCritic, WeaklyConvexRidge  # noqa: E402
from ipbox.learned.priors import NETT, RED, LearnedRegulariser, TorchFunctional  # noqa: E402
from ipbox.learned.priors.generative import GenerativeRegulariser, PrecisionL2, SoftRange  # noqa: E402


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


def energy(u: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """e^θ Σ √(|u'|² + 4) + ½‖u‖²."""
    d = u.diff(dim=-1)
    return theta[0].exp() * ((d * d.conj()).real + 4).sqrt().sum((1, 2)) + 0.5 * (u * u.conj()).real.sum((1, 2))


def torch_energy(dtype: np.dtype, xp: ModuleType) -> Functional:
    term = TorchTerm(energy, DIMS, ("log weight",), mu=1.0, L=lambda theta: 1 + 2 * np.exp(theta[0]))
    return term.functional(np.array([-0.5]))


def seeded(make: Callable[[], torch.nn.Module], dtype: np.dtype) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().to(getattr(torch, np.dtype(dtype).name))


def regulariser(
    name: str, network: Callable[[], torch.nn.Module], weight: float, convex: bool = True
) -> FunctionalCase:
    """One whose modulus times a step of the contracts is above 1 has no prox there."""

    def make(dtype: np.dtype, xp: ModuleType) -> Functional:
        return weight * LearnedRegulariser(seeded(network, dtype), dims=DIMS, scale=2.0, accuracy=exact(dtype, xp))

    lacks = lacking("conj", "complex") | ({} if convex else {"prox": ValueError, "prox_conj": TypeError})
    return FunctionalCase(name, LearnedRegulariser, make, lacks=lacks, convex=convex, inexact=exact)


def exact(dtype: np.dtype, xp: ModuleType) -> float:
    return 1e-5 if dtype == np.float32 else 1e-8


def falling() -> torch.nn.Module:
    """A weakly convex ridge of a modulus near 1."""
    R = WeaklyConvexRidge(widths=(2,), kernel=3, knots=5, span=2.0)
    torch.nn.init.constant_(R.raw, -1.0)
    R.raw.data[:, 1:] = 2.0
    return R


def precision(dtype: np.dtype, xp: ModuleType) -> Functional:
    return 0.7 * PrecisionL2(
        *(0.3 * array(dtype, xp, shape, seed) for seed, shape in enumerate((DIMS, DIMS, (4, *DIMS))))
    )


class Decoder(torch.nn.Module):
    """Wz, in the precision and on the device of z: R is a quadratic."""

    latent, dims = 2, DIMS

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        W = np.random.default_rng(3).standard_normal((2, math.prod(DIMS)))
        return (z @ torch.tensor(W, dtype=z.dtype, device=z.device)).reshape(-1, 1, *DIMS)


def near_range(dtype: np.dtype, xp: ModuleType) -> Functional:
    prior = SoftRange(Decoder(), scale=2.0, mu=0.5)
    return 1.5 * GenerativeRegulariser(prior, accuracy=1e-6 if dtype == "f" else 1e-11, restarts=1)


LACKS = lacking("prox", "prox_conj", "conj") | {"complex": TypeError}
CASES = [
    FunctionalCase(
        "a torch module",
        TorchFunctional,
        lambda dtype, xp: TorchFunctional(Bumps(), L=0.5, convex=True, dims=DIMS, scale=2.0),
        lacks=LACKS,
    ),
    regulariser("convex ridge", lambda: ConvexRidge(widths=(2,), kernel=3, knots=5, span=2.0), 0.5),
    regulariser("weakly convex ridge", falling, 6.0, convex=False),
    regulariser("input-convex network", lambda: InputConvex(2, 2, 3, 2, eps=1.0, nu=0.5), 0.5),
    regulariser("critic", lambda: LipschitzCritic((2, 3), (1, 2), 3, eps=1.0), 4.0, convex=False),
    FunctionalCase(
        "network Tikhonov",
        NETT,
        lambda dtype, xp: NETT(smoothing(dtype), L=16 / 9, dims=DIMS),
        lacks=LACKS,
        convex=False,
    ),
    FunctionalCase(
        "near the range of a decoder",
        GenerativeRegulariser,
        near_range,
        lacks=lacking("prox_conj", "conj", "complex"),
        convex=False,
        costly=True,
        inexact=lambda dtype, xp: 1e-5 if dtype == "f" else 1e-9,
    ),
    FunctionalCase("RED by autograd", RED, red, lacks=LACKS, convex=False),
    FunctionalCase("energy of torch", TorchEnergy, torch_energy, lacks=lacking("prox", "prox_conj", "conj")),
    FunctionalCase(
        "precision",
        PrecisionL2,
        precision,
        lacks=lacking("complex"),
        inexact=lambda dtype, xp: 1e-5 if dtype == "f" else 1e-9,
    ),
]
