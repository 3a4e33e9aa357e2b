"""Small problems whose posterior is known: blur, missing pixels, tomography; a Gaussian prior, or a mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import summary
from ipbox.backend import Array
from ipbox.bayes.known.laws import Gaussian, GaussianMixture
from ipbox.checks import check_choice, check_count, check_positive, check_seed
from ipbox.keywords import answering
from ipbox.operators import GaussianBlur, Operator, RayTransform, Sampling, as_operator

OPERATORS, PRIORS = ("blur", "inpaint", "ct"), ("gaussian", "mixture")
NAMES = tuple(f"{A}-{prior}" for A in OPERATORS for prior in PRIORS)
VIEWS, SEEN = 6, 0.5  # angles of tomography, share of the pixels that are not missing
LENGTH, NUGGET = 1.5, 0.25  # pixels over which the prior's covariance falls by e; variance of each pixel alone
SHIFT = 1.4  # how far the components of the mixture are from their common mean, in deviations


@dataclass(frozen=True)
class KnownProblem:
    """Data b = Au + noise with u of a known prior, so that the posterior is known.

    Attributes
    ----------
    name : str
    A : Operator
    b, u : array
        Data, and the image that they were simulated from.
    noise_level : float
        s√m, for noise of standard deviation s on m data.
    prior, posterior : GaussianMixture
        Of class `Gaussian` where they are.

    Examples
    --------
    >>> import ipbox as ip
    >>> known = ip.bayes.known_problem("blur-gaussian")
    >>> known.b.shape == known.A.dimsd
    True
    """

    name: str
    A: Operator
    b: Array
    u: Array = field(repr=False)
    noise_level: float
    prior: GaussianMixture
    posterior: GaussianMixture

    __repr__ = summary.of_fields

    @property
    def deviation(self) -> float:
        """The standard deviation s of the noise."""
        return self.noise_level / math.sqrt(self.b.size)


@answering
def known_problem(name: str, size: int = 8, noise: float = 0.3, seed: int = 1) -> KnownProblem:
    r"""A problem with its posterior: an operator, a prior, and data drawn from them.

    The covariance of pixels at the distance d is exp(-d/1.5), and ¼ more on the diagonal.  The Gaussian prior has mean
    zero; the mixture three components of this covariance, whose means are a bright square on the left, on the right,
    and in the middle.

    Parameters
    ----------
    name : str
        ``"blur"``, ``"inpaint"`` (half of the pixels are missing) or ``"ct"`` (six views), then ``"-gaussian"`` or
        ``"-mixture"``.
    size : int
        Pixels a side: at least 6, of a blur 7.
    noise : float
        Standard deviation of the noise over ‖A‖; the prior's is near 1.
    seed : int
        Of image, noise and missing pixels; by default one with which several components of the mixture are probable.

    Returns
    -------
    KnownProblem

    Raises
    ------
    ValueError
        for an unknown name or numbers out of range.

    Examples
    --------
    >>> from ipbox.bayes import known_problem
    >>> problem = known_problem("inpaint-gaussian")
    >>> problem.b.shape, problem.posterior
    ((32,), Gaussian(dims=(8, 8), components=1))
    """
    kind, _, of_prior = check_choice(name, "name", NAMES).partition("-")
    size, noise = check_count(size, "size", least=7 if kind == "blur" else 6), check_positive(noise, "noise")
    draw, hide, disturb = (int(s) for s in np.random.SeedSequence(check_seed(seed)).generate_state(3))
    A, prior = _operator(kind, size, hide), _prior(of_prior, size)
    u = prior.sample(1, draw)[0]
    b = A.apply(u)
    s = noise * A.norm()
    b += s * np.random.default_rng(disturb).standard_normal(b.shape)
    noise_level = s * math.sqrt(b.size)
    return KnownProblem(name, A, b, u, noise_level, prior, prior.posterior(A, b, noise_level))


def _operator(kind: str, size: int, seed: int) -> Any:
    dims = (size, size)
    if kind == "blur":
        return GaussianBlur(dims, 1.0, boundary="reflective", truncate=2.5, dtype="float64")
    if kind == "ct":
        ray = RayTransform(dims, np.arange(VIEWS) * np.pi / VIEWS, dtype="float64")
        rows = ray.apply(np.eye(size**2).reshape(-1, *dims)).reshape(size**2, -1)
        return as_operator(rows.T, dims, tuple(ray.dimsd))  # so small, a matrix is a hundred times as fast
    order = np.random.default_rng(seed).permutation(size**2).reshape(dims)
    return Sampling(order < SEEN * size**2, dtype="float64")


def _prior(kind: str, size: int) -> GaussianMixture:
    y, x = (i.ravel() for i in np.indices((size, size)))
    distance = np.hypot(y[:, None] - y, x[:, None] - x)
    covariance = np.exp(-distance / LENGTH) + NUGGET * np.eye(size**2)
    if kind == "gaussian":
        return Gaussian(np.zeros((size, size)), covariance)
    means = np.zeros((3, size, size))
    side, rows = size // 3, slice(size // 3, size - size // 3)
    for m, left in zip(means, (0, size - side, (size - side) // 2), strict=True):
        m[rows, left : left + side] = SHIFT
    return GaussianMixture([0.4, 0.4, 0.2], means, covariance)
