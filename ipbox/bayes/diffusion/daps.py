"""Decoupled annealing posterior sampling (Zhang et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bayes.diffusion.base import PERTURBED, DiffusionSampler, data_proximal, noise_deviation, normal_data
from ipbox.bayes.diffusion.prior import flow_step
from ipbox.checks import check_between, check_count, check_positive
from ipbox.solvers import Parts, State


@dataclass(frozen=True)
class DAPS(DiffusionSampler):
    r"""Draw x_0 given x and the data, and make noise of the next level afresh:

    .. math:: u \sim \exp\bigl( -\tfrac{1}{2s^2} ‖Au - b‖^2 - \tfrac{1}{2r^2} ‖u - \hat x_0‖^2 \bigr), \quad
        x ← u + σ_+ z, \quad z \sim N(0, I),

    where :math:`\hat x_0` is the end of the probability flow from x, and r its assumed deviation.

    Parameters
    ----------
    score, levels, seed
        As of `DiffusionSampler`.
    flow : int
        Euler's steps of the probability flow from σ to 0, by a constant factor down to the last level and then to 0; 1
        is D_σ(x).
    spread : float, optional
        r = σ · spread/√(σ² + spread²), the posterior deviation of a white prior of this deviation; by default r = σ, as
        in the paper.
    langevin : int, optional
        Draw u by so many Langevin steps from the flow's end, as in the paper; by default u is drawn exactly: the
        minimiser for b + s e and x̂_0 + r e', e and e' white noise, has this law (Papandreou and Yuille 2010).
    accuracy : float
        Of the conjugate gradients that find it: residual relative to that at their start.

    Notes
    -----
    The law of x_0 given x is taken for N(x̂_0, r² I).  Since noise is made afresh, errors of one level are forgotten at
    the next, unlike those of the reverse diffusion.

    References
    ----------
    Zhang, Chu, Berner, Meng, Anandkumar and Song, Improving diffusion inverse problem solving with decoupled noise
    annealing, arXiv:2407.01521.
    Papandreou and Yuille, Gaussian sampling by local perturbations, NeurIPS 2010.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bayes.diffusion import DAPS, Score, geometric_levels
    >>> class White(Score):                                    # of N(0, I)
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> A, b = ip.Identity((4, 4), "float64"), np.ones((4, 4))
    >>> problem = ip.Problem(0.1**-2 * ip.L2(A, b), batch=100)
    >>> x = ip.solve(problem, DAPS(White(), geometric_levels(20.0, 0.01, 50))).x
    >>> bool(abs(x.mean() - 1) < 0.05)
    True
    """

    flow: int = 2
    spread: float | None = None
    langevin: int | None = None
    accuracy: float = 1e-2
    approximates: ClassVar[str] = "the law of the image given the noisy one is taken for a white Gaussian one"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.flow, "flow"), check_between(self.accuracy, "accuracy", 0, 1)
        if self.spread is not None:
            check_positive(self.spread, "spread")
        if self.langevin is not None:
            check_count(self.langevin, "langevin")

    def step(self, p: Parts, s: State) -> None:
        sigma, after = self.level(s)
        x0 = self._flow_end(s.x, sigma)
        r = sigma if self.spread is None else sigma * self.spread / math.hypot(sigma, self.spread)
        s.x[...] = self._drawn(p, s, x0, r) if self.langevin is None else self._walked(p, s, x0, r)
        if after > 0:
            backend.axpy(after, self.normal(s), s.x)

    def _flow_end(self, x: Array, sigma: float) -> Array:
        """x̂_0."""
        x, last = x.copy(), min(self.levels[-1], sigma / 2)
        sigmas = [*np.geomspace(sigma, last, self.flow).tolist(), 0.0] if self.flow > 1 else [sigma, 0.0]
        for a, b in zip(sigmas[:-1], sigmas[1:], strict=True):
            flow_step(self.score, x, a, b, heun=False)
        return x

    def _drawn(self, p: Parts, s: State, x0: Array, r: float) -> Array:
        """u, as a minimiser with perturbed data and image."""
        noise = noise_deviation(p)
        y = p.problem.D.b + noise * normal_data(p, self.seed, s.k, PERTURBED)
        backend.axpy(r, self.normal(s, PERTURBED + 1), x0)
        return data_proximal(p, x0, (noise / r) ** 2, y, accuracy=self.accuracy)

    def _walked(self, p: Parts, s: State, x0: Array, r: float) -> Array:
        """u by Langevin's steps of half the longest stable size."""
        u, g = x0.copy(), p.xp.empty_like(x0)
        eta = 1 / (p.smooth.L + r**-2)
        for j in range(self.langevin or 0):
            p.smooth.grad(u, out=g)
            backend.axpy(r**-2, u - x0, g)
            backend.axpy(-eta, g, u)
            backend.axpy(math.sqrt(2 * eta), self.normal(s, PERTURBED + j), u)
        return u
