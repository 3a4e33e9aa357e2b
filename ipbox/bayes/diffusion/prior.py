"""Samples of the prior: the variance-exploding diffusion in reverse, and its probability flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.bayes.diffusion.base import CORRECTOR, DiffusionSampler, langevin_size
from ipbox.bayes.diffusion.score import Score
from ipbox.checks import check_count, check_flag, check_not_negative
from ipbox.solvers import Parts, State


@dataclass(frozen=True)
class ReverseDiffusion(DiffusionSampler):
    r"""Samples of the prior by predictor and corrector (Song et al. 2021).

    The predictor is the ancestral step from σ to σ₊ < σ, with r = σ₊²/σ²,

    .. math:: x ← r x + (1 - r) D_σ(x) + σ_+ \sqrt{1 - r} \, z, \quad z \sim N(0, I),

    which to first order is x + (σ² - σ₊²) ∇log p_σ(x) + √(σ² - σ₊²) z; the corrector, Langevin's step at σ₊,

    .. math::
        x ← x + ε ∇\log p_{σ_+}(x) + \sqrt{2ε} \, z, \quad ε = 2 \, \mathrm{snr}^2 \frac{n}{E‖∇\log p_{σ_+}(x)‖^2},

    with n = E‖z‖² pixels, and the mean over the samples for the expectation.

    Parameters
    ----------
    score, levels, seed
        As of `DiffusionSampler`.
    correctors : int
        Corrector's steps after each step of the predictor.
    snr : float
        Signal-to-noise ratio of the corrector.

    Notes
    -----
    The paper's size, 2 (snr ‖z‖/‖∇log p(x)‖)², follows each sample: where ε depends on x, Langevin's steps settle in
    p/ε, here p ‖∇log p‖², however small snr is.  One size for all samples, as in the authors' code, has no such bias;
    of it is left a share 1/samples, and with n pixels it is about 2/n of the variances.

    References
    ----------
    Song et al., Score-based generative modeling through stochastic differential equations, ICLR 2021.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bayes.diffusion import ReverseDiffusion, Score, geometric_levels
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> sampler = ReverseDiffusion(White(), geometric_levels(20.0, 0.01, 100))
    >>> problem = ip.Problem(ip.functionals.Zero(), dims=(50, 50), dtype="float64", batch=2)
    >>> bool(abs(ip.solve(problem, sampler).x.std() - 1) < 0.05)
    True
    """

    correctors: int = 0
    snr: float = 0.15
    needs_data: ClassVar[bool] = False
    approximates: ClassVar[str] = "the law is that of the prior up to the size of the steps and the error of the score"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.correctors, "correctors", least=0), check_not_negative(self.snr, "snr")

    def step(self, p: Parts, s: State) -> None:
        sigma, after = self.level(s)
        self.ancestral(s, self.score.denoise(s.x, sigma), sigma, after)
        correct(self, s, after)


def correct(sampler: ReverseDiffusion, s: State, sigma: float) -> None:
    """Langevin's steps at σ."""
    for j in range(sampler.correctors if sigma > 0 else 0):
        g, z = sampler.score.score(s.x, sigma), sampler.normal(s, CORRECTOR + j)
        eps = langevin_size(g, sampler.snr)
        backend.axpy(eps, g, s.x)
        backend.axpy((2 * eps) ** 0.5, z, s.x)


@dataclass(frozen=True)
class ProbabilityFlow(DiffusionSampler):
    r"""Samples of the prior by the ordinary differential equation with the marginal laws of the diffusion,

    .. math:: \frac{dx}{dσ} = -σ ∇\log p_σ(x) = \frac{x - D_σ(x)}{σ},

    from σ_0 to 0: after the noise at the start nothing is random.

    Parameters
    ----------
    score, levels, seed
        As of `DiffusionSampler`.
    heun : bool
        Heun's steps, of second order, with two evaluations of the score, instead of Euler's; Euler's to 0 all the same.

    References
    ----------
    Song et al., ICLR 2021; Karras et al., Elucidating the design space of diffusion-based generative models, NeurIPS
    2022.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bayes.diffusion import ProbabilityFlow, Score, geometric_levels
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> sampler = ProbabilityFlow(White(), geometric_levels(20.0, 0.01, 50))
    >>> problem = ip.Problem(ip.functionals.Zero(), dims=(50, 50), dtype="float64", batch=2)
    >>> bool(abs(ip.solve(problem, sampler).x.std() - 1) < 0.05)
    True
    """

    heun: bool = True
    needs_data: ClassVar[bool] = False
    approximates: ClassVar[str] = "the law is that of the prior up to the size of the steps and the error of the score"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag(self.heun, "heun")

    def step(self, p: Parts, s: State) -> None:
        flow_step(self.score, s.x, *self.level(s), self.heun)


def flow_step(score: Score, x: Array, sigma: float, after: float, heun: bool) -> None:
    """x ← x(σ₊) from x(σ), in place, of the probability flow."""
    h = after - sigma
    slope = (x - score.denoise(x, sigma)) / sigma
    backend.axpy(h, slope, x)
    if heun and after > 0:
        other = (x - score.denoise(x, after)) / after
        backend.axpy(h / 2, other, x)
        backend.axpy(-h / 2, slope, x)
