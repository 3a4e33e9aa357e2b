"""The hard range constraint."""

from __future__ import annotations

from ipbox.learned.priors.generative.base import LatentPrior

__all__ = ["RangePrior"]


class RangePrior(LatentPrior):
    """R(u) = inf { μ/2 ‖z‖² : u = s G(z) }, infinite where u is no image of the model.

    Parameters
    ----------
    model, scale, mu
        As for `LatentPrior`.

    References
    ----------
    Bora, Jalal, Price and Dimakis, Compressed sensing using generative models, ICML (2017).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import Generator
    >>> from ipbox.learned.priors.generative import RangePrior
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 20), torch.nn.Unflatten(1, (1, 4, 5)))
    >>> RangePrior(Generator(net, latent=3, dims=(4, 5)))
    RangePrior(Generator): inf_z {½‖z‖² : u = G(z)}, z: (3,), u: (4, 5)
    """

    direct = quadratic = True
    formula = "inf_z {½‖z‖² : u = G(z)}"
