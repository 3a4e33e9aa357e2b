"""Losses that need measured data alone: Stein's unbiased risk estimate, and equivariant imaging."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ipbox.checks import check_flag, check_not_negative, check_positive, check_type
from ipbox.learned.bridge.linear_map import LinearMap

__all__ = ["SURE", "EquivariantImaging"]

Action = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class SURE:
    """Stein's unbiased estimate of the error, from noisy data b = Ax + n alone, n white and Gaussian of known σ.

    With h(b) = AΦ(b), m values in the data, and z of independent signs,

        (‖W(h(b) - b)‖² - σ²‖Wz‖² + 2σ² ⟨W*Wz, h'(b) z⟩) / m    has expectation    E ‖W(h(b) - Ax)‖² / m.

    Without A, Φ is a denoiser and this is the mean squared error itself.  With A it is the error of the predicted data;
    what Φ does in the null space of A it cannot see: combine it with `EquivariantImaging`, which does.  W = A† gives
    the error in the range of A* (Eldar's projected, generalised SURE).  The batch is (b,), or b alone.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise; of real and imaginary part, each, where b is complex.
    A : LinearMap, optional
    W : LinearMap, optional
        A linear map of the data.
    step : float, optional
        h'(b) z is taken as (h(b + tz) - h(b))/t with this t, by default σ/10; 0 means the exact derivative.
    blind : bool
        Without A, call the denoiser as N(b) instead of N(b, σ).

    Notes
    -----
    The exact derivative is right only for networks whose derivative is continuous.  Where it jumps, as of ReLU, the
    divergence is still right, but not its derivative with respect to the parameters: of relu(b - θ) the divergence
    1(b > θ) has derivative 0 wherever it has one, yet its mean over b depends on θ.  Differences see the jumps.  They
    need a Φ that gives the same for the same b: no dropout.

    References
    ----------
    C. Stein, Estimation of the mean of a multivariate normal distribution, Annals of Statistics, 1981.
    S. Ramani, T. Blu, M. Unser, Monte-Carlo SURE, IEEE TIP, 2008.
    Y. Eldar, Generalized SURE for exponential families, IEEE TSP, 2009.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.losses import SURE
    >>> generator = torch.Generator().manual_seed(0)
    >>> b = 0.5 * torch.randn(1, 100_000, generator=generator)            # noise alone, σ = 0.5
    >>> loss = SURE(0.5, blind=True)(torch.nn.Identity(), (b,), generator)
    >>> round(loss.item(), 2)                                             # the error of b is σ²
    0.25
    """

    sigma: float
    A: LinearMap | None = None
    W: LinearMap | None = None
    step: float | None = None
    blind: bool = False

    def __post_init__(self) -> None:
        check_positive(self.sigma, "sigma"), check_flag(self.blind, "blind")
        check_map("A", self.A, optional=True)
        check_map("W", self.W, optional=True)
        if self.step is not None:
            check_not_negative(self.step, "step", "a number >= 0")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        return self.estimate(model, batch[0], generator)[0]

    def estimate(
        self, model: torch.nn.Module, b: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and Φ(b)."""
        z = _signs(b, generator)
        Wz = z if self.W is None else self.W(z)
        WWz = z if self.W is None else self.W.adjoint(Wz)
        u, h, divergence = self._exact(model, b, z, WWz) if self.step == 0 else self._difference(model, b, z, WWz)
        r = h - b if self.W is None else self.W(h - b)
        value = _dot(r, r) - self.sigma**2 * _dot(Wz, Wz) + 2 * self.sigma**2 * divergence
        return value / b.numel(), u

    def _difference(self, model: torch.nn.Module, b: torch.Tensor, z: torch.Tensor, WWz: torch.Tensor) -> tuple:
        """Φ(b), h(b) and <WWz, h'(b) z>."""
        t = self.sigma / 10 if self.step is None else self.step
        u, h = self._predict(model, b)
        _, moved = self._predict(model, b + t * z)
        return u, h, _dot(WWz, moved - h) / t

    def _exact(self, model: torch.nn.Module, b: torch.Tensor, z: torch.Tensor, WWz: torch.Tensor) -> tuple:
        """The same, as <h'(b)* WWz, z>."""
        learning = torch.is_grad_enabled()
        with torch.enable_grad():
            b = b.detach().requires_grad_()
            u, h = self._predict(model, b)
            (pulled,) = torch.autograd.grad(h, b, WWz, create_graph=learning, retain_graph=learning)
        return (u, h, _dot(pulled, z)) if learning else (u.detach(), h.detach(), _dot(pulled, z))

    def _predict(self, model: torch.nn.Module, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Φ(b) and AΦ(b)."""
        if self.A is not None:
            u = full_precision(applied(model, b), b)
            return u, self.A(u)
        sigma = torch.full((len(b),), self.sigma, device=b.device, dtype=b.real.dtype)
        u = full_precision(applied(model, b) if self.blind else applied(model, b, sigma), b)
        if u.shape != b.shape:
            raise ValueError(f"model gives shape {tuple(u.shape)}; expected {tuple(b.shape)}, or A between them")
        return u, u


@dataclass(frozen=True)
class EquivariantImaging:
    """Learn Φ from data alone, where turned, mirrored or shifted images are images too.

    With x₁ = Φ(b), x₂ = T_g x₁ and x₃ = Φ(A x₂ + n), it is ‖W(A x₁ - b)‖²/m plus α times the mean of |x₃ - x₂|²; with
    noise of known σ, `SURE` takes the place of the first term, and n is fresh noise.  The batch is (b,), or b alone.

    What A does not see of x it must see of T_g x: the actions must not leave the null space of A as it is.  So shifts
    teach nothing where A is a convolution, and quarter turns nothing where A is a parallel-beam transform with an even
    number of views over 180°; with an odd number, they fill the gaps between the views.

    Parameters
    ----------
    A : LinearMap
    action : callable
        ``action(u, generator)`` is T_g u for a random g of each sample: `Elements` of a group, `Flips`,
        `QuarterTurns`, `Shifts`, or a tuple of such, which are applied one after the other.
    sigma : float
        Standard deviation of the noise in b; of real and imaginary part, each, where b is complex; 0 where there is
        none.
    weight : float
        α.
    W : LinearMap, optional
        A linear map of the data; A† or a filter where A itself hides errors of the image.

    References
    ----------
    D. Chen, J. Tachella, M. Davies, Equivariant imaging: learning beyond the range space, ICCV, 2021, and Robust
    equivariant imaging, CVPR, 2022.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.bridge.linear_map import LinearMap
    >>> from ipbox.learned.training.losses import EquivariantImaging, Flips
    >>> A = LinearMap(ip.Identity((4, 4), dtype="float32"))
    >>> loss = EquivariantImaging(A, Flips())
    >>> float(loss(torch.nn.Identity(), (torch.rand(2, 4, 4),), torch.Generator()))     # Φ = A⁻¹
    0.0
    """

    A: LinearMap
    action: Action | tuple[Action, ...]
    sigma: float = 0.0
    weight: float = 1.0
    W: LinearMap | None = None

    def __post_init__(self) -> None:
        check_map("A", self.A)
        check_map("W", self.W, optional=True)
        check_positive(self.weight, "weight")
        check_not_negative(self.sigma, "sigma", "a number >= 0")
        for T in self._actions():
            if not callable(T):
                raise TypeError(f"action is {T!r}; expected a function of images and generator, or a tuple of such")

    def _actions(self) -> tuple[Action, ...]:
        return self.action if isinstance(self.action, tuple) else (self.action,)

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        b = batch[0]
        if self.sigma > 0:
            consistency, x1 = SURE(self.sigma, self.A, self.W).estimate(model, b, generator)
        else:
            x1 = full_precision(applied(model, b), b)
            r = self.A(x1) - b
            r = r if self.W is None else self.W(r)
            consistency = _dot(r, r) / b.numel()
        x2 = x1
        for T in self._actions():
            x2 = T(x2, generator)
        b2 = self.A(x2)
        if self.sigma > 0:
            b2 = b2 + self.sigma * normal(b2, generator)
        x3 = full_precision(applied(model, b2), b2)
        return consistency + self.weight * mean_square(x3 - x2)


# ---------------------------------------------------------------- arithmetic and checks


def mean_square(z: torch.Tensor) -> torch.Tensor:
    """Mean of |z|²."""
    return _dot(z, z) / z.numel()


def applied(model: torch.nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """What the model gives, which has to be one tensor."""
    u = model(*inputs)
    return check_type(u, "what model gives", torch.Tensor, "a torch tensor, as of a module that returns one alone")


def full_precision(u: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``u`` in the precision of the data, where autocast made it a half: operators have one dtype."""
    return u.to(b.real.dtype) if u.dtype in (torch.bfloat16, torch.float16) else u


def _dot(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Re<u, v> over all entries."""
    if u.is_complex() or v.is_complex():
        return (u.conj() * v).real.sum()
    return (u * v).sum()


def _signs(b: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Independent ±1, or ±1 ± i, each with equal probability."""
    if b.is_complex():
        return torch.complex(_signs(b.real, generator), _signs(b.real, generator))
    signs = torch.randint(2, b.shape, generator=generator, device=b.device)
    return signs.to(b.dtype).mul_(2).sub_(1)


def normal(b: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal; where complex, in each part."""
    n = torch.randn(b.shape, generator=generator, device=b.device, dtype=b.dtype)
    return n * math.sqrt(2) if b.is_complex() else n  # torch's complex normal has variance 1 in all


def check_map(name: str, value: Any, optional: bool = False) -> None:
    check_type(value, name, LinearMap | None if optional else LinearMap, "a LinearMap, such as LinearMap(operator)")
