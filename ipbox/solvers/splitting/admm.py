"""The alternating direction method of multipliers, and half-quadratic splitting."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_flag, check_positive
from ipbox.functionals import L2, Composition
from ipbox.solvers.core.protocol import Parts, Problem, State, Verdict
from ipbox.solvers.krylov.conjugate_directions import inner_blocks
from ipbox.solvers.per_sample import TINY, norms, squares
from ipbox.solvers.primal_dual import saddle
from ipbox.solvers.splitting import normal_equations


@dataclass(frozen=True)
class Splitting(saddle.SaddlePoint):
    """What ADMM and half-quadratic splitting share: least-squares terms q(u), the others by their proxes.

    A term with a simple prox is f, the others are g_i∘K_i (terms g∘K, and what has no common prox with f).
    """

    rho: float | None = None
    accuracy: float = field(default=0.1, kw_only=True)
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox", "dual")
    by_ranks: ClassVar[bool] = True

    def prepare(self, problem: Problem) -> Parts:
        check_between(self.accuracy, "accuracy", 0, 1)
        roles = dict(problem.roles)
        for i, f in enumerate(problem.terms):
            if not isinstance(f, L2) and f.has_grad:  # smooth or not: CG is for quadratics
                roles.setdefault(i, "prox" if f.has_prox and not isinstance(f, Composition) else "dual")
            if roles.get(i) == "smooth" and not isinstance(f, L2):
                raise ValueError(f"roles has {i}: 'smooth'; {type(self).__name__} takes L2 terms so, not {f.name}")
        with_roles = copy.copy(problem)
        with_roles.roles = roles
        p = with_roles.assign(self.takes, type(self).__name__)
        return replace(p, problem=problem)

    def init(self, p: Parts, x0: Array) -> State:
        s = saddle.new_state(p, x0, u=x0.copy(), rho=self._first_rho(p))
        s.y_bar = [y.copy() for y in s.y]
        s.y_prox, s.y_bar_prox = p.xp.zeros_like(x0), p.xp.zeros_like(x0)
        blocks = saddle.blocks_of(s.u, s.aux)
        s.r, s.step = ([p.xp.zeros_like(b) for b in blocks] for _ in range(2))
        s.scratch["cg"] = [[p.xp.zeros_like(b) for b in blocks] for _ in range(2)]
        return s

    def _first_rho(self, p: Parts) -> float:
        if self.rho is not None:
            return check_positive(self.rho, "rho")
        return self._default_rho(p)

    def _default_rho(self, p: Parts) -> float:
        norms = [*saddle.norms_of(p), *([1.0] if p.labels["prox"] else [])]
        return (p.smooth.L or 1.0) / (10 * max(norms, default=1.0) ** 2)

    def _move(self, p: Parts, s: State, relax: float) -> None:
        """(u, v) += relax · M⁻¹ s.r, inexactly."""
        size = np.sqrt(inner_blocks(s.r, s.r, p.batch is not None))
        if s.k == 0:
            s.first = size
        normal_equations.solve_normal(p, s, s.rho, np.maximum(self._tolerance(s, size), self._rounding(p, s)))
        for block, step in zip(saddle.blocks_of(s.u, s.aux), s.step, strict=True):
            backend.axpy(relax, step, block)
        if not p.labels["prox"]:
            s.x[...] = s.u

    def _tolerance(self, s: State, size: Any) -> Any:
        """Residual at which the conjugate gradients end, given that at their start."""
        return np.minimum(self.accuracy * size, s.first / (1 + s.k) ** 1.5)[()]

    def _rounding(self, p: Parts, s: State) -> Any:
        """What of the right-hand side may be nothing but rounding; where M is singular no step takes it away."""
        batched, sizes = p.batch is not None, saddle.norms_of(p)
        blocks = saddle.blocks_of(s.u, s.aux)
        image = np.sqrt(inner_blocks(blocks, blocks, batched))
        level = s.first + (p.smooth.L + s.rho * (1 + sum(k**2 for k in sizes))) * image
        level = level + sum(k * norms(y, p, g) for k, y, g in zip(sizes, s.y, p.dual, strict=True))
        level = level + norms(s.y_prox, p)
        return (float(np.finfo(backend.real_dtype(s.x.dtype)).eps) * level)[()]

    def _copy_of_prox(self, p: Parts, s: State) -> None:
        """x <- prox_{f/ρ}(u + y/ρ), the copy of u, and y_bar <- y + ρ(u - x)."""
        s.y_bar_prox[...] = s.y_prox
        backend.axpy(s.rho, s.u, s.y_bar_prox)
        s.x[...] = s.y_bar_prox
        s.x /= s.rho
        p.prox.prox(s.x, 1 / s.rho, out=s.x, work=s.scratch["prox"])
        backend.axpy(-s.rho, s.x, s.y_bar_prox)

    def resolvents(self, p: Parts, s: State) -> tuple[float, list[float]]:
        norms = saddle.norms_of(p)
        if not p.prox.explicit:  # whose fixed points depend on the step size
            return 1 / s.rho, [s.rho] * len(norms)
        return 1 / (p.smooth.L + s.rho * (1 + sum(k**2 for k in norms))), [s.rho] * len(norms)


@dataclass(frozen=True)
class ADMM(Splitting):
    """min_u q(u) + f(u) + Σ_i g_i(K_i u) by ADMM, with q = Σ λ_j/2 ‖A_j u - b_j‖².

    y_i⁺ = prox_{ρg_i*}(y_i + ρK_i u),  u⁺ = argmin_v q(v) + Σ <K_i v, 2y_i⁺ - y_i> + ρ/2 ‖K_i(v - u)‖²: ADMM with the
    copies z_i = K_i u eliminated by Moreau's identity.  f is one of the g_i, with K = Id.

    Parameters
    ----------
    rho : float, optional
        ρ > 0; by default L/(10 max‖K_i‖²), L = ‖Σ λ_j A_j*A_j‖, fitted on CT.
    relax : float
        Over-relaxation in (0, 2): 1.5 to 1.8 often saves iterations.
    accuracy : float
        Of the conjugate gradients that find u: residual relative to that at their start.
    balance : bool
        For the first 64 iterations, at k = 1, 2, 4, ..., move ρ by at most a factor of 4 to where ‖Δy‖ = ρ‖KΔu‖, so
        that primal and dual variables move in step.  Refused for batches, whose samples share ρ.

    Notes
    -----
    u is found by conjugate gradients that start at the last u, until the residual is at most ``accuracy`` times that
    at the start and falls like k^(-3/2): the errors are summable.  Where there is a term f, the image returned is its
    copy, which comes out of f's prox: feasible where f is a constraint.

    References
    ----------
    Gabay and Mercier, Comput. Math. Appl. 2 (1976); Eckstein and Bertsekas, Math. Program. 55 (1992), theorem 8;
    Boyd et al., Found. Trends Mach. Learn. 3 (2011), section 3.4.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((2, 2)))
    >>> ip.solve(problem, ip.ADMM(), stop=ip.stop.residual(1e-7)).x.round(4)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """

    relax: float = 1.0
    balance: bool = False

    def prepare(self, problem: Problem) -> Parts:
        check_between(self.relax, "relax", 0, 2, what="a relaxation")
        if check_flag(self.balance, "balance") and problem.batch is not None:
            raise ValueError(f"balance is True and batch is {problem.batch}; expected a fixed rho for a batch")
        return super().prepare(problem)

    def step(self, p: Parts, s: State) -> None:
        for y, y_bar in zip(s.y, s.y_bar, strict=True):
            y_bar[...] = y
        saddle.ascend(p, s, s.y_bar, s.u, s.aux, [s.rho] * len(s.y))
        for y, y_bar in zip(s.y, s.y_bar, strict=True):
            self._relax(y, y_bar)
        if p.labels["prox"]:
            self._copy_of_prox(p, s)
            self._relax(s.y_prox, s.y_bar_prox)
        normal_equations.right_hand_side(p, s, s.y_bar, s.y_bar_prox)
        self._move(p, s, self.relax)
        if self.balance and s.k <= 64 and s.k & (s.k - 1) == 0:
            self._balance(p, s)

    def _relax(self, y: Array, y_bar: Array) -> None:
        """From ỹ in y_bar: y <- y + α(ỹ - y), y_bar <- 2ỹ - y."""
        y_bar -= y
        backend.axpy(self.relax, y_bar, y)
        y_bar *= 2 - self.relax
        y_bar += y

    def _balance(self, p: Parts, s: State) -> None:
        terms = zip(s.y, s.y_bar, p.dual, strict=True)
        dual = sum(squares(y_bar - y, p, term) for y, y_bar, term in terms)
        primal, n = 0.0, 1
        for term in p.dual:
            own = s.step[n : n + len(term.aux)]
            primal, n = primal + squares(term.forward([s.step[0], *own]), p, term), n + len(own)
        if p.labels["prox"]:
            dual += backend.sum_squares(s.y_bar_prox - s.y_prox)
            primal += backend.sum_squares(s.step[0])
        if primal > 0 and dual > 0:
            wanted = math.sqrt(dual / primal) / (2 - self.relax)
            s.rho = float(min(max(wanted, s.rho / 4), 4 * s.rho))

    def _theorem(self, p: Parts) -> Verdict:
        self._first_rho(p)
        reason = "q, f, g convex, inner errors summable (Eckstein and Bertsekas 1992, theorem 8)"
        return saddle.verdict(p, reason, steps=False)


@dataclass(frozen=True)
class HQS(Splitting):
    """min_u q(u) + f(u) + Σ_i g_i(K_i u) approximately, by half-quadratic splitting: a penalty method.

    z_i = prox_{g_i/ρ}(K_i u),  u⁺ = argmin_v q(v) + ρ/2 Σ ‖K_i v - z_i‖²,  ρ ← min(growth · ρ, rho_max).

    Parameters
    ----------
    rho : float, optional
        First ρ > 0; by default a hundredth of that of `ADMM`.
    growth : float
        Factor of ρ, at least 1.
    rho_max : float, optional
        Where ρ stops to grow; by default 10⁴ times the first one.
    schedule : sequence of float, optional
        ρ_1, ρ_2, ... instead of the three above, the last of which then stays, as DPIR does with a denoiser for f.  The
        start is first taken for z: u_1 = argmin_v q(v) + ρ_1/2 ‖v - x_0‖².
    accuracy : float
        Of the conjugate gradients that find u: residual relative to that at their start.

    Notes
    -----
    For a fixed ρ it converges to the minimiser of q plus the Moreau envelopes of the g_i∘K_i; as ρ grows these tend to
    the g_i, but u then moves in ever smaller steps.  The image returned is the copy that comes out of f's prox, where
    there is a term f.

    References
    ----------
    Geman and Yang, IEEE Trans. Image Process. 4 (1995); Wang, Yang, Yin and Zhang, SIAM J. Imaging Sci. 1 (2008);
    Zhang et al., Plug-and-play image restoration with deep denoiser prior, IEEE Trans. Pattern Anal. 44 (2021).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((2, 2)))
    >>> ip.solve(problem, ip.HQS(), stop=ip.stop.niter(200)).x.round(2)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """

    growth: float = 1.05
    rho_max: float | None = None
    schedule: Sequence[float] | None = None
    by_ranks: ClassVar[bool] = False  # its conjugate gradients, for ever larger ρ, amplify what ranks round differently

    def step(self, p: Parts, s: State) -> None:
        for y in s.y:
            y[...] = 0
        saddle.ascend(p, s, s.y, s.u, s.aux, [s.rho] * len(s.y))  # ρ(K u - z)
        if p.labels["prox"]:
            s.y_prox[...] = 0
            self._copy_of_prox(p, s)
        if self.schedule is not None:
            self._to_scheduled_rho(s, s.k + 1)
        normal_equations.right_hand_side(p, s, s.y, s.y_bar_prox)
        self._move(p, s, 1.0)
        if self.schedule is None:
            s.rho = min(self.growth * s.rho, s.rho_max)

    def _to_scheduled_rho(self, s: State, k: int) -> None:
        """The next ρ, already for u."""
        schedule = self.schedule or ()
        rho = float(schedule[min(k, len(schedule) - 1)])
        for y in (*s.y, s.y_bar_prox):
            y *= rho / s.rho
        s.rho = rho

    def init(self, p: Parts, x0: Array) -> State:
        s = super().init(p, x0)
        if not 1 <= self.growth < math.inf:
            raise ValueError(f"growth is {self.growth}; expected a number of at least 1")
        s.rho_max = float(1e4 * s.rho if self.rho_max is None else self.rho_max)
        if not s.rho_max >= s.rho:
            raise ValueError(f"rho_max is {self.rho_max}; expected at least the first rho, {s.rho:g}")
        if self.schedule is not None:
            normal_equations.right_hand_side(p, s, s.y, s.y_bar_prox)
            self._move(p, s, 1.0)
        return s

    def _first_rho(self, p: Parts) -> float:
        if self.schedule is None:
            return super()._first_rho(p)
        if self.rho is not None or self.rho_max is not None:
            raise ValueError("schedule is given, and rho or rho_max too; expected one of them")
        if not len(self.schedule) or not all(0 < rho < math.inf for rho in self.schedule):
            raise ValueError(f"schedule is {self.schedule}; expected positive numbers")
        return float(self.schedule[0])

    def _last_rho(self, s: State) -> float:
        """What ρ rises to."""
        return s.rho_max if self.schedule is None else float(self.schedule[-1])

    def residual(self, p: Parts, s: State) -> Any:
        """How far u is from the minimiser with the last ρ: a penalty method ends near no saddle point.

        ‖∇q(u) + ρ Σ K_i*(K_i u - z_i)‖ relative to ρ Σ ‖K_i‖‖K_i u - z_i‖ + c‖u‖, c the typical curvature of q, f one
        of the g_i; with a denoiser for f, by how much the next copy of u differs from x, relative to x.
        """
        if p.labels["prox"] and not p.prox.explicit:
            x_new = p.prox.prox(s.u, 1 / s.rho)
            return norms(x_new - s.x, p) / np.maximum(norms(s.x, p), TINY)
        rho = self._last_rho(s)
        y = [p.xp.zeros_like(a) for a in s.y]
        for i, term in enumerate(p.dual):
            term.ascend(y[i], [s.u, *s.aux[i]], rho, {})
        d, aux_d = p.xp.zeros_like(s.x), [[p.xp.empty_like(v) for v in own] for own in s.aux]
        saddle.apply_adjoint(p, y, d, aux_d, [{} for _ in p.dual])
        force = norms(s.u, p) * (p.smooth.curvature if p.smooth.curvature < math.inf else 0.0)
        force = force + sum(k * norms(a, p, g) for k, a, g in zip(saddle.norms_of(p), y, p.dual, strict=True))
        if p.labels["prox"]:
            copy_of = rho * (s.u - p.prox.prox(s.u, 1 / rho))
            d, force = d + copy_of, force + norms(copy_of, p)
        gradients = [d + p.smooth.grad(s.u) if p.labels["smooth"] else d, *(v for own in aux_d for v in own)]
        return np.sqrt(sum(norms(g, p) ** 2 for g in gradients)) / np.maximum(force, TINY)

    def _default_rho(self, p: Parts) -> float:
        return super()._default_rho(p) / 100

    def _theorem(self, p: Parts) -> Verdict:
        self._first_rho(p)
        if not p.smooth.is_convex:
            return Verdict(False, "the smooth part is not convex")
        return Verdict(False, "a penalty method: it approximates the minimiser, by one of Moreau envelopes, as ρ grows")
