"""Conjugate gradients for least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.solvers.core import Certificate, Parts, Problem, Solver, State, Verdict


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
        for f in problem.terms:
            if not isinstance(f, L2) or f.weight <= 0:
                raise ValueError(f"{f.name} fits no role of CGLS: it expects terms L2(A, b) with positive weights only")
        return super().prepare(problem)

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, r=[], q=[])
        for f in p.problem.terms:
            r = f.residual(x0)  # A_i u - b_i
            r *= -1
            s.r.append(r)
            s.q.append(p.xp.empty_like(r))
        s.g = p.xp.empty_like(x0)  # the negative gradient
        self._normal_residual(p, s)
        s.p = s.g.copy()
        s.gamma, s.gamma0 = _sq(s.g, p), _sq(s.g, p)
        return s

    def step(self, p: Parts, s: State) -> None:
        for f, q in zip(p.problem.terms, s.q, strict=True):
            _forward(f, s.p, q)
        delta = sum(f.weight * _sq(q, p) for f, q in zip(p.problem.terms, s.q, strict=True))
        alpha = _ratio(s.gamma, delta)
        backend.axpy(alpha, s.p, s.x)
        for r, q in zip(s.r, s.q, strict=True):
            backend.axpy(-alpha, q, r)
        self._normal_residual(p, s)
        gamma, s.gamma = s.gamma, _sq(s.g, p)
        s.p *= backend.per_sample(_ratio(s.gamma, gamma), s.p)
        s.p += s.g

    @staticmethod
    def _normal_residual(p: Parts, s: State) -> None:
        """g = Σ_i λ_i A_i* r_i."""
        for i, (f, r) in enumerate(zip(p.problem.terms, s.r, strict=True)):
            if f.A is None:
                term = r
            elif i == 0:
                term = f.A.apply_adjoint(r, out=s.g)
            else:
                term = f.A.apply_adjoint(r)
            if i == 0:
                s.g[...] = term
                s.g *= f.weight
            else:
                backend.axpy(f.weight, term, s.g)

    def residual(self, p: Parts, s: State) -> Any:
        """‖Σ λ_i A_i* r_i‖ relative to its value at the start."""
        return np.sqrt(_ratio(s.gamma, s.gamma0))

    def data_residual(self, p: Parts, s: State) -> Any:
        i = p.problem.terms.index(p.problem.fidelity)
        return np.sqrt(_sq(s.r[i], p))

    def certificate(self, p: Parts, s: State) -> Certificate:
        mu = p.smooth.mu
        if mu <= 0:
            return super().certificate(p, s)
        grad = p.smooth.grad(s.x)  # not s.g, which is updated along and drifts from it by rounding
        return Certificate("‖∇f‖/μ", np.sqrt(_sq(grad, p)) / mu)

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "a convex quadratic: exact in at most rank(A) steps without rounding (Björck 1996, 7.4)")


def _forward(f: L2, x: Array, out: Array) -> None:
    if f.A is None:
        out[...] = x
    else:
        f.A.apply(x, out=out)


def _sq(x: Array, p: Parts) -> Any:
    return backend.sum_squares(x, p.batch is not None)


def _ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where b = 0: there the solution is reached."""
    if np.ndim(b) == 0:
        return 0.0 if b == 0 else a / b  # NaN goes on, to be refused
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)
