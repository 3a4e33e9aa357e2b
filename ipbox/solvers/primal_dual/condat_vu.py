"""Primal-dual methods with a smooth term taken by its gradient: Condat-Vũ and PD3O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.protocol import Parts, State, Verdict
from ipbox.solvers.primal_dual import saddle


@dataclass(frozen=True)
class CondatVu(saddle.SaddlePoint):
    """min_u h(u) + f(u) + Σ_i g_i(K_i u), h smooth, by the method of Condat and Vũ.

    y_i ← prox_{σ_i g_i*}(y_i + σ_i K_i x̄),  u⁺ = prox_{τf}(u - τ∇h(u) - τ Σ_i K_i* y_i),  x̄ = 2u⁺ - u.

    Parameters
    ----------
    tau : float, optional
        Primal step size, by default 1.5/L, L of ∇h.
    sigma : float, optional
        Dual step size of the term with the largest norm, the others get the same σ_i‖K_i‖²; by default the largest
        that is allowed.

    Notes
    -----
    Converges for 1/τ - Σ_i σ_i ‖K_i‖² >= L/2.  Without h it is `PDHG`.

    References
    ----------
    Condat, J. Optim. Theory Appl. 158 (2013), algorithm 3.2; Vũ, Adv. Comput. Math. 38 (2013).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 10.0 * ip.TV((2, 2)))
    >>> ip.solve(problem, ip.CondatVu(), stop=ip.stop.residual(1e-8)).x.round(4)
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """

    tau: float | None = None
    sigma: float | None = None
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox", "dual")

    def init(self, p: Parts, x0: Array) -> State:
        tau, sigma = self.step_sizes(p)
        s = saddle.new_state(p, x0, x_bar=x0.copy(), tau=tau, sigma=sigma)
        s.aux_bar = [[v.copy() for v in own] for own in s.aux]
        s.grad = p.smooth.grad(x0, work=s.scratch["smooth"])
        return s

    def step(self, p: Parts, s: State) -> None:
        saddle.ascend(p, s, s.y, s.x_bar, s.aux_bar, s.sigma)
        saddle.apply_adjoint(p, s.y, s.d, s.aux_d, s.scratch["dual"])
        if not p.dual:
            s.d[...] = 0
        s.d += s.grad
        saddle.descend(p, s, s.x_bar, s.aux_bar)
        self._next_gradient(p, s)

    def _next_gradient(self, p: Parts, s: State) -> None:
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])

    # ------------------------------------------------------------ step sizes

    def step_sizes(self, p: Parts) -> tuple[float, list[float]]:
        """τ and the σ_i, checked against the theorem's condition."""
        if not p.smooth.L < math.inf:
            raise ValueError(f"{p.smooth.name} has no Lipschitz gradient; expected smooth terms")
        saddle.check_step_size(self.tau, "tau")
        saddle.check_step_size(self.sigma, "sigma")
        norms = saddle.norms_of(p)
        total = max(norms, default=1.0) ** 2 * max(len(norms), 1)  # Σ σ_i ‖K_i‖² for sigma = 1
        tau = self.tau if self.tau is not None else self._default_tau(p, total)
        largest = self._largest_sigma(p, tau, total)
        if not tau > 0 or not largest > 0:
            raise ValueError(f"tau is {tau:g}; {self._condition(p)}")
        sigma = largest if self.sigma is None else self.sigma
        if sigma > largest * (1 + 1e-6):
            raise ValueError(f"tau is {tau:g} and sigma {sigma:g}; {self._condition(p)}: sigma at most {largest:g}")
        return float(tau), saddle.balanced(sigma, norms)

    def _default_tau(self, p: Parts, total: float) -> float:
        if p.smooth.L > 0:
            return 1.5 / p.smooth.L
        return 1 / math.sqrt(total) if self.sigma is None else 1 / (self.sigma * total)

    def _largest_sigma(self, p: Parts, tau: float, total: float) -> float:
        return (1 / tau - p.smooth.L / 2) / total

    def _condition(self, p: Parts) -> str:
        return f"expected 1/tau - Σ sigma_i ‖K_i‖² >= L/2 with 2/L = {2 / p.smooth.L if p.smooth.L else math.inf:g}"

    def _theorem(self, p: Parts) -> Verdict:
        self.step_sizes(p)
        return saddle.verdict(p, self._reason)

    _reason: ClassVar[str] = "f, g, h convex, 1/τ - Σ σ_i ‖K_i‖² >= L/2 (Condat 2013, theorem 3.1; Vũ 2013)"


@dataclass(frozen=True)
class PD3O(CondatVu):
    """The primal-dual three-operator splitting of Yan: Condat and Vũ's with a corrected extrapolation.

    y_i ← prox_{σ_i g_i*}(y_i + σ_i K_i x̄),  u⁺ = prox_{τf}(u - τ∇h(u) - τ Σ_i K_i* y_i),
    x̄ = 2u⁺ - u + τ∇h(u) - τ∇h(u⁺).

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/L, by default 1.8/L.
    sigma : float, optional
        Dual step size, as in `CondatVu`; by default the largest that is allowed.

    Notes
    -----
    Converges for τ < 2/L and τ Σ_i σ_i ‖K_i‖² <= 1: the two conditions do not share a budget, so steps are larger than
    those of Condat and Vũ.  Without h it is `PDHG`; with K = Id and σ = 1/τ it is `DavisYin`.

    References
    ----------
    Yan, J. Sci. Comput. 76 (2018).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 10.0 * ip.TV((2, 2)))
    >>> ip.solve(problem, ip.PD3O(), stop=ip.stop.residual(1e-8)).x.round(4)
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """

    def _next_gradient(self, p: Parts, s: State) -> None:
        backend.axpy(s.tau, s.grad, s.x_bar)
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])
        backend.axpy(-s.tau, s.grad, s.x_bar)

    def _default_tau(self, p: Parts, total: float) -> float:
        return 1.8 / p.smooth.L if p.smooth.L > 0 else super()._default_tau(p, total)

    def _largest_sigma(self, p: Parts, tau: float, total: float) -> float:
        return 1 / (tau * total) if tau * p.smooth.L < 2 else 0.0

    def _condition(self, p: Parts) -> str:
        bound = 2 / p.smooth.L if p.smooth.L else math.inf
        return f"expected tau < 2/L = {bound:g} and tau Σ sigma_i ‖K_i‖² <= 1"

    _reason: ClassVar[str] = "f, g, h convex, τ < 2/L and τ Σ σ_i ‖K_i‖² <= 1 (Yan 2018, theorem 1)"
