"""A variational autoencoder whose decoder gives a covariance: by a sparse Cholesky factor of the precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from ipbox.checks import check_choice, check_count, check_positive
from ipbox.learned.networks.generative.autoencoders import VAE, WIDTHS
from ipbox.learned.networks.generative.base import check_latent
from ipbox.learned.networks.generative.cholesky import StructuredPrecision, check_log_diagonal
from ipbox.learned.networks.generative.stacks import Decoder
from ipbox.learned.networks.layers import listed

__all__ = ["STRUCTURES", "CovarianceVAE"]

# name -> off-diagonal maps; None: no head at all
STRUCTURES = {"identity": None, "diagonal": 0, "3x3": 4, "5x5": 12}
HEAD = (16, 24, 32, 48)
FIRST = 1e-3  # factor of the head's last layer, so that it starts from the identity


class CovarianceVAE(VAE):
    r"""z ~ N(0, I), u | z ~ N(G(z), Σ(z)) with :math:`\Sigma(z)^{-1} = L(z) L(z)^T`, L as in `cholesky`.

    A second decoder, the head, gives raw maps :math:`(\delta, v_1, ..., v_F)` of z, from which

    .. math:: d = d_0 + c \tanh(\delta / c), \qquad w_f = e^d v_f,

    with a number :math:`d_0`, learned too: so log-diagonals stay within :math:`c` of it in whatever units the images
    are, and Σ is never singular; -v are the weights with which a pixel is predicted from its later neighbours.

    Parameters
    ----------
    latent, dims, widths, act, noise
        As for `VAE`; :math:`d_0 = -\log` noise at the start, where Σ = noise² I.
    structure : {"3x3", "5x5", "diagonal", "identity"}
        Neighbours that L couples: F = 4, 12, 0; identity has no head, and is a `VAE`.
    head : sequence of int
        Widths of the head.
    clip : float
        c.

    Notes
    -----
    Train encoder and mean first, as a `VAE`, then the head alone (``covariance_parameters``) at a lower rate, both with
    `ipbox.learned.training.generative.ELBO`: joint training from the start lets the covariance explain what the mean
    should.

    References
    ----------
    Duff, Simpson, Ehrhardt and Campbell, VAEs with structured image covariance applied to compressed sensing MRI, Phys.
    Med. Biol. 68 (2023).
    Dorta, Vicente, Agapito, Campbell and Simpson, Structured uncertainty prediction networks, CVPR (2018).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import CovarianceVAE
    >>> model = CovarianceVAE(latent=3, dims=(8, 8), widths=(4, 8), head=(4, 4), structure="3x3")
    >>> d, w = model.decode_precision(torch.zeros(2, 3))
    >>> d.shape, w.shape
    (torch.Size([2, 1, 8, 8]), torch.Size([2, 4, 8, 8]))
    """

    def __init__(
        self,
        latent: int = 64,
        dims: tuple[int, int] = (64, 64),
        widths: Sequence[int] = WIDTHS,
        act: str = "elu",
        noise: float = 0.1,
        structure: str = "3x3",
        head: Sequence[int] = HEAD,
        clip: float = 5.0,
    ) -> None:
        super().__init__(latent, dims, widths, act, noise)
        count = STRUCTURES[check_choice(structure, "structure", STRUCTURES)]
        self.clip = check_positive(clip, "clip")
        self.config |= {
            "structure": structure,
            "head": [check_count(w, "head") for w in listed(head, "head")],
            "clip": clip,
        }
        self.head = None if count is None else Decoder(self.dims, latent, 1 + count, head, act)
        if self.head is not None:
            with torch.no_grad():
                self.head.body[-1].weight *= FIRST
                self.head.body[-1].bias.zero_()

    def decode_precision(self, z: torch.Tensor) -> StructuredPrecision:
        """d and w of each image, (N, 1, H, W) and (N, F, H, W).

        Raises
        ------
        ValueError
            where z is not (N, latent), or weights are such that Σ is singular.
        """
        check_latent(z, self.latent)
        if self.head is None:
            check_log_diagonal(self.level)
            return super().decode_precision(z)
        raw = self.head(z)
        d = check_log_diagonal(self.level + self.clip * torch.tanh(raw[:, :1] / self.clip))
        return StructuredPrecision(d, d.exp() * raw[:, 1:])

    def covariance_parameters(self) -> Iterator[nn.Parameter]:
        """Those of Σ: of the head, and d_0."""
        yield self.level
        if self.head is not None:
            yield from self.head.parameters()
