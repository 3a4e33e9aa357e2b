"""The primal-dual hybrid gradient method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ipbox import scratch
from ipbox.backend import Array
from ipbox.checks import check_between, check_flag, counted
from ipbox.solvers.core.protocol import Certificate, Parts, State, Verdict
from ipbox.solvers.primal_dual import saddle


@dataclass(frozen=True)
class PDHG(saddle.SaddlePoint):
    """min_u f(u) + Σ_i g_i(K_i u) by the primal-dual hybrid gradient method of Chambolle and Pock.

    y_i ← prox_{σ_i g_i*}(y_i + σ_i K_i x̄),  u⁺ = prox_{τf}(u - τ Σ_i K_i* y_i),  x̄ = u⁺ + θ(u⁺ - u).

    Parameters
    ----------
    tau : float, optional
        Primal step size.  By default 20/μ where accelerated, so that the start is forgotten at once; 8/(L_g ‖K‖²)
        where there is a smooth data term g∘K, which measured best on CT over sizes, views and noise; for L1
        data ‖u‖ over (Σ ‖K_i‖²‖y_i‖²)^½ as b and the weights let expect them; else 1/√(n Σ‖K_i‖²).
    sigma : float or sequence, optional
        Dual step sizes, one per term (one number is used for all); by default 1/(n τ ‖K_i‖²), so that a term with a
        large norm does not slow the others.
    theta : float
        Extrapolation in [0, 1].
    balance : float
        Factor by which the default τ is raised and the σ_i are lowered.
    relax : float
        Over-relaxation ρ in (0, 2): (u, y) ← (u, y) + ρ((u⁺, y⁺) - (u, y)); the image returned is u⁺, which comes out
        of f's prox.  Values near 2 often save iterations.  For θ = 1, and not where accelerated.
    accelerate : bool, optional
        θ = 1/√(1 + 2γτ), τ ← θτ, σ ← σ/θ, for μ-strongly convex f; by default where μ > 0 and no step size is given.
        γ = μ/2: the theory asks for γ <= μ, and half of it is faster on images.

    Notes
    -----
    Converges for τ Σ_i σ_i ‖K_i‖² <= 1 and θ = 1, with an ergodic gap of O(1/k), and O(1/k²) when accelerated.  With
    relaxation y may leave the domain of g*, so that the gap is that of the next y⁺, at the price of one more K and K*.

    References
    ----------
    Chambolle and Pock, J. Math. Imaging Vision 40 (2011), algorithms 1 and 2; Condat, J. Optim.
    Theory Appl. 158 (2013), algorithm 3.2 and theorem 3.3, on relaxation.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 10.0 * ip.TV((2, 2)))
    >>> ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-8)).x.round(4)
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """

    tau: float | None = None
    sigma: float | Sequence[float] | None = None
    theta: float = 1.0
    balance: float = 1.0
    accelerate: bool | None = None
    relax: float = field(default=1.0, kw_only=True)
    by_ranks: ClassVar[bool] = True

    def init(self, p: Parts, x0: Array) -> State:
        tau, sigma = self.step_sizes(p)
        s = saddle.new_state(p, x0, x_bar=scratch.copied(x0), tau=tau, sigma=sigma, theta=float(self.theta))
        s.aux_bar = [[v.copy() for v in own] for own in s.aux]
        s.relaxed = []
        if self.relax != 1 and not self._sweeps(p, s):
            s.relaxed = [v.copy() for v in saddle.blocks_of(s.x, s.aux)]
            s.scratch["old y"] = [p.xp.empty_like(y) for y in s.y]
        return s

    def step(self, p: Parts, s: State) -> None:
        if self.accelerates(p):
            s.theta = 1 / math.sqrt(1 + p.prox.mu * s.tau)  # γ = μ/2
        if self._sweeps(p, s):
            saddle.sweep(p, s, self.relax)
        else:
            if self.relax != 1:
                for y, old in zip(s.y, s.scratch["old y"], strict=True):
                    old[...] = y
            saddle.ascend(p, s, s.y, s.x_bar, s.aux_bar, s.sigma)
            if self.relax != 1:
                self._relax(s)
            saddle.apply_adjoint(p, s.y, s.d, s.aux_d, s.scratch["dual"])
            saddle.descend(p, s, s.x_bar, s.aux_bar, s.theta)
        if self.accelerates(p):
            s.tau, s.sigma = s.theta * s.tau, [sigma / s.theta for sigma in s.sigma]

    def _relax(self, s: State) -> None:
        """Of the pair (u⁺, ỹ) that the last step's u and this one's y were mapped to: (u, y) += ρ((u⁺, ỹ) - (u, y))."""
        primal = zip(s.relaxed, saddle.blocks_of(s.x, s.aux), strict=True)
        for old, new in [*zip(s.scratch["old y"], s.y, strict=True), *primal]:
            saddle.relax(new, old, self.relax)
        for u, new in zip(s.relaxed, saddle.blocks_of(s.x, s.aux), strict=True):
            u[...] = new

    def _sweeps(self, p: Parts, s: State) -> bool:
        return saddle.can_sweep(p, s.x)

    def residual(self, p: Parts, s: State) -> Any:
        return saddle.swept_residual(p, s) if self._sweeps(p, s) else super().residual(p, s)

    def adjoint_at(self, p: Parts, s: State) -> tuple[Array, list[list[Array]]]:
        if self._sweeps(p, s):  # else they are those of the last step
            saddle.apply_adjoint(p, s.y, s.d, s.aux_d, s.scratch["dual"])
        return s.d, s.aux_d

    # ------------------------------------------------------------ step sizes

    def step_sizes(self, p: Parts) -> tuple[float, list[float]]:
        """τ and the σ_i, checked against τ Σ σ_i ‖K_i‖² <= 1."""
        if not 0 <= self.theta <= 1 or not (self.balance > 0 and math.isfinite(self.balance)):
            raise ValueError(f"theta is {self.theta} and balance {self.balance}; expected 0 <= theta <= 1, balance > 0")
        if self.accelerate is not None:
            check_flag(self.accelerate, "accelerate")
        if self.accelerate and not self.accelerates(p):
            raise ValueError("accelerate is True; expected a primal term that is strongly convex in all primal blocks")
        check_between(self.relax, "relax", 0, 2, what="a relaxation")
        if self.relax != 1 and (self.accelerate or self.theta != 1):
            raise ValueError(f"relax is {self.relax}; expected 1 where accelerated and for theta other than 1")
        saddle.check_step_size(self.tau, "tau")
        if self.sigma is not None and not all(0 < s < math.inf for s in np.atleast_1d(self.sigma)):
            raise ValueError(f"sigma is {self.sigma}; expected positive step sizes")
        norms = saddle.norms_of(p)
        n = max(len(norms), 1)
        tau = self.tau
        if tau is None and self.sigma is None:
            tau = self.balance * self._default_tau(p, norms)
        if tau is None:
            tau = 1 / (sum(s * k**2 for s, k in zip(self._sigmas(len(norms)), norms, strict=True)) or 1.0)
        sigma = [1 / (n * tau * k**2) for k in norms] if self.sigma is None else self._sigmas(len(norms))
        product = tau * sum(s * k**2 for s, k in zip(sigma, norms, strict=True))
        if product > 1 + 1e-6:
            raise ValueError(
                f"tau is {tau:g} and sigma {sigma}, with tau Σ sigma_i ‖K_i‖² = {product:g}; expected at most 1"
            )
        return float(tau), [float(s) for s in sigma]

    def _default_tau(self, p: Parts, norms: list[float]) -> float:
        if self.accelerates(p):
            return 20 / p.prox.mu
        if (curvature := saddle.data_curvature(p, norms)) is not None:
            return 8 / curvature
        if len(p.dual) == 1 and p.prox.b is not None and (tau := p.dual[0].denoising_step(p.prox.b)) is not None:
            return tau
        return saddle.data_scale(p, norms) or 1 / math.sqrt(len(norms) * sum(k**2 for k in norms)) if norms else 1.0

    def _sigmas(self, n: int) -> list[float]:
        given: Any = self.sigma
        sigma = [float(given)] * n if np.ndim(given) == 0 else [float(s) for s in given]
        if len(sigma) != n:
            raise ValueError(f"sigma has {counted(len(sigma), 'entry')}; expected {n}, one per dual term")
        return sigma

    def accelerates(self, p: Parts) -> bool:
        given = self.tau is not None or self.sigma is not None or self.relax != 1
        convex = p.prox.mu > 0 and not any(t.aux for t in p.dual)  # f does not depend on the terms' own blocks
        return convex and (not given if self.accelerate is None else self.accelerate)

    # ------------------------------------------------------------ accuracy

    def check_gap(self, p: Parts) -> None:
        obstacle = self._no_gap(p)
        if obstacle:
            raise ValueError(f"stop.gap: {obstacle}; add Box(lo, hi) with finite bounds, or use stop.residual")

    @staticmethod
    def _no_gap(p: Parts) -> str | None:
        """Why there is no finite duality gap, or None."""
        for t in p.dual:
            if not t.has_dual_value:
                return f"the conjugate of {t.name} is not known"
            if t.aux and not t.has_feasible_dual:
                return f"the dual value is infinite at finite iterations, since {t.name} has primal blocks of its own"
        if not p.prox.finite_conj:
            name = p.prox.name
            return f"the dual value is infinite at finite iterations, since the conjugate of {name} is not finite"
        return None

    def gap(self, p: Parts, s: State) -> Any:
        """(P(u) - D(y))/|P(u)|, with D(y) = -f*(-Σ K_i* y_i) - Σ g_i*(y_i); infinite where P(u) is."""
        primal, gap = self._primal_and_gap(p, s)
        with np.errstate(invalid="ignore"):
            ratio = gap / np.maximum(np.abs(primal), np.finfo(np.float64).tiny)
        return np.where(np.isfinite(primal), ratio, np.inf)[()]

    def _primal_and_gap(self, p: Parts, s: State) -> tuple[Any, Any]:
        self.check_gap(p)
        batched = p.batch is not None
        duals, d = s.y, self.adjoint_at(p, s)[0]
        if self.relax != 1:
            duals, d = [y.copy() for y in s.y], p.xp.zeros_like(s.d)
            saddle.ascend(p, s, duals, s.x_bar, s.aux_bar, s.sigma)
            saddle.apply_adjoint(p, duals, d, [[v.copy() for v in own] for own in s.aux], [{} for _ in p.dual])
        terms = list(zip(p.dual, duals, s.aux, strict=True))
        primal = p.prox.value(s.x, batched) + sum(t.term_value([s.x, *v], batched) for t, _, v in terms)
        y = [t.feasible_dual(y) if t.aux else y for t, y, _ in terms]  # K* of it is 0 in the terms' own blocks
        if any(t.aux for t in p.dual):
            d = d.copy()
            for i, (t, _, v) in enumerate(terms):
                t.adjoint(y[i], [d, *(a.copy() for a in v)], i > 0, s.scratch["dual"][i])
        dual = -p.prox.conj(-d, batched) - sum(t.dual_value(z, batched) for t, z in zip(p.dual, y, strict=True))
        return primal, primal - dual

    def certificate(self, p: Parts, s: State) -> Certificate:
        if p.prox.mu > 0 and self._no_gap(p) is None:
            primal, gap = self._primal_and_gap(p, s)
            rounding = 4 * np.finfo(s.x.dtype).eps * np.abs(primal)  # of P and D, whose difference the gap is
            return Certificate("√(2 gap/μ)", np.sqrt(2 * (np.maximum(gap, 0.0) + rounding) / p.prox.mu))
        return Certificate(f"none: {self._no_gap(p) or 'f is not strongly convex'}")

    def _theorem(self, p: Parts) -> Verdict:
        self.step_sizes(p)
        found = saddle.verdict(p, "f, g convex, τ Σ σ_i ‖K_i‖² <= 1, θ = 1 or accelerated (Chambolle and Pock 2011)")
        if found and self.theta != 1 and not self.accelerates(p):
            return Verdict(False, f"theta is {self.theta}; the theorem asks for 1")
        return found
