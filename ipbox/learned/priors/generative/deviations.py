"""Deviations from the range of a generative model: small ones, and sparse ones."""

from __future__ import annotations

import torch

from ipbox.backend import Array
from ipbox.functionals import L2, Functional
from ipbox.learned.priors.generative.base import LatentPrior, Maps

__all__ = ["SoftRange", "SparseDeviations"]


class SoftRange(LatentPrior):
    """R(u) = inf_z ½‖u/s - G(z)‖² + μ/2 ‖z‖².

    With deviations of standard deviation τ and noise of standard deviation σ, weight σ²/τ² and μ = τ² make
    ½‖Au - b‖² + λR(u) the negative log-density of u and z given b, times σ², for s = 1.

    Parameters
    ----------
    model, scale, mu
        As for `LatentPrior`.

    References
    ----------
    Duff, Campbell and Ehrhardt, Regularising inverse problems with generative machine learning models, J. Math.
    Imaging Vis. 66 (2024).

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.learned.networks.generative import Generator
    >>> from ipbox.learned.priors.generative import SoftRange
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 20, bias=False), torch.nn.Unflatten(1, (1, 4, 5)))
    >>> R = SoftRange(Generator(net, latent=3, dims=(4, 5)), scale=2.0)
    >>> R.at(np.zeros(3, "float32")).value(np.full((4, 5), 2.0, "float32"))     # of u for this z
    10.0
    """

    quadratic = True
    formula = "inf_z ½‖u - G(z)‖² + μ/2 ‖z‖²"

    def energies(self, v: torch.Tensor, t: torch.Tensor, maps: Maps) -> torch.Tensor:
        return 0.5 * (v - maps[0]).square().sum(dim=(1, 2, 3), dtype=torch.float64) + self.latent_energy(t)

    def functional(self, maps: Maps, like: Array, batch: bool = True) -> Functional:
        mean = self.images(maps, like)
        return L2(b=mean if batch else mean[0]).scaled(self.scale**-2)


class SparseDeviations(LatentPrior):
    """R(u) = inf_z ‖u/s - G(z)‖₁ + μ/2 ‖z‖².

    Parameters
    ----------
    model, scale, mu
        As for `LatentPrior`.

    References
    ----------
    Dhar, Grover and Ermon, Modeling sparse deviations for compressed sensing using generative models, ICML (2018).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.generative import Generator
    >>> from ipbox.learned.priors.generative import SparseDeviations
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 20), torch.nn.Unflatten(1, (1, 4, 5)))
    >>> SparseDeviations(Generator(net, latent=3, dims=(4, 5)), mu=0.1)
    SparseDeviations(Generator): inf_z ‖u - G(z)‖₁ + μ/2 ‖z‖², z: (3,), u: (4, 5)
    """

    direct = sparse = True
    formula = "inf_z ‖u - G(z)‖₁ + μ/2 ‖z‖²"
