"""Conjugate gradients for quadratics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2, Functional, Quadratic
from ipbox.functionals.core.base import buffer
from ipbox.solvers.core.divergence import Diverged
from ipbox.solvers.core.protocol import Parts, Problem, State, Verdict
from ipbox.solvers.krylov import attainable
from ipbox.solvers.krylov.conjugate_directions import advance
from ipbox.solvers.krylov.least_squares import Krylov, data_size
from ipbox.solvers.per_sample import inner, norms, number, ratio, squares


@dataclass(frozen=True)
class CG(Krylov):
    """Conjugate gradients (Hestenes and Stiefel) for a sum of `Quadratic` and `L2` terms, H u = c.

    α = ‖r‖²/<d, Hd>, u ← u + αd, r ← r - αHd, d ← r + βd with β = ‖r_new‖²/‖r‖²; r = c - Hu.  For L2 terms alone
    `CGLS` makes the same iterates with less rounding.  The residual is accurate to eps (‖c‖ + ‖H‖‖u‖), and, with L2
    terms, eps ‖A‖‖b‖: where it is nothing but rounding, or H has no curvature along d, the run ends with the best one.

    Notes
    -----
    ‖u_k - u*‖_H <= 2((√κ - 1)/(√κ + 1))^k ‖u_0 - u*‖_H, κ the condition of H; exact in as many steps as H has distinct
    eigenvalues, but for rounding.

    References
    ----------
    Hestenes and Stiefel, J. Res. Nat. Bur. Standards 49 (1952); Saad, Iterative Methods for Sparse Linear Systems,
    2003, section 6.11.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b = np.diag([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 1.0])
    >>> ip.solve(ip.Problem(ip.Quadratic(A, b)), ip.CG(), stop=ip.stop.niter(3)).x.round(6)
    array([1.  , 0.5 , 0.25])
    """

    def prepare(self, problem: Problem) -> Parts:
        for f in problem.terms:
            if not isinstance(f, L2 | Quadratic) or f.weight <= 0:
                raise ValueError(
                    f"{f.name} fits no role of CG: it expects terms Quadratic(A, b) and L2(A, b) with positive weights"
                )
        return super().prepare(problem)

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, r=p.xp.empty_like(x0), q=p.xp.empty_like(x0))
        p.smooth.grad(s.x, out=s.r)
        s.r *= -1
        s.d = s.r.copy()
        s.gamma, s.gradient, s.gradient0 = squares(s.r, p), norms(s.r, p), norms(s.r, p)
        attainable.start(p, s, s.gradient)
        s.largest, s.data_size = s.gradient, data_size(p)
        return s

    def step(self, p: Parts, s: State) -> None:
        hessian(p.problem.terms, s.d, s.q, s.scratch["smooth"])
        curvature = inner(s.d, s.q, p)
        if s.k == 0:
            _check_range(p, s)
        attainable.scale(s, ratio(curvature, s.direction**2))
        eps = float(np.finfo(backend.real_dtype(s.x.dtype)).eps)
        flat = curvature <= 4 * eps * s.size * s.direction**2  # as good as none along d: no step is known
        running, gamma = ~(np.asarray(s.ended) | flat), s.gamma
        s.gamma = advance([s.x], [s.r], [s.d], [s.q], gamma, p.batch is not None, curvature, running)
        attainable.move(s, np.where(running, ratio(gamma, curvature), 0.0), ratio(s.gamma, gamma), np.sqrt(s.gamma))
        s.gradient = number(np.where(s.ended, s.gradient, np.sqrt(s.gamma)))
        s.largest = number(np.maximum(s.largest, s.gradient))

        def size() -> Any:
            return s.largest + s.size * s.length + np.sqrt(s.size) * s.data_size

        attainable.watch(p, s, size, size, flat)

    def residual(self, p: Parts, s: State) -> Any:
        """‖c - Hu‖ relative to its value at the start."""
        return ratio(s.gradient, s.gradient0)

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "a convex quadratic with a minimiser: ends in finitely many steps (Saad 2003, 6.11)")


def _check_range(p: Parts, s: State) -> None:
    """Refuse a first Hd that is nothing but denormal numbers: the precision does not have c and H in their units."""
    info = np.finfo(backend.real_dtype(s.x.dtype))
    small = (s.direction > 0) & (s.direction < math.sqrt(info.tiny) / info.eps)
    if np.any(small) and np.any(small & (norms(s.q, p) < info.tiny / info.eps)):
        raise Diverged(f"CG diverged: H leaves the range of {p.problem.dtype} (expected other units, or CGLS)")


def hessian(terms: list[Functional], x: Array, out: Array, work: dict[str, Any]) -> None:
    """out <- Σ_i λ_i A_i*A_i x (L2 terms) + λ_i A_i x (quadratic ones)."""
    for i, f in enumerate(terms):
        y = out if i == 0 else buffer(work, "Hx", x)
        if isinstance(f, Quadratic):
            f.A.apply(x, out=y)
        elif f.A is None:
            y[...] = x
        else:
            normal(f, x, y, work, f"Ax{i}")
        if i == 0:
            out *= f.weight
        else:
            backend.axpy(f.weight, y, out)


def normal(f: L2, x: Array, out: Array, work: dict[str, Any], key: str) -> Array:
    """out <- A*A x; ``work[key]`` holds Ax."""
    A = f.operator
    batch = x.shape[: x.ndim - len(A.dims)]
    Ax = A.apply(x, out=buffer(work, key, x, batch + tuple(A.dimsd), A.dtype_out))
    return A.apply_adjoint(Ax, out=out)
