"""The Wasserstein generative adversarial network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ipbox.learned.networks.generative.autoencoders import WIDTHS
from ipbox.learned.networks.generative.base import Generative
from ipbox.learned.networks.generative.stacks import Decoder, Encoder
from ipbox.learned.networks.layers import listed

__all__ = ["WGAN"]


class WGAN(Generative):
    """A generator G, and the critic Ψ that tells its images from true ones: small on images, large on G(z).

    It is trained by `ipbox.learned.training.generative.WassersteinGP`.

    Parameters
    ----------
    latent, dims, widths, act
        As for `Autoencoder`; Ψ has no normalisation, which the gradient penalty of single images would not stand.

    Attributes
    ----------
    generator, critic : torch.nn.Module
        (N, latent) to (N, 1, H, W), and (N, 1, H, W) to (N, 1).
    turn : torch.Tensor
        Steps of training so far: whose turn it is, also in a training that goes on.

    References
    ----------
    Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville, Improved training of Wasserstein GANs, NeurIPS (2017).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import WGAN
    >>> model = WGAN(latent=3, dims=(8, 8), widths=(4, 8))
    >>> model.critic(model.decode(torch.zeros(2, 3))).shape
    torch.Size([2, 1])
    """

    turn: torch.Tensor

    def __init__(
        self, latent: int = 64, dims: tuple[int, int] = (64, 64), widths: Sequence[int] = WIDTHS, act: str = "elu"
    ) -> None:
        super().__init__(latent, dims)
        self.config = {"latent": latent, "dims": list(self.dims), "widths": listed(widths, "widths"), "act": act}
        self.generator = Decoder(self.dims, latent, 1, widths, act)
        self.critic = Encoder(self.dims, 1, widths, act)
        self.register_buffer("turn", torch.tensor(0))

    def mean(self, z: torch.Tensor) -> torch.Tensor:
        return self.generator(z)
