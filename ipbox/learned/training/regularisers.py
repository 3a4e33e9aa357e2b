"""Losses that train a regulariser R: so that it tells images from others, or so that minimising with it reconstructs.

Each model gives one number per image, R(u), from tensors (N, 1, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ipbox.checks import (
    check_choice,
    check_count,
    check_fields,
    check_flag,
    check_positive,
    check_seed,
    check_type,
    counted,
)
from ipbox.keywords import answering
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.networks.energy import Energy
from ipbox.learned.priors.signature import unwrapped
from ipbox.learned.training.self_supervised import applied, check_map, mean_square, normal

__all__ = ["Difference", "MultiStepDenoising", "MultiStepReconstruction", "noise_weight"]


@dataclass(frozen=True)
class Difference:
    """Learn R small on images x and large on others z, the batch (x, z): E R(x) - E R(z) + c/2 (E R(z))².

    The difference alone has no minimum where R can be multiplied by a factor.  For R >= 0 the best factor gives
    -(1 - q)²/(2c) with q = E R(x)/E R(z): this loss minimises the quotient of the two, with E R(z) = (1 - q)/c.

    Parameters
    ----------
    penalty : float
        c, which sets the scale of R and nothing else.
    spoiled : callable, optional
        Makes z from the second part of the batch, or from x where the batch is (x,) alone: ``spoiled(x, generator)``.

    References
    ----------
    M. Benning, G. Gilboa, J. S. Grah, C.-B. Schönlieb, Learning filter functions in regularisers by minimising
    quotients, SSVM, 2017.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.regularisers import Difference
    >>> class Sum(torch.nn.Module):
    ...     def forward(self, u):
    ...         return u.sum(1)
    >>> x, z = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]])
    >>> float(Difference(0.5)(Sum(), (x, z), torch.Generator()))             # 1 - 3 + 9/4
    0.25
    """

    penalty: float = 1.0
    spoiled: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        check_positive(self.penalty, "penalty")
        check_type(self.spoiled, "spoiled", Callable | None, "a function (x, generator)")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        least = 2 if self.spoiled is None else 1
        if not least <= len(batch) <= 2:
            raise ValueError(f"the batch has {counted(len(batch), 'tensor')}; expected images and others, (x, z)")
        x, z = batch[0], batch[-1]
        if self.spoiled is not None:
            with torch.no_grad():
                z = self.spoiled(z, generator)
        bad = values(model, z).mean()
        return values(model, x).mean() - bad + 0.5 * self.penalty * bad.square()


@dataclass(frozen=True, kw_only=True)
class MultiStep:
    """Settings of the descent that `MultiStepDenoising` and `MultiStepReconstruction` train through."""

    steps: int = 10
    warm_up: int = 0
    lam: float = 1.0
    norm: str = "l2"
    lipschitz: float | None = None
    accelerated: bool = False

    def __post_init__(self) -> None:
        check_fields(self, check_positive, "lam", optional=("lipschitz",))
        check_count(self.steps, "steps"), check_count(self.warm_up, "warm_up", least=0)
        check_choice(self.norm, "norm", ("l2", "l1")), check_flag(self.accelerated, "accelerated")


@dataclass(frozen=True)
class MultiStepDenoising(MultiStep):
    """Learn R so that descent on ½‖u - y‖² + λR(u), y = x + σn, ends near x: mean of |u_t - x|² or |u_t - x|.

    u⁺ = u - τ(u - y + λ∇R(u)) from y, τ = 1/(1 + λL), trained end to end through the last ``steps``.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise.
    steps : int
        t, those that are differentiated through.
    warm_up : int
        Accelerated steps before them, through which nothing is differentiated: with enough of both, u_t is the
        minimiser, and its derivative that of the implicit function, less a part that decays with t.
    lam : float
        λ.
    norm : "l2" or "l1"
    lipschitz : float, optional
        L; by default ``model.lipschitz``, now.
    accelerated : bool
        Nesterov's extrapolation in the last steps, too.

    Notes
    -----
    The batch is (x,), or x alone, or (y, x) with the noise in it.  τ is held fixed where derivatives are taken.

    References
    ----------
    A. Goujon, S. Neumayer, P. Bohra, S. Ducotterd, M. Unser, A neural-network-based convex regularizer for inverse
    problems, IEEE Trans. Comput. Imaging, 2023.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.regularisers import MultiStepDenoising
    >>> class HalfSquare(torch.nn.Module):
    ...     def forward(self, u):
    ...         return 0.5 * u.square().sum((1, 2, 3))
    >>> y, x = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)               # the minimiser is y/2
    >>> with torch.no_grad():
    ...     float(MultiStepDenoising(0.1, steps=1, lipschitz=1.0)(HalfSquare(), (y, x), None))
    0.25
    """

    sigma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, check_positive, "sigma")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        x = batch[-1]
        y = batch[0] if len(batch) > 1 else x + self.sigma * normal(x, generator)
        u = descended(self, model, y, lambda u: u - y, (1.0, 1.0))
        return mean_square(u - x) if self.norm == "l2" else (u - x).abs().mean()


@dataclass(frozen=True)
class MultiStepReconstruction(MultiStep):
    """Learn R so that descent on ½‖Au - b‖² + λR(u) ends near x: the same for data.

    Parameters
    ----------
    A : LinearMap
    start : callable, optional
        u_0 from b; A*b by default.
    scale : float
        s of s² R(u/s), for images in units of their own: see `LearnedRegulariser`.
    steps, warm_up, lam, norm, lipschitz, accelerated
        As for `MultiStepDenoising`; the batch is (b, x), or (b, u_0, x), with where the descent starts.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.bridge.linear_map import LinearMap
    >>> from ipbox.learned.training.regularisers import MultiStepReconstruction
    >>> class HalfSquare(torch.nn.Module):
    ...     def forward(self, u):
    ...         return 0.5 * u.square().sum((1, 2, 3))
    >>> A = LinearMap(ip.Identity((2, 2), dtype="float32"))
    >>> b, x = torch.ones(1, 2, 2), torch.zeros(1, 2, 2)
    >>> with torch.no_grad():
    ...     float(MultiStepReconstruction(A, steps=1, lipschitz=1.0)(HalfSquare(), (b, x), None))
    0.25
    """

    A: LinearMap
    start: Callable[[torch.Tensor], torch.Tensor] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_map("A", self.A)
        check_type(self.start, "start", Callable | None, "a function of the data")
        super().__post_init__()
        check_fields(self, check_positive, "scale")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator | None) -> torch.Tensor:
        b, x = batch[0], batch[-1]
        u = self.reconstruct(model, b, batch[1] if len(batch) > 2 else None)
        z = (u - x) / self.scale
        return mean_square(z) if self.norm == "l2" else z.abs().mean()

    def reconstruct(self, model: torch.nn.Module, b: torch.Tensor, u: torch.Tensor | None = None) -> torch.Tensor:
        """u_t, from u_0 = ``u``."""
        if u is None:
            u = self.A.adjoint(b) if self.start is None else self.start(b)
        norm = float(self.A.A.norm()) ** 2
        return descended(self, model, u.detach(), lambda v: self.A.adjoint(self.A(v) - b), (0.0, norm), self.scale)


@answering
def noise_weight(A: Any, sigma: float, draws: int = 16, seed: int = 0) -> float:
    """λ = E‖A*η‖, η white noise of standard deviation σ: for ½‖Au - b‖² + λR(u) with ‖∇R‖ = 1 near images.

    At the true image the gradient of the data term is -A*η, which λ∇R should balance.

    Parameters
    ----------
    A : Operator
    sigma : float
        Of each datum; of real and imaginary part, each, where data are complex.
    draws, seed : int
        Draws of noise that are averaged over.

    Returns
    -------
    float

    References
    ----------
    S. Lunz, O. Öktem, C.-B. Schönlieb, Adversarial regularizers in inverse problems, NeurIPS, 2018.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.learned.training.regularisers import noise_weight
    >>> round(noise_weight(ip.Identity((64, 64)), 0.1), 1)                   # 0.1 √(64²)
    6.4
    """
    check_positive(sigma, "sigma"), check_count(draws, "draws")
    L, generator = LinearMap(A), torch.Generator().manual_seed(check_seed(seed, bits=32))
    blank = torch.zeros((draws, *L.dimsd), dtype=L.dtype_out)
    adjoint = L.adjoint(normal(blank, generator))
    return float(sigma * torch.linalg.vector_norm(adjoint.flatten(1), dim=1).mean())


# ---------------------------------------------------------------- helpers


def values(model: torch.nn.Module, u: torch.Tensor) -> torch.Tensor:
    """R(u), one real number per sample."""
    found = applied(model, u)
    if found.numel() != len(u) or found.is_complex():
        raise ValueError(
            f"model gives shape {tuple(found.shape)} for {counted(len(u), 'sample')}; expected one real number each"
        )
    return found.flatten()


def descended(
    of: MultiStep,
    model: torch.nn.Module,
    u: torch.Tensor,
    data_gradient: Callable[[torch.Tensor], torch.Tensor],
    data_constants: tuple[float, float],
    scale: float = 1.0,
) -> torch.Tensor:
    """Descent with the settings ``of``: ``warm_up`` steps without derivatives, and ``steps`` with them."""
    mu, L = data_constants
    reg_L, rho = _constants(model, of.lipschitz)
    mu, L = max(mu - of.lam * rho, 0.0), L + of.lam * reg_L
    learning = torch.is_grad_enabled()

    def phases() -> Any:
        yield from ((True, False, k) for k in range(of.warm_up))
        yield from ((of.accelerated, learning, k) for k in range(of.steps))

    slopes = {graph: gradient_map(model, graph) for graph in {False, learning}}
    before = u
    for extrapolates, graph, k in phases():
        beta = min(k / (k + 3), (math.sqrt(L) - math.sqrt(mu)) / (math.sqrt(L) + math.sqrt(mu))) if extrapolates else 0
        with torch.set_grad_enabled(graph):
            y = u + beta * (u - before) if beta else u
            g = data_gradient(y) + of.lam * scale * slopes[graph](y / scale)
            u, before = y - g / L, u
    return u


def gradient_map(model: torch.nn.Module, graph: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """u ↦ ∇R(u), with the graph that derivatives by the parameters need or without, in any grad mode."""
    module = unwrapped(model)

    def by_autograd(u: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            t = u if graph and u.requires_grad else u.detach().requires_grad_()
            (g,) = torch.autograd.grad(values(model, t).sum(), t, create_graph=graph)
        return g

    slope: Callable[[torch.Tensor], torch.Tensor] = by_autograd
    if isinstance(module, Energy):
        slope = module.gradient_map() if graph else module.gradient
    return lambda u: slope(u[:, None])[:, 0] if u.ndim == 3 else slope(u)


def _constants(model: torch.nn.Module, lipschitz: float | None) -> tuple[float, float]:
    """L and ρ of R."""
    module = unwrapped(model)
    known = isinstance(module, Energy)
    L = lipschitz if lipschitz is not None else module.lipschitz if known else math.inf
    if not math.isfinite(L):
        raise ValueError(f"lipschitz is None, and {type(module).__name__} has no bound of its own; expected a number")
    return L, module.weak_convexity if known else 0.0
