"""Losses of generative models: evidence lower bound, reconstruction, Wasserstein distance with gradient penalty."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ipbox.checks import check_count, check_not_negative, check_positive, check_type
from ipbox.keywords import answering
from ipbox.learned.networks.generative.adversarial import WGAN
from ipbox.learned.networks.generative.autoencoders import VAE
from ipbox.learned.training.losses import Adversarial

__all__ = ["ELBO", "Reconstruction", "WassersteinGP", "kl_divergence"]


@dataclass(frozen=True)
class Reconstruction:
    """Of an `Autoencoder`: mean of |G(E(u)) - u|² over the pixels, plus μ times the mean of |E(u)|².

    Parameters
    ----------
    weight : float
        μ >= 0, which keeps latent vectors where N(0, I) has them; ``noise`` keeps neighbours alike.
    noise : float
        Standard deviation of the noise added to E(u).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import Generator
    >>> from ipbox.learned.training.generative import Reconstruction
    >>> flat, image = torch.nn.Flatten(), torch.nn.Unflatten(1, (1, 1, 2))
    >>> model = Generator(image, latent=2, dims=(1, 2), encoder=flat)
    >>> float(Reconstruction(weight=0.1)(model, (torch.ones(3, 1, 1, 2),), torch.Generator()))
    0.1...
    """

    weight: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_not_negative(self.weight, "weight"), check_not_negative(self.noise, "noise")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        u = batch[0]
        z = model.encode(u)
        size = z.square().mean()
        if self.noise:
            z = z + self.noise * torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        return (model.decode(z) - u).square().mean() + self.weight * size


@dataclass(frozen=True)
class ELBO:
    r"""Of a `VAE` or `CovarianceVAE`: the negative evidence lower bound, in nats per pixel, mean over the images,

    .. math:: \tfrac1n \big(\beta\, \mathrm{KL}(q(z|u) \| N(0, I)) + \tfrac12 \|L(z)^T(u - G(z))\|^2
              - \textstyle\sum_p d_p + \tfrac n2 \log 2\pi\big), \qquad z \sim q(z|u),

    with all constants; it bounds -log p(u)/n for β = 1.

    Parameters
    ----------
    weight : float
        β >= 0.

    References
    ----------
    Kingma and Welling, Auto-encoding variational Bayes, ICLR (2014); Higgins et al., β-VAE, ICLR (2017).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import VAE
    >>> from ipbox.learned.training.generative import ELBO
    >>> model = VAE(latent=3, dims=(8, 8), widths=(4, 8))
    >>> ELBO()(model, (torch.zeros(2, 1, 8, 8),), torch.Generator().manual_seed(0)).shape
    torch.Size([])
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        check_not_negative(self.weight, "weight")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        check_type(model, "model", VAE, "a VAE or CovarianceVAE")
        u = batch[0]
        m, log_variance = model.posterior(u)
        noise = torch.randn(m.shape, generator=generator, dtype=m.dtype, device=m.device)
        z = m + (0.5 * log_variance).exp() * noise
        bound = self.weight * kl_divergence(m, log_variance) - model.log_likelihood(u, z)
        return bound.mean() / u[0].numel()


@dataclass(frozen=True)
class WassersteinGP:
    """Of a `WGAN`: in ``critic_steps`` of ``critic_steps + 1`` steps the critic learns, in the last one the generator.

    The critic Ψ: E Ψ(u) - E Ψ(G(z)) + μ E (‖∇Ψ(εu + (1-ε)G(z))‖ - 1)₊², z ~ N(0, I), the norm over all pixels of an
    image, see `losses.Adversarial`.  The generator: E Ψ(G(z)).  The model counts its steps, so one `fit` trains both,
    and a training that goes on takes up at the same turn.

    Parameters
    ----------
    penalty : float
        μ.
    critic_steps : int

    Notes
    -----
    Adam with ``betas=(0.0, 0.9)`` and a rate of 1e-4 is usual.

    References
    ----------
    Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville, Improved training of Wasserstein GANs, NeurIPS (2017).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import WGAN
    >>> from ipbox.learned.training.generative import WassersteinGP
    >>> model, generator = WGAN(latent=3, dims=(8, 8), widths=(4, 8)), torch.Generator().manual_seed(0)
    >>> loss = WassersteinGP()(model, (torch.zeros(2, 1, 8, 8),), generator)
    >>> loss.requires_grad, model.turn.item()
    (True, 1)
    """

    penalty: float = 10.0
    critic_steps: int = 5

    def __post_init__(self) -> None:
        check_positive(self.penalty, "penalty"), check_count(self.critic_steps, "critic_steps")

    def __call__(self, model: torch.nn.Module, batch: tuple, generator: torch.Generator) -> torch.Tensor:
        check_type(model, "model", WGAN, "a WGAN")
        u = batch[0]
        turn = int(model.turn) % (self.critic_steps + 1)
        if model.training and torch.is_grad_enabled():
            model.turn += 1
        z = torch.randn(len(u), model.latent, generator=generator, dtype=u.dtype, device=u.device)
        if turn < self.critic_steps:
            with torch.no_grad():
                made = model.decode(z)
            return Adversarial(self.penalty)(model.critic, (u, made), generator)
        fixed = {name: p.detach() for name, p in model.critic.named_parameters()}
        return torch.func.functional_call(model.critic, fixed, (model.decode(z),)).mean()


@answering
def kl_divergence(m: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(m, diag s²) ‖ N(0, I)) of each row, (N,).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.training.generative import kl_divergence
    >>> kl_divergence(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)).item()
    0.5
    """
    for name, t in (("m", m), ("log_variance", log_variance)):
        check_type(t, name, torch.Tensor, "a tensor (N, latent)")
    return 0.5 * (m.square() + log_variance.exp() - log_variance - 1).sum(dim=1)
