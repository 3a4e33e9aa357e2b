"""Diffusion posterior sampling (Chung, Kim, McCann, Klasky and Ye 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ipbox import backend
from ipbox.bayes.diffusion.base import DiffusionSampler, noise_deviation
from ipbox.checks import check_between
from ipbox.operators.core.norms import norm_in_range
from ipbox.solvers import Parts, State


@dataclass(frozen=True)
class DPS(DiffusionSampler):
    r"""The reverse diffusion with a step down the misfit of the denoised image, through the network:

    .. math:: x ← x' - \frac{ζ}{‖A‖^2 + s^2/σ^2} J^* A^* (A D_σ(x) - b), \quad J = D_σ'(x),

    where x' is the ancestral step from x, as in `ReverseDiffusion`, and s the deviation of the noise.  The paper leaves
    the step size open, and divides by ‖A D_σ(x) - b‖; here, ‖A‖² + s²/σ² being the curvature of the misfit and of the
    image's own uncertainty together, ζ has no unit, and the data lose their weight where they are less certain than x.

    Parameters
    ----------
    score, levels, seed
        As of `DiffusionSampler`; the score needs its ``vjp``.
    zeta : float
        ζ, below 2.

    Notes
    -----
    The likelihood of b given x at level σ is taken for that given its mean D_σ(x), as if x_0 were known from x: too
    certain for large σ; and the step does not follow the length of the diffusion's own, so that how the samples vary
    depends on ζ and on the number of levels.  Directions that A hardly sees take many steps, so ζ is large by default;
    the others then follow the noise, too, more closely than the posterior does.

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

    zeta: float = 1.5
    approximates: ClassVar[str] = "the likelihood given a noisy image is taken for that given its denoised image"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between(self.zeta, "zeta", 0, 2)

    def step(self, p: Parts, s: State) -> None:
        sigma, after = self.level(s)
        f = p.problem.D
        d, vjp = self.score.linearise(s.x, sigma)
        g = vjp(f.A.apply_adjoint(f.residual(d)))
        self.ancestral(s, d, sigma, after)
        backend.axpy(-self.zeta / (norm_in_range(f.A) ** 2 + (noise_deviation(p) / sigma) ** 2), g, s.x)
