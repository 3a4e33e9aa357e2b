"""Posterior sampling by projection onto data of the noise's own level (Song, Shen, Xing and Ermon 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ipbox.bayes.diffusion.base import DATA, data_proximal, noise_deviation
from ipbox.bayes.diffusion.prior import ReverseDiffusion, correct
from ipbox.checks import check_between, check_count
from ipbox.operators.core.norms import norm_in_range
from ipbox.solvers import Parts, State


@dataclass(frozen=True)
class Projection(ReverseDiffusion):
    r"""The reverse diffusion, with x drawn towards noisy data before each step.

    .. math:: \hat y = b + σ A z, \quad
        x ← \operatorname{argmin}_u \, \tfrac{λ}{‖A‖^2} ‖Au - \hat y‖^2 + (1 - λ) ‖u - x‖^2,

    and then predictor and corrector of `ReverseDiffusion`.  Where AA* = ‖A‖² I this is the paper's: a share λ of the
    data replaces those of x, and what A does not see stays.  Elsewhere a few conjugate gradient steps find u.

    Parameters
    ----------
    score, levels, seed, correctors, snr
        As of `ReverseDiffusion`.
    lam : float, optional
        λ in (0, 1], the same at every level; 1 for data without noise.  By default 1/λ = 1 + s²/(σ²‖A‖²), with which
        the weights of data and image are as 1/s² to 1/σ², s the deviation of the noise: data that are less certain than
        the image are not followed.
    inner : int
        Most conjugate gradient steps.

    Notes
    -----
    The law is not that of the posterior: ŷ has noise of its own, which the reverse step does not know of, and x is
    replaced by one image instead of being drawn given ŷ.  It is right where the data determine x, and where there are
    none.

    References
    ----------
    Song, Shen, Xing and Ermon, Solving inverse problems in medical imaging with score-based generative models, ICLR
    2022.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bayes.diffusion import Projection, Score, geometric_levels
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> A, b = ip.Identity((4, 4), "float64"), np.ones((4, 4))
    >>> problem = ip.Problem(0.1**-2 * ip.L2(A, b), batch=200)
    >>> x = ip.solve(problem, Projection(White(), geometric_levels(20.0, 0.01, 100))).x
    >>> bool(abs(x.mean() - 1) < 0.05)
    True
    """

    lam: float | None = None
    inner: int = 20
    needs_data: ClassVar[bool] = True
    approximates: ClassVar[str] = "noisy data are met by projection, not by their likelihood given the noisy image"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.inner, "inner")
        if self.lam is not None:
            check_between(self.lam, "lam", 0, 1, "(]")

    def step(self, p: Parts, s: State) -> None:
        sigma, after = self.level(s)
        f = p.problem.D
        y = f.A.apply(self.normal(s, DATA))
        y *= sigma
        y += f.b
        s.x[...] = data_proximal(p, s.x, self._rho(p, sigma), y, most=self.inner)
        self.ancestral(s, self.score.denoise(s.x, sigma), sigma, after)
        correct(self, s, after)

    def _rho(self, p: Parts, sigma: float) -> float:
        """ρ = ‖A‖²(1 - λ)/λ."""
        if self.lam is None:
            return (noise_deviation(p) / sigma) ** 2
        return norm_in_range(p.problem.D.A) ** 2 * (1 - self.lam) / self.lam
