"""FISTA: forward-backward with Nesterov's extrapolation, restarts and backtracking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.protocol import Parts, Problem, State, Verdict
from ipbox.solvers.gradient.descent import momentum, short_step_size
from ipbox.solvers.proximal.forward_backward import ForwardBackward, backtrack


@dataclass(frozen=True)
class FISTA(ForwardBackward):
    """Forward-backward with Nesterov's extrapolation.

    u⁺ = prox_{τg}(z - τ∇f(z)),  z = u⁺ + β(u⁺ - u),  t⁺ = (1 - q t² + √((1 - q t²)² + 4t²))/2,
    β = (t - 1)/t⁺ · (1 + τμ_g - t⁺ τμ)/(1 - τμ_f),  q = τμ/(1 + τμ_g),  μ = μ_f + μ_g.

    Parameters
    ----------
    tau : float, optional
        0 < τ <= 1/L, by default 1/L.  With backtracking the first trial, any τ > 0.
    backtracking : bool
        Halve τ until f lies below its quadratic model at u⁺, as in `ForwardBackward`.
    restart : "gradient" or "function", optional
        Forget the momentum (t = 1) where it leads uphill: where <z - u⁺, u⁺ - u> > 0, or where F(u⁺) > F(u), which
        costs a value of F.  Finds the linear rate of a strongly convex problem without knowing μ.

    Notes
    -----
    F(u_k) - F* <= 2L‖u_0 - u*‖²/(k + 1)²; with strong convexity linear with factor 1 - √q.

    References
    ----------
    Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009); Chambolle and Pock, Acta Numerica 25 (2016), algorithm 5;
    O'Donoghue and Candès, Found. Comput. Math. 15 (2015).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.array([3.0, 0.5])) + ip.L1())
    >>> ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(50)).x.round(6)
    array([2., 0.])
    """

    restart: str | None = None

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        if self.restart not in (None, "gradient", "function"):
            raise ValueError(f"restart is {self.restart!r}; expected 'gradient', 'function' or None")
        if self.restart == "function" and not (p.prox.explicit and p.smooth.explicit):
            raise ValueError("restart is 'function'; a problem with an implicit term has no objective")
        return p

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, z=x0.copy(), grad=p.xp.empty_like(x0), tau=self._first_step_size(p, x0))
        s.t = 1.0 if self.restart is None or p.batch is None else np.ones(p.batch)
        if self.restart or self.backtracking:
            s.x_new = p.xp.empty_like(x0)
        if self.restart == "function":
            s.value = p.problem.objective(x0)
        return s

    def _step_size(self, p: Parts) -> float:
        return short_step_size(self.tau, p, type(self).__name__)

    def step(self, p: Parts, s: State) -> None:
        x_new = self._proximal_gradient(p, s)
        if self.restart:
            s.t = np.where(self._uphill(p, s, x_new), 1.0, s.t)[()]
        mu_f = min(p.smooth.mu, 1 / s.tau)  # backtracking may find steps longer than 1/L
        s.t, beta = momentum(s.t, s.tau, mu_f, p.prox.mu)
        s.z[...] = x_new
        s.z -= s.x
        s.z *= backend.per_sample(beta, s.z)
        s.z += x_new
        s.x[...] = x_new

    def _proximal_gradient(self, p: Parts, s: State) -> Array:
        """prox_{τg}(z - τ∇f(z)); z is kept only where it is needed afterwards."""
        p.smooth.grad(s.z, out=s.grad, work=s.scratch["smooth"])
        if self.backtracking:
            return backtrack(p, s, s.z, s.x_new)
        if self.restart:
            s.x_new[...] = s.z
        z = s.x_new if self.restart else s.z
        backend.axpy(-s.tau, s.grad, z)
        return p.prox.prox(z, s.tau, out=z if self.restart else s.grad, work=s.scratch["prox"])

    def _uphill(self, p: Parts, s: State, x_new: Array) -> Any:
        """Whether to restart; a bool, or one per sample."""
        if self.restart == "function":
            last, s.value = s.value, p.problem.objective(x_new)
            return s.value > last
        product = ((s.z - x_new) * (x_new - s.x).conj()).real
        return backend.reduce_sum(product, p.batch is not None) > 0

    def _theorem(self, p: Parts) -> Verdict:
        verdict = super()._theorem(p)
        if not verdict:
            return verdict
        if self.restart:
            reason = "is a heuristic that no rate is proved for (O'Donoghue and Candès 2015)"
            return Verdict(False, f"restart {self.restart!r} {reason}")
        return Verdict(True, "f, g convex, τ <= 1/L (Beck and Teboulle 2009, theorem 4.4)")
