"""Conjugate gradients for least squares, and what Krylov methods do with a stack of least-squares terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.solvers.core.loop import Certificate, Parts, Problem, Solver, State, Verdict
from ipbox.solvers.gradient.line_search import inner, ratio, squares


@dataclass(frozen=True)
class CGLS(Solver):
    """Conjugate gradients on the normal equations Σ_i λ_i A_i*(A_i u - b_i) = 0 of a sum of L2 terms.

    One L2 term gives CGLS (regularised by stopping early), a second one Tikhonov's functional.  A and A* are applied
    once per iteration; the residuals b_i - A_i u are updated along.

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

    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def prepare(self, problem: Problem) -> Parts:
        check_least_squares(problem, "CGLS")
        return super().prepare(problem)

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, r=residuals(p, x0), g=p.xp.empty_like(x0))  # g is the negative gradient
        s.q = [p.xp.empty_like(r) for r in s.r]
        adjoint(p, s.r, s.g)
        s.p = s.g.copy()
        s.gamma, s.gamma0 = squares(s.g, p), squares(s.g, p)  # two arrays: a batch writes into them
        return s

    def step(self, p: Parts, s: State) -> None:
        forward(p, s.p, s.q)
        # <g, p> is γ but for rounding; with it no step goes up, also where g is nothing but rounding
        alpha = ratio(inner(s.g, s.p, p), stacked_squares(p, s.q))
        backend.axpy(alpha, s.p, s.x)
        for r, q in zip(s.r, s.q, strict=True):
            backend.axpy(-alpha, q, r)
        adjoint(p, s.r, s.g)
        gamma, s.gamma = s.gamma, squares(s.g, p)
        s.p *= backend.per_sample(ratio(s.gamma, gamma), s.p)
        s.p += s.g

    def residual(self, p: Parts, s: State) -> Any:
        """‖Σ λ_i A_i* r_i‖ relative to its value at the start."""
        return np.sqrt(ratio(s.gamma, s.gamma0))

    def data_residual(self, p: Parts, s: State) -> Any:
        i = p.problem.terms.index(p.problem.fidelity)
        return np.sqrt(squares(s.r[i], p))

    def certificate(self, p: Parts, s: State) -> Certificate:
        # not s.g, which is updated along and drifts from it by rounding
        return gradient_certificate(p, s) or super().certificate(p, s)

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "a convex quadratic: exact in at most rank(A) steps without rounding (Björck 1996, 7.4)")


# ---------------------------------------------------------------- the stack of the terms, ‖r‖² = Σ λ_i ‖r_i‖²


def check_least_squares(problem: Problem, who: str) -> None:
    """Refuse terms that are not least squares."""
    for f in problem.terms:
        if not isinstance(f, L2) or f.weight <= 0:
            raise ValueError(f"{f.name} fits no role of {who}: it expects terms L2(A, b) with positive weights only")


def residuals(p: Parts, x: Array) -> list[Array]:
    """r_i = b_i - A_i x."""
    r = [f.residual(x) for f in p.problem.terms]
    for a in r:
        a *= -1
    return r


def forward(p: Parts, x: Array, out: list[Array]) -> None:
    """out_i = A_i x."""
    for f, q in zip(p.problem.terms, out, strict=True):
        if f.A is None:
            q[...] = x
        else:
            f.A.apply(x, out=q)


def adjoint(p: Parts, r: list[Array], out: Array) -> None:
    """out = Σ_i λ_i A_i* r_i."""
    for i, (f, a) in enumerate(zip(p.problem.terms, r, strict=True)):
        if i > 0:
            backend.axpy(f.weight, a if f.A is None else f.A.apply_adjoint(a), out)
            continue
        if f.A is None:
            out[...] = a
        else:
            f.A.apply_adjoint(a, out=out)
        out *= f.weight


def stacked_squares(p: Parts, r: list[Array]) -> Any:
    """Σ_i λ_i ‖r_i‖²."""
    return sum(f.weight * squares(a, p) for f, a in zip(p.problem.terms, r, strict=True))


def gradient_certificate(p: Parts, s: State) -> Certificate | None:
    """‖u - u*‖ <= ‖∇f(u)‖/μ where f is strongly convex."""
    mu = p.smooth.mu
    return Certificate("‖∇f‖/μ", np.sqrt(squares(p.smooth.grad(s.x), p)) / mu) if mu > 0 else None
