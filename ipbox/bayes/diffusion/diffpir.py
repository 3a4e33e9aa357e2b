"""DiffPIR: diffusion as the denoising half of half-quadratic splitting (Zhu et al. 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ipbox import backend
from ipbox.bayes.diffusion.base import DiffusionSampler, data_proximal, noise_deviation
from ipbox.checks import check_between, check_positive
from ipbox.solvers import Parts, State


@dataclass(frozen=True)
class DiffPIR(DiffusionSampler):
    r"""Denoise, meet the data, and make noise again, part of it the noise that was found.

    .. math:: u = \operatorname{argmin}_u \, ‖Au - b‖^2 + ρ ‖u - D_σ(x)‖^2, \quad ρ = λ s^2/σ^2,

    .. math:: x ← u + σ_+ \bigl( \sqrt{1 - ζ} \, \tfrac{x - u}{σ} + \sqrt{ζ} \, z \bigr), \quad z \sim N(0, I).

    Parameters
    ----------
    score, levels, seed
        As of `DiffusionSampler`.
    lam : float
        λ, the weight of the denoised image beside the data.
    zeta : float
        ζ in [0, 1]: 0 makes no new noise, and 1 none of the old.
    accuracy : float
        Of the conjugate gradients that find u: residual relative to that at their start.

    Notes
    -----
    u is one image, the most probable for a prior N(D_σ(x), σ²/λ I), and not drawn from that law's posterior: samples
    vary too little, the less the larger λ.

    References
    ----------
    Zhu et al., Denoising diffusion models for plug-and-play image restoration, CVPR Workshops (NTIRE) 2023.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bayes.diffusion import DiffPIR, Score, geometric_levels
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> A, b = ip.Identity((4, 4), "float64"), np.ones((4, 4))
    >>> problem = ip.Problem(0.1**-2 * ip.L2(A, b), batch=100)
    >>> x = ip.solve(problem, DiffPIR(White(), geometric_levels(20.0, 0.01, 50))).x
    >>> bool(abs(x.mean() - 1) < 0.05)
    True
    """

    lam: float = 1.0
    zeta: float = 0.5
    accuracy: float = 1e-2
    approximates: ClassVar[str] = "u is the most probable image given x and b, and not drawn"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self.lam, "lam"), check_between(self.zeta, "zeta", 0, 1, "[]")
        check_between(self.accuracy, "accuracy", 0, 1)

    def step(self, p: Parts, s: State) -> None:
        sigma, after = self.level(s)
        rho = self.lam * (noise_deviation(p) / sigma) ** 2
        u = data_proximal(p, self.score.denoise(s.x, sigma), rho, accuracy=self.accuracy)
        s.x -= u
        s.x *= after / sigma * math.sqrt(1 - self.zeta)
        s.x += u
        if after > 0:
            backend.axpy(after * math.sqrt(self.zeta), self.normal(s), s.x)
