"""The samplers of the package as functions of a problem, for `benchmark`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipbox.backend import Array
from ipbox.bayes.diffusion.sampling import METHODS, diffusion, prior_samples
from ipbox.bayes.known.laws import Gaussian
from ipbox.bayes.known.prior import NegativeLogDensity
from ipbox.bayes.known.problems import KnownProblem
from ipbox.bayes.known.score import MixtureScore
from ipbox.bayes.samplers import MYULA, PCN, ULA, Sampler
from ipbox.functionals import L2
from ipbox.operators import as_operator
from ipbox.solvers import Problem, solve, stopping

# (problem, samples, steps, seed) -> independent samples, (samples,) + dims; None where it cannot take the problem
Draw = Callable[[KnownProblem, int, int, int], Array | None]


def exact(problem: KnownProblem, samples: int, steps: int, seed: int) -> Array:
    """The posterior itself: what is left of the error is that of so many samples."""
    return problem.posterior.sample(samples, seed)


def ula(problem: KnownProblem, samples: int, steps: int, seed: int) -> Array:
    """Langevin's steps of 0.2/L."""
    return _chains(problem, ULA(seed=seed), samples, steps)


def small_ula(problem: KnownProblem, samples: int, steps: int, seed: int) -> Array:
    """Langevin's steps of 0.02/L: a tenth of the bias, in ten times as many steps."""
    parts = Problem(_likelihood(problem) + NegativeLogDensity(problem.prior), batch=samples).assign(("smooth",))
    return _chains(problem, ULA(tau=0.02 / parts.smooth.L, seed=seed), samples, steps)


def myula(problem: KnownProblem, samples: int, steps: int, seed: int) -> Array | None:
    """The likelihood's gradient, and the prior's prox, which a mixture has not."""
    if not isinstance(problem.prior, Gaussian):
        return None
    return _chains(problem, MYULA(seed=seed), samples, steps, roles={1: "prox"})


def pcn(problem: KnownProblem, samples: int, steps: int, seed: int) -> Array:
    """Proposals from the prior, or from the Gaussian of its moments, with the quotient of the densities for a term."""
    prior, likelihood = problem.prior, _likelihood(problem)
    reference = Gaussian(prior.mean, prior.covariance)
    if not isinstance(prior, Gaussian):
        likelihood = likelihood + NegativeLogDensity(prior) - NegativeLogDensity(reference)
    V, values = reference.eigenvectors[0], reference.eigenvalues[0, 0]
    S = as_operator((V * values**0.5) @ V.T, prior.dims, prior.dims)
    start = reference.sample(samples, seed)
    sampler = PCN(beta=0.2, S=S, mean=reference.mean, seed=seed)
    return solve(Problem(likelihood, batch=samples), sampler, x0=start, stop=stopping.niter(steps)).x


def reverse(problem: KnownProblem, samples: int, steps: int, seed: int) -> Array:
    """The reverse diffusion with the score of the posterior itself: what is wrong is its discretisation."""
    score = MixtureScore(problem.posterior)
    return prior_samples(score, samples=samples, steps=max(steps, 2), seed=seed, dtype="float64").samples


def guided(method: str) -> Draw:
    """A method of `ip.diffusion`, with the score of the prior in closed form."""

    def draw(problem: KnownProblem, samples: int, steps: int, seed: int) -> Array:
        options: dict[str, Any] = {"noise_level": problem.noise_level, "samples": samples, "seed": seed}
        options["steps"] = max(steps, 2)
        return diffusion(problem.A, problem.b, MixtureScore(problem.prior), method=method, **options).samples

    return draw


def _likelihood(problem: KnownProblem) -> L2:
    data = L2(problem.A, problem.b)
    return data.scaled(problem.deviation**-2)


def _chains(problem: KnownProblem, sampler: Sampler, samples: int, steps: int, **options: Any) -> Array:
    """The last states of so many chains, from samples of the prior on."""
    posed = Problem(_likelihood(problem) + NegativeLogDensity(problem.prior), batch=samples, **options)
    start = problem.prior.sample(samples, sampler.seed)
    return solve(posed, sampler, x0=start, stop=stopping.niter(steps)).x


SAMPLERS: dict[str, Draw] = {"exact": exact, "ula": ula, "ula-small": small_ula, "myula": myula, "pcn": pcn}
SAMPLERS |= {"reverse": reverse} | {method: guided(method) for method in METHODS}
