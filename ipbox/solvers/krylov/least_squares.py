"""What Krylov methods share: a stack of least-squares terms, ‖r‖² = Σ λ_i ‖r_i‖², and the certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.solvers.core.protocol import Certificate, Parts, Problem, Solver, State
from ipbox.solvers.per_sample import norms, squares


@dataclass(frozen=True)
class Krylov(Solver):
    """Base of the methods for quadratics."""

    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def certificate(self, p: Parts, s: State) -> Certificate:
        """‖u - u*‖ <= ‖∇f(u)‖/μ; ∇f is computed anew, since what is updated along drifts from it by rounding."""
        mu = p.smooth.mu
        return Certificate("‖∇f‖/μ", norms(p.smooth.grad(s.x), p) / mu) if mu > 0 else super().certificate(p, s)


@dataclass(frozen=True)
class LeastSquares(Krylov):
    """Base of the methods for a sum of L2 terms."""

    def prepare(self, problem: Problem) -> Parts:
        who = type(self).__name__
        for f in problem.terms:
            if not isinstance(f, L2) or f.weight <= 0:
                raise ValueError(f"{f.name} fits no role of {who}: it expects terms L2(A, b), positive weights only")
        return super().prepare(problem)


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
