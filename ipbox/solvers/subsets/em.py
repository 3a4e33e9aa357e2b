"""Expectation maximisation for Poisson counts: MLEM, and OSEM over ordered subsets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count
from ipbox.functionals import KL, Box
from ipbox.solvers.core.protocol import Problem, Solver, State, Verdict
from ipbox.solvers.subsets.counts import count_ratio, mean_activity, sensitivity, smallest_mean, tell_negative
from ipbox.solvers.subsets.ordered import SplitParts, access_order, change_in_a_step, key, split


@dataclass(frozen=True)
class _EM(Solver):
    """u ← u/(A_i* 1) · A_i*(b_i/(A_i u + r_i)) for one subset after another; one iteration goes through all."""

    takes: ClassVar[tuple[str, ...]] = ("prox",)
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")

    @property
    def _n(self) -> int:
        return 1

    def prepare(self, problem: Problem) -> SplitParts:
        who = type(self).__name__
        p = split(problem, self._n, self.takes, who)
        if not isinstance(problem.fidelity, KL):
            raise ValueError(f"{problem.D.name} is no likelihood of counts; {who} expects KL(A, b)")
        for f in problem.terms:
            if f is not problem.fidelity and not (isinstance(f, Box) and f.lo == 0 and f.hi == math.inf):
                raise ValueError(f"{f.name} fits no role of {who}: beside KL(A, b) it takes NonNegative() only")
        p.labels = {"likelihood": p.labels.get("subsets", [])}
        return p

    def init(self, p: SplitParts, x0: Array) -> State:
        parts = [sensitivity(p, f) for f in p.blocks]
        tell_negative(p.problem.D.A, type(self).__name__)
        inverse = [_inverse(v) for v in parts]
        y = {key(f.A.dimsd): p.xp.empty(p.lead + tuple(f.A.dimsd), dtype=x0.dtype) for f in p.blocks}
        x = _start(p, x0, sum(parts))
        return State(x=x, g=p.xp.empty_like(x0), y=y, inverse=inverse, floor=smallest_mean(p))

    def step(self, p: SplitParts, s: State) -> None:
        for i in access_order(len(p.blocks)):
            f, y = p.blocks[i], s.y[key(p.blocks[i].A.dimsd)]
            count_ratio(f, s.x, s.floor, y)
            f.A.apply_adjoint(y, out=s.g)
            s.g *= s.inverse[i]
            s.x *= p.xp.where(s.inverse[i] > 0, s.g, 1)  # pixels that this subset does not see stay

    def residual(self, p: SplitParts, s: State) -> Any:
        """‖u⁺ - u‖ relative to the larger of ‖u‖ and ‖u⁺‖, for one more iteration."""
        return change_in_a_step(self, p, s, "x", "g", "y")

    def _theorem(self, p: SplitParts) -> Verdict:
        if len(p.blocks) > 1:
            return Verdict(False, "ordered subsets end in a cycle unless the data are consistent; MLEM has a theorem")
        if not p.blocks[0].A.nonnegative:
            return Verdict(False, f"{p.blocks[0].A.name} is not known to be non-negative, as EM's theorem asks")
        return Verdict(True, "A, b, r >= 0 and u_0 > 0 (Vardi, Shepp and Kaufman 1985; Lange and Carson 1984)")


@dataclass(frozen=True)
class MLEM(_EM):
    """Maximum-likelihood expectation maximisation, for min_{u >= 0} KL(b, Au + r).

    u⁺ = u/(A* 1) · A*(b/(Au + r))

    Started without x0 (or at zero) it takes the constant image with the counts b - r.  Pixels that start at zero
    would stay there, and so are refused where A sees them; those that A does not see are 0.

    Notes
    -----
    KL(b, Au_k + r) falls with k, u stays non-negative, and for r = 0 each Σ_i (Au_k)_i = Σ_i b_i.  A mask of the
    likelihood stands for both the 1 of A* 1 and b.

    References
    ----------
    Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982); Lange and Carson, J. Comput. Assist. Tomogr. 8 (1984).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 1.0], [0.0, 2.0]]))
    >>> ip.solve(ip.Problem(ip.KL(A, np.array([3.0, 4.0]))), ip.MLEM(), stop=ip.stop.niter(200)).x.round(6)
    array([1., 2.])
    """


@dataclass(frozen=True)
class OSEM(_EM):
    """Ordered-subsets expectation maximisation: MLEM's step for one subset of the views after another.

    u ← u/(A_i* 1) · A_i*(b_i/(A_i u + r_i)); one iteration goes through all subsets, each far from those before it.

    Parameters
    ----------
    subsets : int
        n: about n times faster than MLEM at first; with noise it ends in a cycle, so it is stopped early.

    References
    ----------
    Hudson and Larkin, IEEE Trans. Med. Imaging 13 (1994).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 1.0], [0.0, 2.0]]))
    >>> problem = ip.Problem(ip.KL(A, np.array([3.0, 4.0])))
    >>> ip.solve(problem, ip.OSEM(subsets=2), stop=ip.stop.niter(100)).x.round(6)
    array([1., 2.])
    """

    subsets: int = 10

    def __post_init__(self) -> None:
        check_count(self.subsets, "subsets")

    @property
    def _n(self) -> int:
        return self.subsets


def _inverse(v: Array) -> Array:
    xp = backend.array_module(v)
    return xp.where(v > 0, 1 / xp.where(v > 0, v, 1), 0).astype(v.dtype)


def _start(p: SplitParts, x0: Array, sensitivity: Array) -> Array:
    """x0 where there is one, else the constant image with the counts b - r; 0 where A does not see.

    Raises
    ------
    ValueError
        for x0 < 0, or x0 = 0 at pixels that A sees.
    """
    seen = sensitivity > 0
    if bool(x0.any()):
        if bool((x0 < 0).any()):
            raise ValueError(f"x0 has negative entries, down to {float(x0.min()):g}; expected a positive image")
        if bool((seen & (x0 == 0)).any()):
            raise ValueError("x0 is 0 at pixels that A sees, which would stay 0; expected a positive image")
        x0 *= seen
        return x0
    x0[...] = 1
    x0 *= backend.per_sample(mean_activity(p, sensitivity), x0)
    x0 *= seen
    return x0
