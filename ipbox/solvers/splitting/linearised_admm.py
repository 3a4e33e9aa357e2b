"""Linearised ADMM: no linear system is solved."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ipbox.backend import Array
from ipbox.solvers.core.protocol import Parts, State, Verdict
from ipbox.solvers.primal_dual import saddle


@dataclass(frozen=True)
class LinearisedADMM(saddle.SaddlePoint):
    """min_u f(u) + Σ_i g_i(K_i u) by ADMM with the quadratic of the image update linearised.

    u⁺ = prox_{τf}(u - τ Σ_i K_i*(2y_i - y_i')),  y_i⁺ = prox_{ρ_i g_i*}(y_i + ρ_i K_i u⁺),  y' the last but one y: with
    z_i⁺ = prox_{g_i/ρ_i}(K_i u⁺ + y_i/ρ_i) this is u⁺ = prox_{τf}(u - τ Σ_i K_i*(y_i + ρ_i(K_i u - z_i))).

    Parameters
    ----------
    tau : float, optional
        Primal step size; by default 8/(L_g ‖K‖²) where there is a smooth term g∘K, else 1/√(n Σ‖K_i‖²).
    rho : float, optional
        Penalty of the term with the largest norm, the others get the same ρ_i‖K_i‖²; by default the largest that is
        allowed.

    Notes
    -----
    Converges for τ Σ_i ρ_i ‖K_i‖² <= 1.  It is `PDHG` with the steps in the other order and y extrapolated.

    References
    ----------
    Zhang, Burger and Osher, J. Sci. Comput. 46 (2011); Parikh and Boyd, Found. Trends Optim. 1 (2014), section 4.4.2.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((2, 2)))
    >>> ip.solve(problem, ip.LinearisedADMM(), stop=ip.stop.residual(1e-8)).x.round(4)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """

    tau: float | None = None
    rho: float | None = None

    def init(self, p: Parts, x0: Array) -> State:
        tau, rho = self.step_sizes(p)
        s = saddle.new_state(p, x0, tau=tau, sigma=rho)
        s.y_bar = [y.copy() for y in s.y]
        s.scratch["unused"] = [p.xp.empty_like(x0), [[v.copy() for v in own] for own in s.aux]]
        return s

    def step(self, p: Parts, s: State) -> None:
        saddle.apply_adjoint(p, s.y_bar, s.d, s.aux_d, s.scratch["dual"])
        x_bar, aux_bar = s.scratch["unused"]
        saddle.descend(p, s, x_bar, aux_bar, theta=0.0)
        for y, y_bar in zip(s.y, s.y_bar, strict=True):
            y_bar[...] = y
        saddle.ascend(p, s, s.y, s.x, s.aux, s.sigma)
        for y, y_bar in zip(s.y, s.y_bar, strict=True):
            y_bar *= -1
            y_bar += y
            y_bar += y

    def step_sizes(self, p: Parts) -> tuple[float, list[float]]:
        """τ and the ρ_i, checked against τ Σ ρ_i ‖K_i‖² <= 1."""
        saddle.check_step_size(self.tau, "tau")
        saddle.check_step_size(self.rho, "rho")
        norms = saddle.norms_of(p)
        total = max(norms, default=1.0) ** 2 * max(len(norms), 1)  # Σ ρ_i ‖K_i‖² for rho = 1
        tau = self._default_tau(p, norms, total) if self.tau is None else self.tau
        rho = 1 / (tau * total) if self.rho is None else self.rho
        if tau * rho * total > 1 + 1e-6:
            raise ValueError(
                f"tau is {tau:g} and rho {rho:g}, with tau Σ rho_i ‖K_i‖² = {tau * rho * total:g}; expected at most 1"
            )
        return float(tau), saddle.balanced(rho, norms)

    def _default_tau(self, p: Parts, norms: list[float], total: float) -> float:
        if self.rho is not None:
            return 1 / (self.rho * total)
        curvature = saddle.data_curvature(p, norms)
        return 1 / math.sqrt(total) if curvature is None else 8 / curvature

    def _theorem(self, p: Parts) -> Verdict:
        self.step_sizes(p)
        reason = "f, g convex, τ Σ ρ_i ‖K_i‖² <= 1 (Zhang, Burger and Osher 2011, theorem 4.2)"
        return saddle.verdict(p, reason)
