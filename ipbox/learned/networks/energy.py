"""The base of networks that are regularisers: a number for each image, and what is proved of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ipbox.checks import check_count, check_positive
from ipbox.learned.networks.layers import check_images

__all__ = ["Energy", "leaky", "positive"]


class Energy(nn.Module):
    """R: images (N, 1, H, W) to N numbers.

    Attributes
    ----------
    config : dict
        The constructor's arguments.
    convex : bool
        Whether R is convex for every value of the parameters, by construction.
    weak_convexity, strong_convexity : float
        ρ and μ >= 0 with R + ρ/2 ‖u‖² and R - μ/2 ‖u‖² convex; ρ is infinite where none is known.
    lipschitz : float
        A proved bound of the Lipschitz constant of ∇R, for images of every size; infinite where none is known.

    Notes
    -----
    The constants are those of exact arithmetic, computed in double precision from the parameters as they are.  They
    can be differentiated by the parameters as `bounds`.
    """

    config: dict[str, Any]
    convex: bool = False

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Lipschitz constant of ∇R, ρ and μ, as tensors of the parameters' graph."""
        raise NotImplementedError("abstract")

    def _bound(self, which: int) -> float:
        with torch.no_grad():
            return float(self.bounds()[which])

    @property
    def lipschitz(self) -> float:
        return self._bound(0)

    @property
    def weak_convexity(self) -> float:
        return self._bound(1)

    @property
    def strong_convexity(self) -> float:
        return self._bound(2)

    def value_gradient(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """R(u) and ∇R(u), of every image, without a graph."""
        check_images(u, 1)
        with torch.inference_mode(False), torch.enable_grad():
            v = (u.clone() if u.is_inference() else u).detach().requires_grad_()
            values = self(v)
            (gradient,) = torch.autograd.grad(values.sum(), v)
        return values.detach(), gradient

    def typical_curvature(self, size: int = 32, steps: int = 8) -> float:
        """‖∇²R‖ at an image of random numbers in [0, 1], by the power method: what L is the worst case of."""
        p = next(self.parameters(), None)
        u, v = torch.rand(2, 1, 1, size, size, generator=torch.Generator().manual_seed(0))
        if p is not None:
            u, v = u.to(p), v.to(p)
        largest = 0.0
        with torch.enable_grad():
            u = u.requires_grad_()
            (g,) = torch.autograd.grad(self(u).sum(), u, create_graph=True)
            for _ in range(steps):
                (v,) = torch.autograd.grad(g, u, v / v.norm(), retain_graph=True)
                largest = max(largest, float(v.norm()))
                if largest == 0.0:
                    break
        return largest

    def gradient(self, u: torch.Tensor) -> torch.Tensor:
        """∇R(u), without a graph."""
        return self.value_gradient(u)[1]

    def gradient_map(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """u ↦ ∇R(u) with its graph, by u and by the parameters as they are now, for losses that descend on R."""

        def gradient(u: torch.Tensor) -> torch.Tensor:
            v = u if u.requires_grad else u.detach().requires_grad_()
            return torch.autograd.grad(self(v).sum(), v, create_graph=True)[0]

        return gradient


def positive(raw: torch.Tensor) -> torch.Tensor:
    """log(1 + e^raw) > 0, for weights that may not be negative."""
    return functional.softplus(raw)


def raw_of(value: float) -> float:
    """What `positive` maps to ``value`` > 0."""
    return value + math.log(-math.expm1(-value))


def leaky(t: torch.Tensor, slope: float, eps: float) -> torch.Tensor:
    """The smoothed leaky ReLU αt + (1 - α) h(t): convex, increasing with slopes in [α, 1].

    h(t) is 0 for t <= 0, t²/2ε up to ε, t - ε/2 beyond, so the slope changes at most at the rate (1 - α)/ε.
    """
    cut = t.clamp(0.0, eps)
    return slope * t + (1 - slope) * cut * (t - 0.5 * cut) / eps


def check_activation(slope: float, eps: float) -> tuple[float, float]:
    """The two numbers of `leaky`, 0 <= slope < 1 and eps > 0."""
    if not 0 <= slope < 1:
        raise ValueError(f"slope is {slope!r}; expected a number in [0, 1), of the leaky ReLU below zero")
    return float(slope), check_positive(eps, "eps")


def check_kernel(kernel: int, name: str = "kernel") -> int:
    """An odd number of pixels a side."""
    if check_count(kernel, name) % 2 == 0:
        raise ValueError(f"{name} is {kernel}; expected an odd number of pixels")
    return kernel
