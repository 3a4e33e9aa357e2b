"""Conjugate gradients: linear, for quadratics, and nonlinear, for smooth functionals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import L2, Functional, Quadratic
from ipbox.functionals.core.base import buffer
from ipbox.solvers.core.loop import Certificate, Parts, Problem, Solver, State, Verdict
from ipbox.solvers.gradient.line_search import Descent, check_between, inner, number, ratio, squares, strong_wolfe


@dataclass(frozen=True)
class CG(Solver):
    """Conjugate gradients (Hestenes and Stiefel) for a sum of `Quadratic` and `L2` terms, H u = c.

    α = ‖r‖²/<p, Hp>, u ← u + αp, r ← r - αHp, p ← r + βp with β = ‖r_new‖²/‖r‖²; r = c - Hu.  For L2 terms alone
    `CGLS` makes the same iterates with less rounding.

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

    takes: ClassVar[tuple[str, ...]] = ("smooth",)

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
        s.p = s.r.copy()
        s.rr, s.rr0 = squares(s.r, p), squares(s.r, p)
        return s

    def step(self, p: Parts, s: State) -> None:
        hessian(p.problem.terms, s.p, s.q, s.work)
        alpha = ratio(s.rr, inner(s.p, s.q, p))
        backend.axpy(alpha, s.p, s.x)
        backend.axpy(-alpha, s.q, s.r)
        rr, s.rr = s.rr, squares(s.r, p)
        s.p *= backend.per_sample(ratio(s.rr, rr), s.p)
        s.p += s.r

    def residual(self, p: Parts, s: State) -> Any:
        """‖c - Hu‖ relative to its value at the start."""
        return np.sqrt(ratio(s.rr, s.rr0))

    def certificate(self, p: Parts, s: State) -> Certificate:
        mu = p.smooth.mu
        if mu <= 0:
            return super().certificate(p, s)
        grad = p.smooth.grad(s.x)  # not s.r, which is updated along and drifts from it by rounding
        return Certificate("‖∇f‖/μ", np.sqrt(squares(grad, p)) / mu)

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "a convex quadratic with a minimiser: ends in finitely many steps (Saad 2003, 6.11)")


def hessian(terms: list[Functional], x: Array, out: Array, work: dict[str, Any]) -> None:
    """out <- Σ_i λ_i A_i*A_i x (L2 terms) + λ_i A_i x (quadratic ones)."""
    for i, f in enumerate(terms):
        y = out if i == 0 else buffer(work, "Hx", x)
        if isinstance(f, Quadratic):
            f.A.apply(x, out=y)
        elif f.A is None:
            y[...] = x
        else:
            batch = x.shape[: x.ndim - len(f.A.dims)]
            Ax = buffer(work, f"Ax{i}", x, batch + tuple(f.A.dimsd), f.A.dtype_out)
            f.A.apply_adjoint(f.A.apply(x, out=Ax), out=y)
        if i == 0:
            out *= f.weight
        else:
            backend.axpy(f.weight, y, out)


@dataclass(frozen=True)
class NonlinearCG(Descent):
    """u ← u + αd, d ← -∇f(u) + βd, with α from a strong Wolfe line search.

    y = ∇f(u_new) - ∇f(u); β by Hager and Zhang, <y - 2d‖y‖²/<d, y>, ∇f(u_new)>/<d, y> (bounded from below), or by
    Polak, Ribière and Polyak, max(<y, ∇f(u_new)>/‖∇f(u)‖², 0).  Where d is no direction of sufficient descent it is
    begun anew with -∇f.

    Parameters
    ----------
    beta : str
        ``"hager-zhang"`` or ``"polak-ribiere"``.
    c1, c2 : float
        0 < c₁ < c₂ < 1, of the Wolfe conditions; a tiny c₂ makes the search exact.

    References
    ----------
    Hager and Zhang, SIAM J. Optim. 16 (2005); Gilbert and Nocedal, SIAM J. Optim. 2 (1992).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.SmoothedTV((2, 2), eps=1e-2))
    >>> ip.solve(problem, ip.NonlinearCG(), stop=ip.stop.residual(1e-8, every=1)).x.round(3)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """

    beta: str = "hager-zhang"
    c1: float = 1e-4
    c2: float = 0.1

    def __post_init__(self) -> None:
        if self.beta not in ("hager-zhang", "polak-ribiere"):
            raise ValueError(f"beta is {self.beta!r}; expected 'hager-zhang' or 'polak-ribiere'")
        check_between(self.c2, "c2", 0, 1)
        check_between(self.c1, "c1", 0, self.c2)

    def step(self, p: Parts, s: State) -> None:
        alpha, slope = strong_wolfe(p, s, s.alpha, self.c1, self.c2), s.slope
        beta = self._beta(p, s)
        self.accept(p, s)
        s.d *= backend.per_sample(beta, s.d)
        s.d -= s.g
        self._restart(p, s)
        s.alpha = alpha * ratio(slope, s.slope)  # α<∇f, d> changes little from step to step

    @staticmethod
    def _restart(p: Parts, s: State) -> None:
        """Turn to -∇f where d does not descend enough."""
        s.slope = inner(s.g, s.d, p)
        weak = s.slope > -1e-3 * s.gg
        if np.any(weak):
            s.d *= backend.per_sample(number(np.where(weak, 0.0, 1.0)), s.d)
            backend.axpy(number(np.where(weak, -1.0, 0.0)), s.g, s.d)
            s.slope = number(np.where(weak, -s.gg, s.slope))

    def _beta(self, p: Parts, s: State) -> Any:
        """β; ∇f(u) is overwritten by -y."""
        s.g -= s.g_new
        dy, yg, yy = -inner(s.d, s.g, p), -inner(s.g, s.g_new, p), squares(s.g, p)
        if self.beta == "polak-ribiere":
            return number(np.maximum(ratio(yg, s.gg), 0.0))
        dg = dy + s.slope  # <d, ∇f(u_new)>
        lowest = -ratio(1.0, np.sqrt(squares(s.d, p)) * np.minimum(0.01, np.sqrt(s.gg)))
        return number(np.maximum(ratio(yg, dy) - 2 * ratio(yy, dy) * ratio(dg, dy), lowest))

    def _convex_theorem(self, p: Parts) -> Verdict:
        return Verdict(
            True,
            "f is convex with a Lipschitz gradient: lim inf ‖∇f(u_k)‖ = 0 on bounded level sets (Hager and Zhang 2005, "
            "theorem 3; Gilbert and Nocedal 1992, theorem 4.2)",
        )
