"""Stochastic primal-dual hybrid gradient: one random block of the dual variable in each iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_count, check_positive, check_seed
from ipbox.functionals import L2
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.solvers.core.protocol import Certificate, Parts, Problem, Solver, State, Verdict
from ipbox.solvers.primal_dual import saddle
from ipbox.solvers.primal_dual.pdhg import PDHG
from ipbox.solvers.subsets.ordered import SplitParts, key, random_index, split


@dataclass(frozen=True)
class SPDHG(Solver):
    """Stochastic PDHG for min_u Σ_i f_i(A_i u) + g(u).

    u⁺ = prox_{τg}(u - τ z̄),  and for one random i
    y_i⁺ = prox_{σ_i f_i*}(y_i + σ_i A_i u⁺),  δ = A_i*(y_i⁺ - y_i),  z⁺ = z + δ,  z̄⁺ = z⁺ + δ/p_i.

    The data fidelity gives n blocks, one for each subset of the views; each dual term, such as λTV, gives one more,
    drawn half of the time in all.  One iteration is one block, so an epoch, A and A* applied once, takes about n
    iterations, and 2n with such terms.

    Parameters
    ----------
    subsets : int
        n.
    sampling : {"uniform", "importance"}
        p_i of the subsets equal, or proportional to ‖A_i‖.
    gamma : float, optional
        Balance γ > 0 of dual and primal step sizes: σ_i = γρ/‖A_i‖, τ = ρ min_i p_i/(γ‖A_i‖).  By default
        L max_i ‖A_i‖/3, with L the curvature of D where it matters, along A1; 1 where D is not smooth.
    rho : float
        0 < ρ < 1: τ σ_i ‖A_i‖² <= ρ² p_i.
    seed : int
        Of the random choices.

    References
    ----------
    Chambolle, Ehrhardt, Richtárik and Schönlieb, SIAM J. Optim. 28 (2018); Ehrhardt, Markiewicz and Schönlieb, Faster
    PET reconstruction with non-smooth priors by randomization and preconditioning, Phys. Med. Biol. 64 (2019).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    >>> problem = ip.Problem(ip.L2(A, A.apply(np.array([1.0, -1.0]))) + ip.NonNegative())
    >>> ip.solve(problem, ip.SPDHG(subsets=3), stop=ip.stop.niter(300)).x.round(6) + 0
    array([0.5, 0. ])
    """

    subsets: int = 20
    sampling: str = "uniform"
    gamma: float | None = None
    rho: float = 0.99
    seed: int = 0
    takes: ClassVar[tuple[str, ...]] = ("prox", "dual")
    by_ranks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count(self.subsets, "subsets")
        check_seed(self.seed)
        check_choice(self.sampling, "sampling", ("uniform", "importance"))
        if self.gamma is not None:
            check_positive(self.gamma, "gamma")
        check_between(self.rho, "rho", 0, 1)  # then τ σ_i ‖A_i‖² < p_i

    def prepare(self, problem: Problem) -> SplitParts:
        """The dual terms: the subsets first, then the others."""
        p = split(problem, self.subsets, self.takes, type(self).__name__)
        for t in p.dual:
            if t.aux:
                raise ValueError(f"{t.name} has primal blocks of its own; SPDHG expects terms without, PDHG takes it")
        p.dual = [f.as_dual(problem) for f in p.blocks] + p.dual
        return p

    def init(self, p: SplitParts, x0: Array) -> State:
        tau, sigma, probabilities = self.step_sizes(p)
        y = [p.xp.zeros(p.lead + tuple(t.dual_dims), dtype=t.dual_dtype(x0.dtype)) for t in p.dual]
        z, z_bar, delta = (p.xp.zeros_like(x0) for _ in range(3))
        s = State(x=x0, y=y, z=z, z_bar=z_bar, delta=delta, tau=tau, sigma=sigma, probabilities=probabilities)
        s.scratch["y_old"] = {key(t.dual_dims): p.xp.zeros_like(v) for t, v in zip(p.dual, y, strict=True)}
        s.scratch["dual"] = {self._scratch(p, i): {} for i in range(len(y))}
        return s

    def step(self, p: SplitParts, s: State) -> None:
        p.prox.descend(s.x, s.z_bar, s.tau, 0.0, s.delta, s.scratch["prox"])
        i = random_index(self.seed, s.k, s.probabilities)
        y, y_old = s.y[i], s.scratch["y_old"][key(p.dual[i].dual_dims)]
        work = s.scratch["dual"][self._scratch(p, i)]
        y_old[...] = y
        p.dual[i].ascend(y, [s.x], s.sigma[i], work)
        p.xp.subtract(y, y_old, out=y_old)
        p.dual[i].adjoint(y_old, [s.delta], False, work)
        s.z += s.delta
        s.delta /= s.probabilities[i]
        p.xp.add(s.z, s.delta, out=s.z_bar)

    @staticmethod
    def _scratch(p: SplitParts, i: int) -> str:
        """Subsets of one shape share their scratch; other terms may hold warm starts in theirs."""
        return key(p.dual[i].dual_dims) if i < len(p.blocks) else f"dual {i}"

    # ------------------------------------------------------------ step sizes

    def step_sizes(self, p: SplitParts) -> tuple[float, list[float], list[float]]:
        """τ, the σ_i and the p_i, with τ σ_i ‖A_i‖² <= ρ² p_i."""
        n, norms = len(p.blocks), saddle.norms_of(p)
        others = len(norms) - n
        weights = norms[:n] if self.sampling == "importance" else [1.0] * n
        data = 0.5 if others else 1.0
        probabilities = [data * w / sum(weights) for w in weights] + [0.5 / max(others, 1)] * others
        gamma = self.gamma or curvature(p.problem.D, p.problem) * max(norms[:n]) / 3
        tau = self.rho / gamma * min(q / k for q, k in zip(probabilities[:n], norms[:n], strict=True))
        sigma = [gamma * self.rho / k for k in norms[:n]]
        sigma += [self.rho**2 * q / (tau * k**2) for q, k in zip(probabilities[n:], norms[n:], strict=True)]
        return float(tau), [float(v) for v in sigma], [float(q) for q in probabilities]

    # ------------------------------------------------------------ accuracy

    def residual(self, p: SplitParts, s: State) -> Any:
        """Fixed-point residual of the resolvents at (u, y), all blocks, each relative to its variable."""
        return PDHG().residual(p, self._as_pdhg(p, s))

    def check_gap(self, p: Parts) -> None:
        PDHG().check_gap(p)

    def gap(self, p: SplitParts, s: State) -> Any:
        """(P(u) - D(y))/|P(u)|, as of `PDHG`; A and A* are applied once."""
        return PDHG().gap(p, self._as_pdhg(p, s))

    def certificate(self, p: SplitParts, s: State) -> Certificate:
        return PDHG().certificate(p, self._as_pdhg(p, s) if p.prox.mu > 0 else s)

    @staticmethod
    def _as_pdhg(p: SplitParts, s: State) -> State:
        """The state as PDHG's, with Σ K_i* y_i summed anew: z drifts from it by rounding."""
        d = p.xp.zeros_like(s.x)
        for i, (term, y) in enumerate(zip(p.dual, s.y, strict=True)):
            term.adjoint(y, [d], i > 0, None)
        none: list[list[Array]] = [[] for _ in p.dual]  # the terms have no primal blocks of their own
        found = State(x=s.x, y=s.y, d=d, aux=none, aux_d=none, tau=s.tau, sigma=s.sigma)
        found.scratch["dual"] = [{} for _ in p.dual]
        return found

    def _theorem(self, p: SplitParts) -> Verdict:
        reason = "f_i, g convex, τ σ_i ‖A_i‖² < p_i: almost surely (Gutiérrez, Delplancke and Ehrhardt 2022)"
        return saddle.verdict(p, reason)


def curvature(D: Fidelity, problem: Problem) -> float:
    """Curvature of D on the data's scale: the second difference of D(s A1) at its minimiser s, steps of 0.3 s.

    L of D itself where it is quadratic; the Kullback-Leibler divergence has about one over the mean count, where its
    L, worst at readings of low background, is larger by orders of magnitude.  1 where D is infinite all along A1.
    """
    on_data = D.on_data()
    if isinstance(D, L2):
        return on_data.L
    a = D.operator.apply(problem.xp.ones(problem.shape, dtype=problem.dtype))

    def along(s: float) -> float:
        return float(np.sum(on_data.value(s * a, problem.batch is not None)))

    with shares.shared_by(D.ranks):
        size, largest = backend.sum_squares(a) or 1.0, backend.largest(abs(a)) or 1.0
    golden = (math.sqrt(5) - 1) / 2
    low, high = math.log(1e-8 / largest), math.log(1e8 / largest)
    while high - low > 0.02:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if along(math.exp(left)) <= along(math.exp(right)) else (left, high)
    s = math.exp((low + high) / 2)
    found = (along(1.3 * s) - 2 * along(s) + along(0.7 * s)) / (0.09 * s * s * size)
    return found if 0 < found < math.inf else 1.0
