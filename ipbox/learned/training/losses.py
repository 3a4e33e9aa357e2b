"""Losses to train with: from pairs, from images alone, from unpaired images and data; and those from data alone.

Each is called as ``loss(model, batch, generator)`` and returns a scalar, the mean over the batch; everything random is
drawn from ``generator``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ipbox.checks import check_flag, check_positive, check_type, counted, is_number, shown
from ipbox.learned.bridge.linear_map import LinearMap
from ipbox.learned.training.group_actions import Elements, Flips, QuarterTurns, Shifts
from ipbox.learned.training.operators import PerOperator
from ipbox.learned.training.regularisers import (
    Difference,
    MultiStepDenoising,
    MultiStepReconstruction,
    noise_weight,
    values,
)
from ipbox.learned.training.self_supervised import (
    SURE,
    EquivariantImaging,
    applied,
    check_map,
    full_precision,
    mean_square,
    normal,
)

__all__ = ["SURE", "Adversarial", "Denoising", "Elements", "EquivariantImaging", "Flips", "QuarterTurns", "Shifts"]
__all__ += ["Supervised"]
__all__ += ["Difference", "MultiStepDenoising", "MultiStepReconstruction", "PerOperator", "Unpaired", "noise_weight"]


@dataclass(frozen=True)
class Supervised:
    """Mean of |W(Φ(b) - x)|², or of |W(Φ(b) - x)|, over pairs.

    The batch is (b, x), or (b, ..., x) for models of several arguments, such as (noisy, sigma, x) for a denoiser.

    Parameters
    ----------
    norm : "l2" or "l1"
    W : torch.Tensor or callable, optional
        Factors that broadcast with the image, such as a mask, or a linear map applied to the difference.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.losses import Supervised
    >>> b, x = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]])
    >>> [float(Supervised(norm)(torch.nn.Identity(), (b, x), None)) for norm in ("l2", "l1")]
    [2.5, 1.5]
    """

    norm: str = "l2"
    W: torch.Tensor | Callable[[torch.Tensor], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        if self.norm not in ("l2", "l1"):
            raise ValueError(f"norm is {self.norm!r}; expected 'l2' or 'l1'")
        check_type(self.W, "W", torch.Tensor | Callable | None, "a tensor, or a function of one")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator | None) -> torch.Tensor:
        if len(batch) < 2:
            raise ValueError(f"the batch has {len(batch)} tensor; expected the data and the image, (b, x)")
        *inputs, x = batch
        u = applied(model, *inputs)
        if u.shape != x.shape:
            raise ValueError(f"model gives shape {tuple(u.shape)}; the images have {tuple(x.shape)}")
        z = u.to(x.dtype) - x
        if self.W is not None:
            z = self.W(z) if callable(self.W) else self.W * z
        return mean_square(z) if self.norm == "l2" else z.abs().mean()


@dataclass(frozen=True)
class Denoising:
    """Learn a denoiser from images alone: mean of |N(x + σn, σ) - x|² / s², with fresh noise n and σ for each image.

    With s = σ this is denoising score matching: (N(y, σ) - y)/σ² learns the score ∇ log p_σ(y) of the noisy images, its
    parts the derivatives by real and imaginary part where they are complex, weighted by σ² (Vincent 2011; Tweedie's
    formula).  With 1/s² = 1/σ² + 1/σ_d², σ_d the deviation of the images' pixels, no σ outweighs the others: the best
    denoiser that knows σ_d alone has the loss 1 at each (Karras et al. 2022).  The batch is (x,), or x alone.

    Parameters
    ----------
    sigma : tuple of float
        Least and largest standard deviation of the noise, drawn uniformly between them; of real and imaginary part,
        each, where x is complex: E|σn|² = 2σ², as wherever a σ is given in this package.
    weighting : "uniform", "score" or "balanced"
        s = 1, s = σ, or the last of the above.
    blind : bool
        Call the model as N(y) instead of N(y, σ) with σ of shape (N,).
    log_uniform : bool
        Draw log σ uniformly instead of σ, as for scores, which need σ over several powers of ten.
    sigma_data : float, optional
        σ_d; for ``weighting="balanced"``.

    References
    ----------
    P. Vincent, A connection between score matching and denoising autoencoders, Neural Computation, 2011.
    T. Karras, M. Aittala, T. Aila and S. Laine, Elucidating the design space of diffusion-based generative models,
    NeurIPS, 2022.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.losses import Denoising
    >>> x, generator = torch.zeros(50, 1, 8, 8), torch.Generator().manual_seed(0)
    >>> loss = Denoising((0.1, 0.3), weighting="score", blind=True)      # of the identity: the noise itself
    >>> round(float(loss(torch.nn.Identity(), (x,), generator)), 1)
    1.0
    """

    sigma: tuple[float, float]
    weighting: str = "uniform"
    blind: bool = False
    log_uniform: bool = False
    sigma_data: float | None = None

    def __post_init__(self) -> None:
        low, high = self.sigma if isinstance(self.sigma, tuple | list) and len(self.sigma) == 2 else (None, None)
        if not all(is_number(s) for s in (low, high)) or not 0 < low <= high < float("inf"):
            raise ValueError(f"sigma is {shown(self.sigma)}; expected (low, high) with 0 < low <= high")
        if self.weighting not in ("uniform", "score", "balanced"):
            raise ValueError(f"weighting is {self.weighting!r}; expected 'uniform', 'score' or 'balanced'")
        check_flag(self.log_uniform, "log_uniform"), check_flag(self.blind, "blind")
        if self.weighting == "balanced":
            check_positive(self.sigma_data, "sigma_data", "a positive number, for weighting='balanced'")
        elif self.sigma_data is not None:
            raise ValueError(f"sigma_data is {self.sigma_data}, and weighting {self.weighting!r}; expected 'balanced'")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        x, (low, high) = batch[0], self.sigma
        u = torch.rand(len(x), generator=generator, device=x.device, dtype=x.real.dtype)
        sigma = low * (high / low) ** u if self.log_uniform else low + (high - low) * u
        s = sigma.reshape(-1, *[1] * (x.ndim - 1))
        y = x + s * normal(x, generator)
        d = applied(model, y) if self.blind else applied(model, y, sigma)
        if d.shape != x.shape:  # which might broadcast
            raise ValueError(f"model gives shape {tuple(d.shape)}; the images have {tuple(x.shape)}")
        z = d.to(x.dtype) - x
        if self.weighting == "balanced":
            data: Any = self.sigma_data  # where it is balanced, it is given
            s = s * data / (s.square() + data**2).sqrt()
        return mean_square(z if self.weighting == "uniform" else z / s)


@dataclass(frozen=True)
class Adversarial:
    """Learn a regulariser Ψ that is small on images and large on bad reconstructions, the batch (x, z).

    E Ψ(x) - E Ψ(z) + μ E (‖∇Ψ(εx + (1-ε)z)‖ - 1)₊², ε uniform in [0, 1]: Ψ, which gives one value per sample, becomes
    the critic of a Wasserstein distance.  x and z need not be paired.

    Parameters
    ----------
    penalty : float
        μ, which holds Ψ to Lipschitz constant 1.
    reconstruction : callable, optional
        Applied to the second part of the batch, without derivatives, where this is data b and not z: A†, or a map Φ
        that is to be improved on.

    References
    ----------
    S. Lunz, O. Öktem, C.-B. Schönlieb, Adversarial regularizers in inverse problems, NeurIPS, 2018.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.losses import Adversarial
    >>> class Sum(torch.nn.Module):                        # ∇Ψ = (1, 1), of norm √2
    ...     def forward(self, u):
    ...         return u.sum(1)
    >>> x, z = torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 0.5]])
    >>> round(float(Adversarial(10.0)(Sum(), (x, z), torch.Generator())), 4)      # 2 - 0.5 + 10(√2 - 1)²
    3.2157
    """

    penalty: float = 20.0
    reconstruction: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        check_positive(self.penalty, "penalty")
        check_type(self.reconstruction, "reconstruction", Callable | None, "a function of one tensor")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        if len(batch) != 2:
            raise ValueError(
                f"the batch has {counted(len(batch), 'tensor')}; expected images and bad reconstructions, (x, z)"
            )
        x, z = batch
        if self.reconstruction is not None:
            with torch.no_grad():
                z = self.reconstruction(z).to(x.dtype)
        if x.shape != z.shape:
            raise ValueError(
                f"images have shape {tuple(x.shape)}, bad reconstructions {tuple(z.shape)}; expected equal"
            )
        learning = torch.is_grad_enabled()
        with torch.enable_grad():  # the penalty needs ∇Ψ in validation too
            eps = torch.rand(len(x), generator=generator, device=x.device, dtype=x.real.dtype)
            eps = eps.reshape(-1, *[1] * (x.ndim - 1))
            between = (eps * x + (1 - eps) * z).detach().requires_grad_()
            (slope,) = torch.autograd.grad(values(model, between).sum(), between, create_graph=learning)
            excess = (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1).clamp_min(0)
        value = values(model, x).mean() - values(model, z).mean()
        return value + self.penalty * excess.square().mean()


@dataclass(frozen=True)
class Unpaired:
    """Learn Φ from data and images that are not paired: mean of |AΦ(b) - b|² plus λ mean of Ψ(Φ(b)).

    The batch is (b,), or b alone.  Ψ, a critic that was trained on images by `Adversarial`, says how far Φ(b) is from
    their distribution; here it is held fixed.  It knows what lies between images and A†b, where it was trained, and not
    beyond: stop early, or alternate a few steps of Φ with a few of ``Adversarial(reconstruction=model)``.

    Parameters
    ----------
    A : LinearMap
    critic : torch.nn.Module
        Ψ, one value per sample.
    weight : float
        λ.

    References
    ----------
    S. Mukherjee, M. Carioni, O. Öktem, C.-B. Schönlieb, End-to-end reconstruction meets data-driven regularization for
    inverse problems, NeurIPS, 2021.

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.bridge.linear_map import LinearMap
    >>> from ipbox.learned.training.losses import Unpaired
    >>> A = LinearMap(ip.Identity((2,), dtype="float32"))
    >>> class Norm(torch.nn.Module):
    ...     def forward(self, u):
    ...         return u.norm(dim=1)
    >>> float(Unpaired(A, Norm(), 0.5)(torch.nn.Identity(), (torch.tensor([[3.0, 4.0]]),), None))
    2.5
    """

    A: LinearMap
    critic: torch.nn.Module
    weight: float

    def __post_init__(self) -> None:
        check_map("A", self.A)
        check_positive(self.weight, "weight")
        check_type(self.critic, "critic", torch.nn.Module, "a torch.nn.Module")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator | None) -> torch.Tensor:
        b = batch[0]
        u = applied(model, b)
        # constants instead of the critic's parameters, so that these collect no gradients
        fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
        prior = torch.func.functional_call(self.critic, fixed, (u,))
        return mean_square(self.A(full_precision(u, b)) - b) + self.weight * prior.mean()
