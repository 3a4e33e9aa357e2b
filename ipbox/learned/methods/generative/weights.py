"""A generator whose weights are unknowns too, one set for each image, as inverse GANs have them."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch.func import functional_call

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals.core.base import Functional, Work, indicator
from ipbox.learned.priors.network import evaluation

__all__ = ["WithWeights", "_LatentBall"]


class WithWeights(torch.nn.Module):
    """G_θ(z) as a model of the vector (z, w), θ_i = θ_i⁰ + ``rate`` · rms(θ_i⁰) · w_i: at w = 0 the trained one.

    Parameters
    ----------
    model : torch.nn.Module
        A generative model; its own weights are left as they are.
    rate : float
        Unit of w, relative to the weights: w and z are then optimised with one step size.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.methods.generative.weights import WithWeights
    >>> from ipbox.learned.networks.generative import Generator
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 20), torch.nn.Unflatten(1, (1, 4, 5)))
    >>> both = WithWeights(Generator(net, latent=3, dims=(4, 5)))
    >>> both.latent, both.decode(torch.zeros(2, both.latent)).shape
    (83, torch.Size([2, 1, 4, 5]))
    """

    def __init__(self, model: Any, rate: float = 0.02) -> None:
        super().__init__()
        self.decoder = _Decode(copy.deepcopy(model).requires_grad_(True))
        self.rate, self.dims, self.size = check_positive(rate, "rate"), tuple(model.dims), int(model.latent)
        self.names = self._used()
        own = dict(self.decoder.named_parameters())
        self.shapes = [own[name].shape for name in self.names]
        self.latent = self.size + sum(math.prod(shape) for shape in self.shapes)

    def _used(self) -> list[str]:
        """The parameters that G depends on: not those of an encoder or a critic."""
        own = dict(self.decoder.named_parameters())
        if not own:
            raise ValueError(f"{type(self.decoder.model).__name__} has no weights; expected a model to learn them of")
        p = next(iter(own.values()))
        z = torch.zeros(1, self.size, dtype=p.dtype, device=p.device)
        with evaluation(self.decoder, gradient=True):
            grads = torch.autograd.grad(self.decoder(z).sum(), list(own.values()), allow_unused=True)
        return [name for name, g in zip(own, grads, strict=True) if g is not None]

    def decode(self, y: torch.Tensor) -> torch.Tensor:
        """G_θ(z) of each row of y = (z, w), with its own weights."""
        own = dict(self.decoder.named_parameters())
        images = []
        for row in y:
            z, *parts = row.split([self.size, *(math.prod(shape) for shape in self.shapes)])
            theta = {}
            for name, shape, w in zip(self.names, self.shapes, parts, strict=True):
                p = own[name].detach()
                theta[name] = p + self.rate * p.square().mean().sqrt() * w.reshape(shape)
            images.append(functional_call(self.decoder, theta, (z[None],)))
        return torch.cat(images)


class _Decode(torch.nn.Module):
    """``decode`` as the module's call."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.model.decode(z)


class _LatentBall(Functional):
    """The indicator of ‖z‖ <= √d for the first d entries of (z, ...)."""

    has_prox = True

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def _value(self, x: Array, batch: bool) -> Any:
        rows = x.reshape(-1, x.shape[-1])[:, : self.size]
        inside = (rows**2).sum(axis=1) <= self.size * (1 + 1e-5)
        return indicator(inside, batch)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        xp = backend.array_module(x)
        out[...] = x
        z = out[..., : self.size]
        z *= xp.minimum(1, math.sqrt(self.size) / xp.maximum(xp.sqrt((z * z).sum(axis=-1, keepdims=True)), 1e-30))
