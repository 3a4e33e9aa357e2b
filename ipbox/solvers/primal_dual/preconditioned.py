"""PDHG with a step size for each pixel and each ray."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals import L2, TV, Zero
from ipbox.functionals.core.composition import Composition, DualTerm
from ipbox.functionals.sets.boxes import Box
from ipbox.operators import Gradient, Identity, MatrixOperator
from ipbox.solvers.core.protocol import Parts, Problem, State, Verdict
from ipbox.solvers.primal_dual import saddle


@dataclass(frozen=True)
class PreconditionedPDHG(saddle.SaddlePoint):
    """`PDHG` for n terms g_i∘K_i with diagonal step sizes T = diag(τ_j) and Σ_i = diag(σ_ik).

    y_i ← prox_{Σ_i, g_i*}(y_i + Σ_i K_i x̄),  u⁺ = P(u - T Σ_i K_i* y_i),  x̄ = 2u⁺ - u, with

    τ_j = balance · τ · n/Σ_i(c_ij/max_j c_ij),  σ_ik = 1/(n r_ik max_j τ_j c_ij),

    c_ij and r_ik the column and row sums of |K_i|, τ the default of `PDHG`: pixels that few rays meet and short rays
    take longer steps.

    Parameters
    ----------
    balance : float
        Factor by which τ is raised and the σ_ik are lowered.

    Notes
    -----
    ‖Σ_i^½ K_i T^½‖² <= 1/n by Schur's test, so no norm is needed.  The sums are known for matrices and operators
    without negative entries, for the identity, and for ∇ of `TV` and `Gradient`; others are refused.  P projects onto
    bounds (`NonNegative`, `Box`): other proxes depend on T.  σ_ik varies within L2 terms; of another g_i it is one
    number, the smallest of them.

    References
    ----------
    Pock and Chambolle, Int. Conf. Computer Vision (2011), lemma 2.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [10.0, 20.0]]))
    >>> problem = ip.Problem(ip.L2(A, np.array([1.0, 50.0])) + ip.NonNegative())
    >>> ip.solve(problem, ip.PreconditionedPDHG(), stop=ip.stop.residual(1e-12)).x.round(6)
    array([1., 2.])
    """

    balance: float = 1.0
    shared: ClassVar[frozenset[str]] = frozenset({"tau", "sigma"})

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        check_positive(self.balance, "balance")
        if not isinstance(p.prox, Zero | Box):
            raise ValueError(f"{p.prox.name} is no bound on u; PreconditionedPDHG expects NonNegative or Box, use PDHG")
        for t in p.dual:
            if t.aux or not _has_sums(t):
                raise ValueError(f"the row sums of |K| of {t.name} are not known; PreconditionedPDHG expects them")
        return p

    def init(self, p: Parts, x0: Array) -> State:
        tau, sigma = self.step_sizes(p, x0)
        return saddle.new_state(p, x0, x_bar=x0.copy(), tau=tau, sigma=sigma)

    def step(self, p: Parts, s: State) -> None:
        for y, sigma, term, work in zip(s.y, s.sigma, p.dual, s.scratch["dual"], strict=True):
            _ascend(term, y, s.x_bar, sigma, work)
        saddle.apply_adjoint(p, s.y, s.d, s.aux_d, s.scratch["dual"])
        s.d *= s.tau
        p.prox.descend(s.x, s.d, 1.0, 1.0, s.x_bar, s.scratch["prox"])

    def step_sizes(self, p: Parts, x0: Array) -> tuple[Array, list[Any]]:
        """The τ_j and, for each term, the σ_ik or their smallest."""
        n = max(len(p.dual), 1)
        sums = [_absolute_sums(t, p) for t in p.dual]
        shares = sum(columns / columns.max() for _, columns in sums) if sums else p.xp.ones_like(x0)
        bounds = [float(rows.max()) * float(columns.max()) for rows, columns in sums]  # of ‖K_i‖²
        smooth = [t.g_lipschitz * k for t, k in zip(p.dual, bounds, strict=True) if t.g_lipschitz < math.inf]
        tau = self.balance * (8 / max(smooth) if smooth else 1 / math.sqrt(n * sum(bounds) or 1.0))
        tau = (tau * n / p.xp.maximum(shares, 1e-3)).astype(backend.real_dtype(x0.dtype))
        sigma: list[Any] = []
        for t, (rows, columns) in zip(p.dual, sums, strict=True):
            scale = n * float((tau * columns).max())
            rows = p.xp.maximum(rows, 1e-6 * rows.max())  # a ray that misses the image
            varies = isinstance(t, Composition) and isinstance(t.g, L2)
            sigma.append((1 / (scale * rows)).astype(tau.dtype) if varies else 1 / (scale * float(rows.max())))
        return tau, sigma

    def resolvents(self, p: Parts, s: State) -> tuple[float, list[float]]:
        return float(s.tau.min()), [float(sigma if isinstance(sigma, float) else sigma.min()) for sigma in s.sigma]

    def _theorem(self, p: Parts) -> Verdict:
        return saddle.verdict(p, "f, g convex, ‖Σ^½ K T^½‖ <= 1 (Pock and Chambolle 2011, theorem 1)", steps=False)


def _ascend(term: Any, y: Array, x_bar: Array, sigma: Any, work: dict[str, Any]) -> None:
    if isinstance(sigma, float):
        term.ascend(y, [x_bar], sigma, work)
        return
    f, b = term.g, term.g.b  # y <- (y + σ(K x̄ - b))/(1 + σ/λ)
    Kx = work["Kx"] = term.K.apply(x_bar, out=work.get("Kx"))
    if b is not None:
        Kx -= b
    Kx *= sigma
    y += Kx
    y /= 1 + sigma / f.weight


def _has_sums(t: DualTerm) -> bool:
    known = isinstance(t.K, MatrixOperator | Identity | Gradient) or (t.K is not None and t.K.nonnegative)
    return isinstance(t, TV) or known


def _absolute_sums(t: Any, p: Parts) -> tuple[Array, Array]:
    """Sums of |K| over the rows, and over the columns."""
    K = t.K
    if isinstance(K, MatrixOperator):
        return K.entry_sums(1, rows=True), K.entry_sums(1, rows=False)
    one = p.xp.ones(p.problem.dims, dtype=backend.real_dtype(p.problem.dtype))
    if isinstance(t, TV) or isinstance(K, Gradient):
        columns = p.xp.zeros_like(one)
        for axis in range(one.ndim):  # each difference of neighbours touches both
            first = [slice(None)] * one.ndim
            for ends in (slice(1, None), slice(None, -1)):
                first[axis] = ends
                columns[tuple(first)] += 1
        return 2 * p.xp.ones(t.dual_dims, dtype=one.dtype), columns
    if isinstance(K, Identity):
        return one, one
    return K.apply(one), K.apply_adjoint(p.xp.ones(tuple(K.dimsd), dtype=one.dtype))
