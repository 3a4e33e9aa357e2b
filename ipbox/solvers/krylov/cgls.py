"""Conjugate gradients for least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox.backend import Array
from ipbox.solvers.core.divergence import Diverged
from ipbox.solvers.core.protocol import NextStep, Parts, State, Verdict
from ipbox.solvers.krylov import attainable
from ipbox.solvers.krylov.conjugate_directions import descend, turn
from ipbox.solvers.krylov.least_squares import (
    LeastSquares,
    adjoint,
    computed_where_ended,
    data_size,
    forward,
    level,
    residuals,
    stacked_squares,
)
from ipbox.solvers.per_sample import inner, norms, number, ratio, squares


@dataclass(frozen=True)
class CGLS(LeastSquares):
    """Conjugate gradients on the normal equations Σ_i λ_i A_i*(A_i u - b_i) = 0 of a sum of L2 terms.

    One L2 term gives CGLS (regularised by stopping early), a second one Tikhonov's functional.  A and A* are applied
    once per iteration; the residuals b_i - A_i u are updated along.  Where the gradient is nothing but rounding, the
    run ends with the best image: see `LeastSquares`.

    References
    ----------
    Björck, Numerical Methods for Least Squares Problems, SIAM 1996, section 7.4.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.diag([1.0, 2.0]))
    >>> ip.solve(ip.Problem(ip.L2(A, np.array([1.0, 4.0]))), ip.CGLS(), stop=ip.stop.niter(2)).x.round(6)
    array([1., 2.])
    """

    knows_next_step: ClassVar[bool] = True
    by_ranks: ClassVar[bool] = True

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, r=residuals(p, x0), g=p.xp.empty_like(x0))  # g is the negative gradient
        s.q = [p.xp.empty_like(r) for r in s.r]
        adjoint(p, s.r, s.g)
        s.d = s.g.copy()
        s.gamma, s.gradient, s.gradient0 = squares(s.g, p), norms(s.g, p), norms(s.g, p)
        attainable.start(p, s, s.gradient)
        s.data_size = data_size(p)
        return s

    def step(self, p: Parts, s: State) -> None:
        forward(p, s.d, s.q)
        # <g, d> is γ but for rounding; with it no step goes up, also where g is nothing but rounding
        curvature = stacked_squares(p, s.q)
        if np.isinf(curvature).any():
            raise Diverged(f"CGLS diverged: A*A leaves the range of {p.problem.dtype} (expected A in other units)")
        attainable.scale(s, ratio(np.sqrt(curvature), s.direction))
        alpha = attainable.running(s, ratio(inner(s.g, s.d, p), curvature))
        descend(alpha, [s.x], [s.d], s.r, s.q)
        adjoint(p, s.r, s.g)
        gamma, s.gamma = s.gamma, squares(s.g, p)
        beta = ratio(s.gamma, gamma)
        turn(beta, [s.d], [s.g])
        attainable.move(s, alpha, beta, np.sqrt(s.gamma))
        s.gradient = number(np.where(s.ended, s.gradient, np.sqrt(s.gamma)))
        noise = lambda: s.size * np.sqrt(stacked_squares(p, s.r))  # noqa: E731
        attainable.watch(p, s, lambda: level(s), noise, mu=p.smooth.mu)

    def residual(self, p: Parts, s: State) -> Any:
        """‖Σ λ_i A_i* r_i‖ relative to its value at the start."""
        return ratio(s.gradient, s.gradient0)

    def error_bound(self, p: Parts, s: State) -> Any:
        """‖∇f(u)‖/μ, with the gradient that is updated along."""
        return np.sqrt(s.gamma) / p.smooth.mu if p.smooth.mu > 0 else None

    def data_residual(self, p: Parts, s: State) -> Any:
        i = p.problem.terms.index(p.problem.D)
        return computed_where_ended(p, s, norms(s.r[i], p, p.problem.fidelity))

    def next_step(self, p: Parts, s: State, memory: dict[str, Any]) -> NextStep:
        """w of the direction d = A*w, which follows the same recursion; it has to be watched from the start."""
        weight = p.problem.D.weight
        if "me_k" not in memory:
            if s.k:
                raise ValueError(
                    f"state is that of step {s.k}; stop.monotone_error expects to watch CGLS from the start"
                )
            memory.update(me_k=0, me_gamma=np.asarray(s.gamma), me_w=weight * s.r[0])
        if memory["me_k"] != s.k:
            turn(ratio(s.gamma, memory["me_gamma"]), [memory["me_w"]], [weight * s.r[0]])
            memory.update(me_k=s.k, me_gamma=np.asarray(s.gamma))
        forward(p, s.d, s.q)
        alpha = ratio(s.gamma, stacked_squares(p, s.q))
        return NextStep(s.r[0], memory["me_w"], alpha * squares(s.d, p))

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "a convex quadratic: exact in at most rank(A) steps without rounding (Björck 1996, 7.4)")
