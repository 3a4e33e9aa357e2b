"""Gradient descent (Landweber's iteration for a least-squares term)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core import Certificate, Parts, Solver, State, Verdict


@dataclass(frozen=True)
class GradientDescent(Solver):
    """u ← u - τ ∇f(u); for f = ½‖Au - b‖² Landweber's iteration.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/L; by default 1/L, or 2/(L + μ) where f is strongly convex.

    Notes
    -----
    f(u_k) - f* <= L‖u_0 - u*‖²/(2k) for τ = 1/L; with strong convexity linear, and ‖u - u*‖ <= ‖∇f(u)‖/μ.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.array([1.0, 2.0])))
    >>> ip.solve(problem, ip.GradientDescent(), stop=ip.stop.niter(5)).x
    array([1., 2.])
    """

    tau: float | None = None
    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, grad=p.xp.empty_like(x0), tau=step_size(self.tau, p))
        p.smooth.grad(s.x, out=s.grad, work=s.work)
        s.grad0 = _norms(s.grad, p)
        return s

    def step(self, p: Parts, s: State) -> None:
        backend.axpy(-s.tau, s.grad, s.x)
        p.smooth.grad(s.x, out=s.grad, work=s.work)

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇f(u)‖ relative to its value at the start."""
        return _norms(s.grad, p) / np.where(s.grad0 > 0, s.grad0, 1.0)

    def data_residual(self, p: Parts, s: State) -> Any:
        r = s.work.get("residual")  # A u - b at the current u, left there by the gradient
        return super().data_residual(p, s) if r is None else np.sqrt(backend.sum_squares(r, p.batch is not None))

    def certificate(self, p: Parts, s: State) -> Certificate:
        mu = p.smooth.mu
        return Certificate("‖∇f‖/μ", _norms(s.grad, p) / mu) if mu > 0 else super().certificate(p, s)

    def _theorem(self, p: Parts) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "the objective is not convex")
        step_size(self.tau, p)
        return Verdict(True, "f is convex with an L-Lipschitz gradient and τ < 2/L (Nesterov 2004, theorem 2.1.14)")


def step_size(tau: float | None, p: Parts) -> float:
    """τ checked against 2/L of the smooth part, or its default."""
    L, mu = p.smooth.L, p.smooth.mu + p.prox.mu
    if not L < math.inf:
        raise ValueError(f"{p.smooth.name} has no Lipschitz gradient; expected smooth terms")
    if tau is None:
        return 2 / (L + mu) if mu > 0 and mu < L and not p.labels["prox"] else 1 / L if L > 0 else 1.0
    if not 0 < tau or not tau * L < 2:
        raise ValueError(f"tau is {tau:g}; expected a step size in (0, 2/L) with 2/L = {2 / L if L else math.inf:g}")
    return float(tau)


def _norms(x: Array, p: Parts) -> Any:
    return np.sqrt(backend.sum_squares(x, p.batch is not None))
