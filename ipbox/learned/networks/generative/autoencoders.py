"""Autoencoder and variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ipbox.checks import check_positive
from ipbox.learned.networks.generative.base import Generative
from ipbox.learned.networks.generative.cholesky import StructuredPrecision
from ipbox.learned.networks.generative.stacks import Decoder, Encoder
from ipbox.learned.networks.layers import listed

__all__ = ["VAE", "Autoencoder"]

WIDTHS = (32, 48, 64, 96)
LOG_VARIANCES = (-12.0, 6.0)  # of the posterior: beyond, exp overflows while training begins


class Autoencoder(Generative):
    """u ≈ G(E(u)), both of strided convolutions, the image linear in the last features.

    Parameters
    ----------
    latent : int
        Size of z.
    dims : tuple of int
        (H, W), divisible by 2 to the number of widths.
    widths : sequence of int
        Channels at half the size, a quarter, ...
    act : {"elu", "relu", "softplus"}

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import Autoencoder
    >>> model = Autoencoder(latent=3, dims=(8, 12), widths=(4, 8))
    >>> z = model.encode(torch.zeros(2, 1, 8, 12))
    >>> z.shape, model.decode(z).shape
    (torch.Size([2, 3]), torch.Size([2, 1, 8, 12]))
    """

    def __init__(
        self, latent: int = 64, dims: tuple[int, int] = (64, 64), widths: Sequence[int] = WIDTHS, act: str = "elu"
    ) -> None:
        super().__init__(latent, dims)
        self.config = {"latent": latent, "dims": list(self.dims), "widths": listed(widths, "widths"), "act": act}
        self.encoder = Encoder(self.dims, latent, widths, act)
        self.decoder = Decoder(self.dims, latent, 1, widths, act)

    def mean(self, z: torch.Tensor) -> torch.Tensor:
        return self.decoder(z)

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        return self.encoder(self.check_images(u))


class VAE(Generative):
    r"""The variational autoencoder: z ~ N(0, I), u | z ~ N(G(z), σ²I), and an encoder q(z | u) = N(m(u), diag s(u)²).

    It is trained by `ipbox.learned.training.generative.ELBO`; σ is learned with it, or held where it is.

    Parameters
    ----------
    latent, dims, widths, act
        As for `Autoencoder`.
    noise : float
        σ > 0 at the start, in the units of the images.

    References
    ----------
    Kingma and Welling, Auto-encoding variational Bayes, ICLR (2014).
    Rybkin, Daniilidis and Levine, Simple and effective VAE training with calibrated decoders, ICML (2021).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import VAE
    >>> model = VAE(latent=3, dims=(8, 8), widths=(4, 8))
    >>> z = model.encode(torch.zeros(2, 1, 8, 8))       # the mean of q
    >>> model.log_likelihood(torch.zeros(2, 1, 8, 8), z).shape
    torch.Size([2])
    """

    has_encoder = True

    def __init__(
        self,
        latent: int = 64,
        dims: tuple[int, int] = (64, 64),
        widths: Sequence[int] = WIDTHS,
        act: str = "elu",
        noise: float = 0.1,
    ) -> None:
        super().__init__(latent, dims)
        check_positive(noise, "noise")
        self.config = {
            "latent": latent,
            "dims": list(self.dims),
            "widths": listed(widths, "widths"),
            "act": act,
            "noise": noise,
        }
        self.encoder = Encoder(self.dims, 2 * latent, widths, act)
        self.decoder = Decoder(self.dims, latent, 1, widths, act)
        self.level = torch.nn.Parameter(torch.tensor(-math.log(noise)))  # d of all pixels

    def mean(self, z: torch.Tensor) -> torch.Tensor:
        return self.decoder(z)

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        """m(u), (N, latent)."""
        return self.posterior(u)[0]

    def posterior(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """m(u) and log s(u)², (N, latent) each."""
        m, log_variance = self.encoder(self.check_images(u)).chunk(2, dim=1)
        return m, log_variance.clamp(*LOG_VARIANCES)

    def decode_precision(self, z: torch.Tensor) -> StructuredPrecision:
        """The precision of u | z: I/σ²."""
        d = self.level.to(z.dtype).expand(len(z), 1, *self.dims)
        return StructuredPrecision(d, d[:, :0])

    def log_likelihood(self, u: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log p(u | z) of each image, (N,), with all constants."""
        return self.decode_precision(z).log_density(u - self.decode(z))
