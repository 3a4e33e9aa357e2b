"""What generative models have in common: a latent space, images of one size, a decoder that is checked."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ipbox.checks import check_count, check_dims, check_type
from ipbox.learned.networks.layers import check_images

__all__ = ["Generative", "Generator", "WithPrecision"]


@runtime_checkable
class WithPrecision(Protocol):
    """A model whose images are N(G(z), Σ(z))."""

    def decode_precision(self, z: torch.Tensor) -> Any:
        """The precision of the images of z, such as a `StructuredPrecision`."""


class Generative(nn.Module):
    """A generator G from latent vectors z ~ N(0, I), (N, latent), to images, (N, 1, H, W).

    Parameters
    ----------
    latent : int
        Size of z.
    dims : tuple of int
        (H, W).

    Attributes
    ----------
    has_encoder : bool

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned import Generator
    >>> from ipbox.learned.networks.generative import Generative
    >>> model = Generator(torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Unflatten(1, (1, 2, 2))), 1, (2, 2))
    >>> isinstance(model, Generative), model.decode(torch.zeros(3, 1)).shape
    (True, torch.Size([3, 1, 2, 2]))
    """

    has_encoder = False

    def __init__(self, latent: int, dims: tuple[int, int]) -> None:
        super().__init__()
        self.latent = check_count(latent, "latent")
        self.dims: Any = check_dims(dims, "dims")
        if len(self.dims) != 2:
            raise ValueError(f"dims is {self.dims}; expected (rows, columns)")

    def mean(self, z: torch.Tensor) -> torch.Tensor:
        """G(z), unchecked: what a subclass gives."""
        raise NotImplementedError(f"{type(self).__name__} has no mean; expected a subclass that has")

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """G(z), (N, 1, H, W).

        Raises
        ------
        ValueError, TypeError
            where z is no real floating tensor (N, latent); where what the decoder gives is not (N, 1, H, W).
        """
        check_latent(z, self.latent)
        u = self.mean(z)
        if not isinstance(u, torch.Tensor) or u.shape != (len(z), 1, *self.dims):
            found = f"shape {tuple(u.shape)}" if isinstance(u, torch.Tensor) else type(u).__name__
            raise ValueError(f"the decoder gives {found}; expected {(len(z), 1, *self.dims)}, images of dims")
        return u

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        """A latent vector for each image, (N, latent), where the model has an encoder."""
        raise TypeError(f"{type(self).__name__} has no encoder; expected a search for z, as range_error does")

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(u))

    def check_images(self, u: torch.Tensor) -> torch.Tensor:
        """``u`` where it has images of the size of the model, (N, 1, H, W)."""
        check_images(u, 1)
        if tuple(u.shape[-2:]) != self.dims:
            raise ValueError(f"u has images of {tuple(u.shape[-2:])}; expected {self.dims}, the dims of the model")
        return u


class Generator(Generative):
    """A network of your own, from (N, latent) to (N, 1, H, W), as a generative model.

    Parameters
    ----------
    decoder : torch.nn.Module
    latent, dims
        As for `Generative`.
    encoder : torch.nn.Module, optional
        From (N, 1, H, W) to (N, latent).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import Generator
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 20), torch.nn.Unflatten(1, (1, 4, 5)))
    >>> Generator(net, latent=3, dims=(4, 5)).decode(torch.zeros(2, 3)).shape
    torch.Size([2, 1, 4, 5])
    """

    def __init__(
        self, decoder: nn.Module, latent: int, dims: tuple[int, int], encoder: nn.Module | None = None
    ) -> None:
        super().__init__(latent, dims)
        self.decoder = check_type(decoder, "decoder", nn.Module, "a torch.nn.Module")
        self.encoder = check_type(encoder, "encoder", nn.Module | None, "a torch.nn.Module or None")
        self.has_encoder = encoder is not None

    def mean(self, z: torch.Tensor) -> torch.Tensor:
        return self.decoder(z)

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        return super().encode(u) if not self.has_encoder else check_latent(self.encoder(u), self.latent)


def check_latent(z: Any, latent: int) -> torch.Tensor:
    """``z`` where it is a real floating tensor (N, latent)."""
    check_type(z, "z", torch.Tensor, "a torch tensor (N, latent)")
    if z.ndim != 2 or z.shape[1] != latent:
        raise ValueError(f"z has shape {tuple(z.shape)}; expected (N, {latent}), the latent size of the model")
    if not z.is_floating_point():
        raise TypeError(f"z has dtype {z.dtype}; expected a real floating one")
    return z
