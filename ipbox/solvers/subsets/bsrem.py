"""Penalised likelihood of Poisson counts by ordered subsets that converge: BSREM."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_count, check_not_negative
from ipbox.functionals import KL, Box, Zero
from ipbox.solvers.core.protocol import Problem, Solver, State, Verdict
from ipbox.solvers.subsets.counts import count_ratio, mean_activity, sensitivity, smallest_mean, tell_negative
from ipbox.solvers.subsets.ordered import SplitParts, access_order, change_in_a_step, key, split

_OFFSET = 1e-3  # δ, of the mean activity: lets pixels leave 0, where EM's steps have no length


@dataclass(frozen=True)
class BSREM(Solver):
    """Block sequential regularised expectation maximisation, for min_{u >= 0} KL(b, Au + r) + R(u), R smooth.

    u ← max(u - λ_k D(u) (n A_i*(1 - b_i/(A_i u + r_i)) + ∇R(u)), 0), one subset i of n after another, with

    λ_k = λ/(1 + αk) in iteration k,   D(u) = 1/(n max_i A_i* 1/(u + δ) + c(u)), ∇²R(u) <= diag(c(u))

    Parameters
    ----------
    subsets : int
        n, each with every n-th view.
    relaxation : float
        0 < λ < 2.
    decay : float
        α >= 0; 0 leaves the steps as long as they are, which for n > 1 ends in a cycle, as OSEM does.

    Notes
    -----
    For R = 0, α = 0, λ = 1, δ = 0 and balanced subsets, A_i* 1 = A* 1/n, it is OSEM.  D is EM's preconditioner, in
    which the curvature c of R keeps steps short where R is strong; δ is a thousandth of the mean activity, so that
    pixels may come back from 0.  R is any smooth term, such as `RelativeDifference`; a bound `Box` (0, hi) is kept
    too.  Started as `MLEM`; an x0 may be 0.

    References
    ----------
    De Pierro and Yamagishi, IEEE Trans. Med. Imaging 20 (2001); Ahn and Fessler, Globally convergent image
    reconstruction for emission tomography using relaxed ordered subsets algorithms, IEEE Trans. Med. Imaging 22 (2003).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 1.0], [0.0, 2.0]]))
    >>> problem = ip.Problem(ip.KL(A, np.array([3.0, 4.0])) + 1e-9 * ip.RelativeDifference((2,), eps=0.01))
    >>> ip.solve(problem, ip.BSREM(subsets=2), stop=ip.stop.niter(200)).x.round(3)
    array([1., 2.])
    """

    subsets: int = 10
    relaxation: float = 1.0
    decay: float = 0.05
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")

    def __post_init__(self) -> None:
        check_count(self.subsets, "subsets")
        check_between(self.relaxation, "relaxation", 0, 2)
        check_not_negative(self.decay, "decay")

    def prepare(self, problem: Problem) -> SplitParts:
        p = split(problem, self.subsets, self.takes, "BSREM")
        if not isinstance(problem.fidelity, KL):
            raise ValueError(f"{problem.D.name} is no likelihood of counts; BSREM expects KL(A, b)")
        if not (isinstance(p.prox, Zero) or isinstance(p.prox, Box) and p.prox.lo == 0):
            raise ValueError(f"{p.prox.name} fits no role of BSREM: it takes smooth terms, NonNegative() or Box(0, hi)")
        return p

    def init(self, p: SplitParts, x0: Array) -> State:
        tell_negative(p.problem.D.A, "BSREM")
        parts = [sensitivity(p, f) for f in p.blocks]
        seen, largest = sum(parts), functools.reduce(p.xp.maximum, parts)
        offset = backend.per_sample(_OFFSET * mean_activity(p, seen), x0)
        y = {key(f.A.dimsd): p.xp.empty(p.lead + tuple(f.A.dimsd), dtype=x0.dtype) for f in p.blocks}
        s = State(x=x0, g=p.xp.empty_like(x0), h=p.xp.empty_like(x0), y=y, floor=smallest_mean(p), offset=offset)
        s.sensitivity = (p.problem.D.weight * len(parts)) * largest
        if bool((x0 < 0).any()):
            raise ValueError(f"x0 has negative entries, down to {float(x0.min()):g}; expected an image >= 0")
        if not bool(x0.any()):
            x0 += offset / _OFFSET
            x0 *= seen > 0
        return s

    def step(self, p: SplitParts, s: State) -> None:
        length, n = self.relaxation / (1 + self.decay * s.k), len(p.blocks)
        for i in access_order(n):
            f, y = p.blocks[i], s.y[key(p.blocks[i].A.dimsd)]
            count_ratio(f, s.x, s.floor, y)
            p.xp.subtract(1 if f.mask is None else f.mask, y, out=y)
            f.A.apply_adjoint(y, out=s.g)
            s.g *= n * f.weight
            s.g += p.smooth.grad(s.x, out=s.h, work=s.scratch["smooth"])
            scale = s.x + s.offset
            curvature = s.sensitivity + p.smooth.diagonal_bound(s.x, scale)
            scale /= p.xp.where(curvature > 0, curvature, 1)
            s.x -= length * s.g * p.xp.where(curvature > 0, scale, 0)
            p.xp.maximum(s.x, 0, out=s.x)
            p.prox.prox(s.x, 1.0, out=s.x, work=s.scratch["prox"])

    def residual(self, p: SplitParts, s: State) -> Any:
        """‖u⁺ - u‖ relative to the larger of ‖u‖ and ‖u⁺‖, for one more iteration, over λ_k/λ."""
        return (1 + self.decay * s.k) * change_in_a_step(self, p, s, "x", "g", "h", "y")

    def _theorem(self, p: SplitParts) -> Verdict:
        if len(p.blocks) > 1 and self.decay == 0:
            return Verdict(False, "ordered subsets whose steps stay as long as they are end in a cycle")
        return Verdict(False, "fixed points are minimisers, but the theorem (2003) asks for a bound on u in D too")
