"""LSQR: least squares by Golub and Kahan's bidiagonalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.protocol import Parts, State, Verdict
from ipbox.solvers.krylov import attainable
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
from ipbox.solvers.per_sample import norms, number, ratio, squares


@dataclass(frozen=True)
class LSQR(LeastSquares):
    """Paige and Saunders' LSQR for a sum of L2 terms Σ λ_i/2 ‖A_i u - b_i‖².

    It makes the iterates of `CGLS` in another way, by the QR factorisation of the bidiagonal matrix, and knows
    ‖r‖ = φ̄ and ‖A*r‖ = φ̄ α |c| of each; A and A* are applied once.  One L2 term is regularised by stopping early; a
    second one, ``0.1 * L2()``, damps.  Where the gradient is nothing but rounding, the run ends with the best image:
    see `LeastSquares`.

    References
    ----------
    Paige and Saunders, ACM Trans. Math. Software 8 (1982).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.diag([1.0, 2.0]))
    >>> ip.solve(ip.Problem(ip.L2(A, np.array([1.0, 4.0]))), ip.LSQR(), stop=ip.stop.niter(2)).x.round(6)
    array([1., 2.])
    """

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0)
        start_bidiagonalisation(p, s)
        s.w = s.v.copy()
        s.phi_bar, s.rho_bar = s.beta, s.alpha
        s.gradient, s.gradient0 = s.alpha * s.beta, s.alpha * s.beta
        attainable.start(p, s, norms(s.w, p))
        s.data_size = data_size(p)
        return s

    def step(self, p: Parts, s: State) -> None:
        bidiagonalise(p, s)
        rho = np.hypot(s.rho_bar, s.beta)
        c, sine = ratio(s.rho_bar, rho), ratio(s.beta, rho)
        step, turn = attainable.running(s, ratio(c * s.phi_bar, rho)), -ratio(sine * s.alpha, rho)
        backend.axpy(step, s.w, s.x)
        s.w *= backend.per_sample(turn, s.w)
        s.w += s.v
        attainable.move(s, step, turn, 1.0)
        s.rho_bar, s.phi_bar = -c * s.alpha, sine * s.phi_bar
        s.gradient = number(np.where(s.ended, s.gradient, s.phi_bar * s.alpha * np.abs(c)))
        attainable.watch(p, s, lambda: level(s), lambda: s.size * s.phi_bar, mu=p.smooth.mu)

    def residual(self, p: Parts, s: State) -> Any:
        """‖Σ λ_i A_i* r_i‖ relative to its value at the start."""
        return ratio(s.gradient, s.gradient0)

    def data_residual(self, p: Parts, s: State) -> Any:
        if len(p.problem.terms) > 1:
            return super().data_residual(p, s)
        return computed_where_ended(p, s, s.phi_bar / np.sqrt(p.problem.D.weight))

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "a convex quadratic: exact in at most rank(A) steps without rounding (Paige and Saunders)")


def start_bidiagonalisation(p: Parts, s: State) -> None:
    """β u = b - A x, α v = A*u, ‖u‖ = ‖v‖ = 1; for several terms A is their stack and ‖u‖² = Σ λ_i ‖u_i‖²."""
    s.u, s.v, s.g = residuals(p, s.x), p.xp.empty_like(s.x), p.xp.empty_like(s.x)
    s.q = [p.xp.empty_like(u) for u in s.u]
    s.beta = _normalise(s.u, np.sqrt(stacked_squares(p, s.u)))
    adjoint(p, s.u, s.v)
    s.alpha = _normalise([s.v], norms(s.v, p))


def bidiagonalise(p: Parts, s: State, basis: Array | None = None) -> None:
    """β u ← A v - α u, α v ← A*u - β v; v is orthogonalised against ``basis``, which rounding makes necessary.

    ``basis`` has real matrices with orthonormal rows, one for each sample, as `rows` gives them.
    """
    forward(p, s.v, s.q)
    for u, q in zip(s.u, s.q, strict=True):
        u *= backend.per_sample(-s.alpha, u)
        u += q
    s.beta = _normalise(s.u, _unless_rounding(s, np.sqrt(stacked_squares(p, s.u))))
    attainable.scale(s, np.hypot(s.alpha, s.beta))
    adjoint(p, s.u, s.g)
    s.v *= backend.per_sample(-s.beta, s.v)
    s.v += s.g
    if basis is not None:
        _orthogonalise(p, s.v, basis)
    s.alpha = _normalise([s.v], _unless_rounding(s, norms(s.v, p)))


def _unless_rounding(s: State, size: Any) -> Any:
    """``size``, and 0 where it is nothing but rounding: there the process ends."""
    eps = float(np.finfo(backend.real_dtype(s.x.dtype)).eps)
    return number(np.where(size <= attainable.NEAR * eps * s.size, 0.0, size))


def rows(p: Parts, x: Array, n: int = 1) -> Array:
    """The n images of each sample as real vectors, a view of shape (samples, n, pixels)."""
    return x.view(backend.real_dtype(x.dtype)).reshape(p.batch or 1, n, -1)


def _orthogonalise(p: Parts, x: Array, basis: Array) -> None:
    """v ← v - VᵀVv, twice; 0 where the second time more than halves it: v lay in the space of V, but for rounding.

    Two times are enough (Parlett, The Symmetric Eigenvalue Problem, 1998, section 6.9).
    """
    sizes = []
    for _ in range(2):
        for V, v in zip(basis, rows(p, x)[:, 0], strict=True):
            v -= (V @ v) @ V
        sizes.append(squares(x, p))
    x *= backend.per_sample(np.where(sizes[1] < 0.25 * sizes[0], 0.0, 1.0), x)


def _normalise(blocks: list[Array], size: Any) -> Any:
    """Divide by ``size``, a number or one per sample, and return it; zeros stay."""
    for a in blocks:
        a *= backend.per_sample(ratio(1.0, size), a)
    return size
