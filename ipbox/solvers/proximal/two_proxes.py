"""Splittings with two proximal operators: Douglas-Rachford and Davis-Yin."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_positive
from ipbox.functionals import Functional, Zero
from ipbox.solvers.core.protocol import Parts, Problem, Solver, State, Verdict
from ipbox.solvers.gradient.descent import step_size
from ipbox.solvers.per_sample import TINY, norms, relative_change, unit_of_step


def two_proxes(problem: Problem, smooth: bool, who: str) -> Parts:
    """The problem as h + f + g: ``prox`` is f and ``dual`` is [g], which are taken by their proxes.

    A term with a gradient goes to h where there is such a role.  Of the others, those that have a common prox with the
    last one become g, the rest f.  ``problem.roles`` overrides it: "prox" is f, "dual" is g.
    """
    groups: dict[str, Functional] = {"prox": Zero(), "dual": Zero()}
    h: list[int] = []
    takes = ("smooth", "prox", "dual") if smooth else ("prox", "dual")
    for i, f in reversed(list(enumerate(problem.terms))):
        role = problem.roles.get(i)
        if role is not None and role not in takes:
            raise ValueError(f"roles has {i}: {role!r}; {who} has only the roles {takes}")
        if smooth and role in (None, "smooth") and f.has_grad:
            h.append(i)
            continue
        if not f.is_convex:
            raise ValueError(f"{f.name} is not convex; {who} expects convex terms")
        for group in ("dual", "prox") if role is None else (role,):
            merged = (groups[group].merge(f) or f.merge(groups[group])) if f.has_prox else None
            if merged is not None:
                groups[group] = merged
                break
        else:
            others = " or ".join(g.name for g in groups.values() if not isinstance(g, Zero))
            missing = f"no common prox with {others}" if f.has_prox else "no prox"
            raise ValueError(f"{f.name} fits no role of {who}: it has {missing}; expected at most two proximal terms")
    parts = _smooth_alone(problem, sorted(h)).assign(("smooth",), who)
    names = {role: [] if isinstance(g, Zero) else [g.name] for role, g in groups.items()}
    labels = {"smooth": parts.labels["smooth"] if h else [], **names}
    return Parts(problem, parts.smooth, groups["prox"], [groups["dual"]], labels)


def _smooth_alone(problem: Problem, indices: list[int]) -> Problem:
    part = copy.copy(problem)
    part.terms, part.roles = [problem.terms[i] for i in indices], {}
    return part


@dataclass(frozen=True)
class TwoProxes(Solver):
    """What Davis-Yin and Douglas-Rachford share: w = prox_{τf}(z), u = prox_{τg}(2w - z - τ∇h(w)), z ← z + ρ(u - w)."""

    relax: float = 1.0

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, z=x0.copy(), w=x0.copy(), grad=p.xp.zeros_like(x0), tau=self._step_size(p))
        s.scratch["dual"], s.first = {}, 0.0 * norms(x0, p)
        return s

    def step(self, p: Parts, s: State) -> None:
        self._proxes(p, s, s.scratch, s.w, s.x, s.grad)
        if s.k == 0:
            s.first = self._force(p, s.z, s.w, s.x)
        backend.axpy(self.relax, s.x, s.z)
        backend.axpy(-self.relax, s.w, s.z)

    @staticmethod
    def _proxes(p: Parts, s: State, work: dict[str, Any], w: Array, u: Array, grad: Array) -> None:
        p.prox.prox(s.z, s.tau, out=w, work=work.get("prox"))
        u[...] = w
        u *= 2
        u -= s.z
        if p.labels["smooth"]:
            backend.axpy(-s.tau, p.smooth.grad(w, out=grad, work=work.get("smooth")), u)
        p.dual[0].prox(u, s.tau, out=u, work=work.get("dual"))

    def _step_size(self, p: Parts) -> float:
        """τ, checked together with the relaxation."""
        raise NotImplementedError("abstract")

    def _check_relaxation(self, bound: float) -> None:
        check_between(self.relax, "relax", 0, bound, what="a relaxation")

    @staticmethod
    def _force(p: Parts, z: Array, w: Array, u: Array) -> Any:
        """τ times the larger of the subgradients of f at w and, without h, of g at u."""
        return np.maximum(norms(z - w, p), norms(2 * w - z - u, p))

    def residual(self, p: Parts, s: State) -> Any:
        """‖u - w‖ of the next step, 0 where both proxes agree, relative to ‖u‖ or ‖w‖ and to how far τ lets u move.

        With h, ‖u - w‖/(τc) relative to the larger of ‖u‖ and ‖w‖; without, ‖u - w‖/τ is the sum of the subgradients of
        f and g: relative to the larger of them, now or in the first step.
        """
        w, u, grad = (p.xp.empty_like(s.x) for _ in range(3))
        self._proxes(p, s, {}, w, u, grad)
        if p.labels["smooth"]:
            return unit_of_step(s.tau, p) * relative_change(w, u, p)
        force = np.maximum(self._force(p, s.z, w, u), s.first)
        size = np.minimum(np.maximum(norms(u, p), norms(w, p)), force)
        return norms(u - w, p) / np.maximum(size, TINY)

    def _theorem(self, p: Parts) -> Verdict:
        implicit = [f.name for f in (p.prox, p.dual[0]) if not f.explicit]
        if implicit:
            return Verdict(False, f"{implicit[0]} is implicit: it may be no proximal operator of a convex functional")
        if not p.smooth.is_convex:
            return Verdict(False, "the smooth part is not convex")
        self._step_size(p)
        return Verdict(True, self._reason)

    _reason: ClassVar[str]


@dataclass(frozen=True)
class DavisYin(TwoProxes):
    """min_u h(u) + f(u) + g(u), h smooth, by the three-operator splitting of Davis and Yin.

    w = prox_{τf}(z),  u = prox_{τg}(2w - z - τ∇h(w)),  z ← z + ρ(u - w).

    Parameters
    ----------
    relax : float
        Relaxation ρ, 0 < ρ < 2 - τL/2.
    tau : float, optional
        0 < τ < 2/L; by default 1.6/L, or 1 without h.

    Notes
    -----
    g is the last term of the objective that is not smooth (with those that have a common prox with it), f the others.
    The image returned is u, which comes out of g's prox: with a constraint written last it is feasible.  Without f this
    is forward-backward, without h Douglas-Rachford.

    References
    ----------
    Davis and Yin, Set-Valued Var. Anal. 25 (2017), algorithm 1.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.array([3.0, -1.0])) + ip.L1() + ip.Box(0, 1.5))
    >>> ip.solve(problem, ip.DavisYin(), stop=ip.stop.residual(1e-9)).x.round(6)
    array([1.5, 0. ])
    """

    tau: float | None = None
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox", "dual")
    _reason: ClassVar[str] = "f, g, h convex, τ < 2/L, relaxation < 2 - τL/2 (Davis and Yin 2017, theorem 3.1)"

    def prepare(self, problem: Problem) -> Parts:
        return two_proxes(problem, True, type(self).__name__)

    def _step_size(self, p: Parts) -> float:
        tau = step_size(self.tau, p)
        tau = 1.6 / p.smooth.L if self.tau is None and p.smooth.L > 0 else tau
        self._check_relaxation(2 - tau * p.smooth.L / 2)
        return tau


@dataclass(frozen=True)
class DouglasRachford(TwoProxes):
    """min_u f(u) + g(u) by Douglas-Rachford splitting.

    w = prox_{γf}(z),  u = prox_{γg}(2w - z),  z ← z + ρ(u - w).

    Parameters
    ----------
    relax : float
        Relaxation, 0 < ρ < 2.
    gamma : float
        Any γ > 0; the scale of the image over that of the subgradients is a good one.

    Notes
    -----
    g is the last term of the objective (with those that have a common prox with it), f the others.  The image returned
    is u, which comes out of g's prox: with a constraint written last it is feasible.

    References
    ----------
    Lions and Mercier, SIAM J. Numer. Anal. 16 (1979); Eckstein and Bertsekas, Math. Program. 55 (1992), theorem 7.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.array([3.0, 0.5])) + ip.L1())
    >>> ip.solve(problem, ip.DouglasRachford(), stop=ip.stop.residual(1e-9)).x.round(6)
    array([2., 0.])
    """

    gamma: float = 1.0
    takes: ClassVar[tuple[str, ...]] = ("prox", "dual")
    _reason: ClassVar[str] = "f, g convex, γ > 0, relaxation < 2 (Eckstein and Bertsekas 1992, theorem 7)"

    def prepare(self, problem: Problem) -> Parts:
        return two_proxes(problem, False, type(self).__name__)

    def _step_size(self, p: Parts) -> float:
        self._check_relaxation(2.0)
        return check_positive(self.gamma, "gamma")
