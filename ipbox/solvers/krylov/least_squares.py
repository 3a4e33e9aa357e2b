"""What Krylov methods share: a stack of least-squares terms, ‖r‖² = Σ λ_i ‖r_i‖², and the certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.solvers.core.protocol import Certificate, Parts, Problem, Solver, State
from ipbox.solvers.per_sample import norms, number, squares


@dataclass(frozen=True)
class Krylov(Solver):
    """Base of the methods for quadratics.

    A run ends by itself, with ``stop`` ``"attainable_accuracy"``, where no step can make the gradient smaller.
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def ended(self, s: State) -> Any:
        return s.ended

    def certificate(self, p: Parts, s: State) -> Certificate:
        """‖u - u*‖ <= ‖∇f(u)‖/μ; ∇f is computed anew, since what is updated along drifts from it by rounding."""
        mu = p.smooth.mu
        return Certificate("‖∇f‖/μ", norms(p.smooth.grad(s.x), p) / mu) if mu > 0 else super().certificate(p, s)


@dataclass(frozen=True)
class LeastSquares(Krylov):
    """Base of the methods for a sum of L2 terms.

    The gradient Σ λ_i A_i* r_i is accurate to eps ‖A‖ (‖b‖ + ‖A‖‖u‖).  Within 30 times that it is computed anew, beside
    what is updated along; a run ends with the image of the smallest one where it is nothing but rounding.  A term that
    damps every direction, as Tikhonov's does, needs no such watch.
    """

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


def data_size(p: Parts) -> Any:
    """(Σ λ_i ‖b_i‖²)^½ of the L2 terms, one per sample of a batch."""
    zero = 0.0 if p.batch is None else np.zeros(p.batch)
    terms = (f for f in p.problem.terms if isinstance(f, L2) and f.b is not None)
    return np.sqrt(zero + sum(f.weight * _squares_of_data(f, p) for f in terms))


def _squares_of_data(f: L2, p: Parts) -> Any:
    one = p.problem.dims if f.A is None else f.A.dimsd
    with shares.shared_by(f.ranks):
        return backend.sum_squares(f.b, p.batch is not None and f.b.ndim > len(one))


def level(s: State) -> Any:
    """‖A‖ (‖b‖ + ‖A‖‖u‖): the size of what the gradient is a difference of."""
    return s.size * (s.data_size + s.size * s.length)


def computed_where_ended(p: Parts, s: State, recurred: Any) -> Any:
    """‖Au - b‖, computed for samples that have ended: their image is an earlier one."""
    return number(np.where(s.ended, p.problem.residual_norm(s.x), recurred)) if np.any(s.ended) else recurred


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
    return sum(f.weight * squares(a, p, f) for f, a in zip(p.problem.terms, r, strict=True))
