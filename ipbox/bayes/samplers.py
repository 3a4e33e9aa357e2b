"""Markov chains whose stationary law is, or is near, the posterior exp(-F(u)) of a problem min F."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_positive, check_seed, is_number, shown
from ipbox.functionals import Zero
from ipbox.operators import Operator
from ipbox.solvers import Parts, Problem, Solver, State, Verdict
from ipbox.solvers.gradient.descent import lipschitz_only_on


@dataclass(frozen=True)
class Sampler(Solver):
    """Base of the samplers: solvers whose iterates are a Markov chain.

    The random numbers of step k depend on ``seed`` and k alone, so a chain goes on from a checkpoint bit for bit.
    Each sample of a batch is a chain of its own: ``Problem(..., batch=4)`` runs four.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> isinstance(ip.ULA(), ip.bayes.Sampler), isinstance(ip.ULA(), ip.solvers.Solver)
    (True, True)
    """

    seed = 0  # a field of every sampler (annotated here it would come first there)
    stationary: ClassVar[bool] = True  # whether the chain has a law to settle in, which `sample` can average over

    def __post_init__(self) -> None:
        super().__post_init__()
        check_seed(self.seed)

    def acceptance(self, s: State) -> float | None:
        """Share of the steps that were taken, of samplers that may refuse one."""
        return None

    def normal(self, s: State, stream: int = 0) -> Array:
        """Independent standard normal numbers in the shape of the image, those of this step and ``stream``."""
        return normal_like(s.x, self.seed, s.k, stream)


@dataclass(frozen=True)
class ULA(Sampler):
    r"""Unadjusted Langevin: u ← u - τ∇F(u) + √(2τ) ξ, ξ ~ N(0, I), for smooth F.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/L; by default 0.2/L.
    seed : int

    Notes
    -----
    The chain's law differs from exp(-F) by O(τ): for F = λu²/2 its variance is 1/(λ(1 - τλ/2)) instead of 1/λ.

    References
    ----------
    Roberts and Tweedie, Bernoulli 2 (1996); Durmus and Moulines, Ann. Appl. Probab. 27 (2017).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> posterior = ip.sample(ip.Problem(4.0 * ip.L2(b=np.ones(1000))), ip.ULA(), n=200, burn_in=100)
    >>> bool(abs(posterior.std.mean() - 0.5) < 0.05)
    True
    """

    tau: float | None = None
    seed: int = 0
    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def init(self, p: Parts, x0: Array) -> State:
        return State(x=x0, grad=p.xp.empty_like(x0), tau=self._tau(p))

    def _lipschitz(self, p: Parts) -> float:
        return p.smooth.L

    def _tau(self, p: Parts) -> float:
        L = self._lipschitz(p)
        if not 0 < L < math.inf:
            raise ValueError(f"{p.smooth.name} has a gradient with Lipschitz constant {L}; expected a finite one, > 0")
        tau = 0.2 / L if self.tau is None else self.tau
        if not 0 < tau < 2 / L:
            raise ValueError(
                f"tau is {tau:g}; {type(self).__name__} expects a step size in (0, 2/L) with 2/L = {2 / L:g}"
            )
        return float(tau)

    def step(self, p: Parts, s: State) -> None:
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])
        backend.axpy(-s.tau, s.grad, s.x)
        backend.axpy(math.sqrt(2 * s.tau), self.normal(s), s.x)

    def _theorem(self, p: Parts) -> Verdict:
        self._tau(p)
        where = lipschitz_only_on(p)
        return self._ergodicity(p) if where is None else where

    def _ergodicity(self, p: Parts) -> Verdict:
        if p.smooth.mu <= 0:
            return Verdict(False, "F is not known to be strongly convex")
        return Verdict(True, "F strongly convex, τ < 2/L: geometric ergodicity, bias O(τ) (Durmus and Moulines 2017)")


@dataclass(frozen=True)
class MYULA(ULA):
    r"""Moreau-Yosida unadjusted Langevin, for F = f + g with f smooth and g with a prox, such as TV.

    u ← u - τ∇f(u) - (τ/γ)(u - prox_{γg}(u)) + √(2τ) ξ: Langevin's step where g is replaced by its Moreau envelope.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/(L + 1/γ); by default 0.5/(L + 1/γ).
    gamma : float, optional
        Parameter γ of the envelope; 1/L by default.  The smaller, the nearer to g and the slower the chain.
    seed : int

    References
    ----------
    Durmus, Moulines and Pereyra, SIAM J. Imaging Sci. 11 (2018).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.zeros(500)) + ip.NonNegative(), roles={0: "smooth"})
    >>> posterior = ip.sample(problem, ip.MYULA(gamma=0.01), n=2000, burn_in=500)
    >>> bool(abs(posterior.mean.mean() - (2 / np.pi) ** 0.5) < 0.1)  # of the half-normal law
    True
    """

    gamma: float | None = None
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")

    def init(self, p: Parts, x0: Array) -> State:
        s = super().init(p, x0)
        s.gamma, s.prox = self._gamma(p), p.xp.empty_like(x0)
        return s

    def _gamma(self, p: Parts) -> float:
        gamma = 1 / p.smooth.L if self.gamma is None and p.smooth.L > 0 else self.gamma
        return check_positive(gamma, "gamma")

    def _lipschitz(self, p: Parts) -> float:
        return p.smooth.L + 1 / self._gamma(p)

    def _tau(self, p: Parts) -> float:
        return 0.5 / self._lipschitz(p) if self.tau is None and self._lipschitz(p) < math.inf else super()._tau(p)

    def step(self, p: Parts, s: State) -> None:
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])
        p.prox.prox(s.x, s.gamma, out=s.prox, work=s.scratch["prox"])
        s.prox -= s.x  # -γ ∇ of the envelope
        backend.axpy(-s.tau, s.grad, s.x)
        backend.axpy(s.tau / s.gamma, s.prox, s.x)
        backend.axpy(math.sqrt(2 * s.tau), self.normal(s), s.x)

    def _ergodicity(self, p: Parts) -> Verdict:
        if not (p.prox.explicit and p.smooth.is_convex):
            return Verdict(False, "an implicit or non-convex term")
        return Verdict(True, "f, g convex, τ < 2/(L + 1/γ): ergodic, with a bias of O(τ) and of γ (Durmus et al. 2018)")


@dataclass(frozen=True)
class PCN(Sampler):
    r"""Preconditioned Crank-Nicolson with Metropolis' rule, for the posterior exp(-D(u)) N(m, SS*).

    u' = m + √(1 - β²)(u - m) + β S ξ, taken with probability min(1, exp(D(u) - D(u'))): the problem holds D alone,
    which needs no gradient; the Gaussian prior is in the proposal.  No bias, and no slower on finer images.

    Parameters
    ----------
    beta : float
        0 < β <= 1: small steps are taken more often; acceptance near 0.25 is a good aim.
    S : Operator or float
        Square root of the prior's covariance; a number is the standard deviation of white noise.
    mean : array, optional
        m; zero by default.
    seed : int

    References
    ----------
    Cotter, Roberts, Stuart and White, Statist. Sci. 28 (2013).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> likelihood = ip.Problem(ip.L2(b=np.array([2.0])))
    >>> posterior = ip.sample(likelihood, ip.PCN(beta=0.7), n=4000, burn_in=100)
    >>> bool(abs(posterior.mean[0] - 1) < 0.15 and 0.2 < posterior.acceptance < 0.9)
    True
    """

    beta: float = 0.2
    S: Any = 1.0
    mean: Array | None = None
    seed: int = 0

    def prepare(self, problem: Problem) -> Parts:
        check_between(self.beta, "beta", 0, 1, "(]")
        S, m = self.S, self.mean
        if not isinstance(S, Operator) and not (is_number(S) and 0 < S < math.inf):
            raise TypeError(f"S is {shown(S)}; expected a positive number or an operator")
        if isinstance(S, Operator) and (tuple(S.dimsd) != problem.dims or S.dtype_out != problem.dtype):
            raise ValueError(f"S gives {tuple(S.dimsd)} {S.dtype_out}; expected {problem.dims} {problem.dtype}")
        if m is not None and (backend.array_module(m) is not problem.xp or not bool(problem.xp.isfinite(m).all())):
            raise ValueError(f"mean is of {type(m).__module__}, or not finite; expected finite numbers, where b is")
        if m is not None and (m.shape != problem.dims or m.dtype != problem.dtype):
            raise ValueError(f"mean has shape {m.shape} and dtype {m.dtype}; expected {problem.dims} {problem.dtype}")
        implicit = [f.name for f in problem.terms if not f.explicit]
        if implicit:
            raise ValueError(f"{implicit[0]} has no value; PCN expects terms that have one, to take or refuse a step")
        return Parts(problem, Zero(), Zero(), [], {"likelihood": [f.name for f in problem.terms]})

    def init(self, p: Parts, x0: Array) -> State:
        value = np.atleast_1d(p.problem.objective(x0))
        if not np.isfinite(value).all():
            raise ValueError(f"x0 has the likelihood's value {value}; expected a start where it is finite")
        return State(x=x0, value=value, taken=np.zeros(len(value)))

    def step(self, p: Parts, s: State) -> None:
        m = 0.0 if self.mean is None else self.mean
        proposal = m + math.sqrt(1 - self.beta**2) * (s.x - m) + self.beta * self._prior(p, s)
        value = np.atleast_1d(p.problem.objective(proposal))
        u = backend.generator(_seed(self.seed, s.k, 1)).uniform(size=value.shape)
        taken = np.log(u) < s.value - value  # NaN is not
        for i in np.flatnonzero(taken):
            chain = (Ellipsis,) if p.batch is None else (i,)
            s.x[chain] = proposal[chain]
        s.value = np.where(taken, value, s.value)
        s.taken += taken

    def acceptance(self, s: State) -> float | None:
        return float(np.mean(s.taken) / s.k)

    def _prior(self, p: Parts, s: State) -> Array:
        """S ξ."""
        if not isinstance(self.S, Operator):
            return float(self.S) * self.normal(s)
        shape = s.x.shape[: s.x.ndim - len(p.problem.dims)] + tuple(self.S.dims)
        return self.S.apply(normal_like(p.xp.empty(shape, dtype=self.S.dtype_in), self.seed, s.k))

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "the posterior is stationary, by Metropolis' rule (Cotter et al. 2013)")


def _seed(seed: int, k: int, stream: int = 0) -> int:
    """A seed of step ``k``, unrelated to those of other steps."""
    return int(np.random.SeedSequence([seed, k, stream]).generate_state(1, np.uint64)[0])


def normal_like(like: Array, seed: int, k: int, stream: int = 0) -> Array:
    """Standard normal numbers in the shape of ``like``, those of step ``k`` and ``stream``: real and imaginary part."""
    rng, real = backend.generator(_seed(seed, k, stream), like=like), backend.real_dtype(like.dtype)
    xi = rng.standard_normal(like.shape, dtype=real)
    if like.dtype.kind == "c":
        xi = (xi + 1j * rng.standard_normal(like.shape, dtype=real)).astype(like.dtype, copy=False)
    return xi
