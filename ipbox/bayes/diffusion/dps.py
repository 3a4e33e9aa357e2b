"""Diffusion posterior sampling (Chung, Kim, McCann, Klasky and Ye 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ipbox import backend
from ipbox.bayes.diffusion.base import DiffusionSampler, noise_deviation
from ipbox.checks import check_positive
from ipbox.operators.core.norms import norm_in_range
from ipbox.solvers import Parts, State
from ipbox.solvers.per_sample import norms


@dataclass(frozen=True)
class DPS(DiffusionSampler):
    r"""The reverse diffusion with a step down the misfit of the denoised image, through the network:

    .. math:: x ← x' - ζ \frac{s\sqrt{m}}{‖A‖^2} \frac{J^* A^* r}{‖r‖}, \quad r = A D_σ(x) - b, \quad J = D_σ'(x),

    where x' is the ancestral step from x, as in `ReverseDiffusion`, s the deviation of the noise and m the number of
    data.  The paper's step size is one over ‖r‖, too; in these units ζ has none, and is that of a gradient step, with 1
    the longest that surely does not increase the misfit, where ‖r‖ has come down to the noise.

    Parameters
    ----------
    score, levels, seed
        As of `DiffusionSampler`; the score needs its ``vjp``.
    zeta : float
        ζ.

    Notes
    -----
    The likelihood of b given x at level σ is taken for that given its mean D_σ(x), as if x_0 were known from x: too
    certain for large σ; and ζ/‖r‖ has the place of the steps that the diffusion would make, so that samples vary too
    little, or too much, by a factor that ζ and the number of levels settle.

    References
    ----------
    Chung, Kim, McCann, Klasky and Ye, Diffusion posterior sampling for general noisy inverse problems, ICLR 2023.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bayes.diffusion import DPS, Score, geometric_levels
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    ...     def _vjp(self, x, sigma, v):
    ...         return v / (1 + sigma**2)
    >>> A, b = ip.Identity((4, 4), "float64"), np.ones((4, 4))
    >>> problem = ip.Problem(0.1**-2 * ip.L2(A, b), batch=100)
    >>> x = ip.solve(problem, DPS(White(), geometric_levels(20.0, 0.01, 200))).x
    >>> bool(abs(x.mean() - 1) < 0.1)
    True
    """

    zeta: float = 1.0
    approximates: ClassVar[str] = "the likelihood given a noisy image is taken for that given its denoised image"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self.zeta, "zeta")

    def step(self, p: Parts, s: State) -> None:
        sigma, after = self.level(s)
        f = p.problem.fidelity
        d, vjp = self.score.linearise(s.x, sigma)
        r = f.residual(d)
        g = vjp(f.A.apply_adjoint(r))
        self.ancestral(s, d, sigma, after)
        noise = noise_deviation(p) * math.sqrt(f.b.size * (2 if f.b.dtype.kind == "c" else 1))
        size = self.zeta * noise / norm_in_range(f.A) ** 2
        backend.axpy(-size / np.maximum(norms(r, p), np.finfo(np.float32).tiny), g, s.x)
