"""Algebraic reconstruction: projections onto the equations of A u = b, one after another or all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_count, check_seed
from ipbox.functionals import L2, Box, Zero
from ipbox.solvers.core.protocol import Parts, Problem, Solver, State, Verdict
from ipbox.solvers.per_sample import norms
from ipbox.solvers.subsets import row_weights
from ipbox.solvers.subsets.ordered import SplitParts, access_order, change_in_a_step, key, random_order, split


@dataclass(frozen=True)
class _Algebraic(Solver):
    """What the methods share: L2(A, b), with bounds on u or without, and a relaxation 0 < λ < 2."""

    relaxation: float = 1.0
    takes: ClassVar[tuple[str, ...]] = ("prox",)

    def __post_init__(self) -> None:
        check_between(self.relaxation, "relaxation", 0, 2)

    def prepare(self, problem: Problem) -> Parts:
        p = split(problem, self._n_blocks(problem), self.takes, type(self).__name__)
        if not isinstance(problem.fidelity, L2):
            raise ValueError(f"{problem.D.name} fits no role of {type(self).__name__}: it expects L2(A, b)")
        if not isinstance(p.prox, Zero | Box):
            raise ValueError(f"{p.prox.name} is no bound on u; {type(self).__name__} expects NonNegative or Box")
        p.labels = {"data": [problem.D.name], "prox": p.labels["prox"]}
        return p

    def _n_blocks(self, problem: Problem) -> int:
        return 1

    def residual(self, p: SplitParts, s: State) -> Any:
        """‖u⁺ - u‖ relative to the larger of ‖u‖ and ‖u⁺‖, for one more iteration."""
        return change_in_a_step(self, p, s, "x", "d", "r")


@dataclass(frozen=True)
class Kaczmarz(_Algebraic):
    """Kaczmarz's method (ART): u ← P(u - λ C A_i* R_i (A_i u - b_i)) for one block A_i of A after another.

    One iteration is a sweep: every block once.  The blocks of a matrix are its rows a_i, with R_i = 1/‖a_i‖², C = 1.
    Those of a non-negative operator are views, with R_i = 1/(A_i 1) and C = 1/max_i A_i* 1 (SART); those of others
    have R_i = 1/‖A_i‖².  P projects onto bounds (`NonNegative`, `Box`) where the problem has them.

    Parameters
    ----------
    relaxation : float
        0 < λ < 2.
    blocks : int, optional
        Number of blocks, subsets i::n of the rows or views.  By default one for each, at most 20 for operators that
        have signs.
    order : {"interleaved", "sequential", "random"}
        Views far apart after each other (Herman and Meyer), as they come, or a new permutation for each sweep.
    seed : int
        Of the permutations.

    Notes
    -----
    Where A u = b has solutions, it converges to one: that closest to the start for C = 1 without bounds.  Otherwise
    the blocks of a sweep pull towards different images, and the result moves with λ.

    References
    ----------
    Kaczmarz, Bull. Int. Acad. Polon. Sci. A35 (1937); Gordon, Bender and Herman, J. Theor. Biol. 29 (1970); Andersen
    and Kak, Ultrason. Imaging 6 (1984); Elfving, Numer. Math. 35 (1980).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 1.0], [1.0, -1.0]]))
    >>> problem = ip.Problem(ip.L2(A, np.array([3.0, -1.0])))
    >>> ip.solve(problem, ip.Kaczmarz(), stop=ip.stop.niter(1)).x                # orthogonal rows: one sweep
    array([1., 2.])
    """

    blocks: int | None = None
    order: str = "interleaved"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_seed(self.seed)
        if self.blocks is not None:
            check_count(self.blocks, "blocks")
        check_choice(self.order, "order", ("interleaved", "sequential", "random"))

    def _n_blocks(self, problem: Problem) -> int:
        A = problem.fidelity and problem.fidelity.A
        if self.blocks is not None or A is None:
            return self.blocks or 1
        return A.dimsd[0] if row_weights.is_known(A) else min(20, A.dimsd[0])

    def init(self, p: SplitParts, x0: Array) -> State:
        R, C = row_weights.of_blocks([f.A for f in p.blocks], p)
        r = {key(f.A.dimsd): p.xp.empty(p.lead + tuple(f.A.dimsd), dtype=f.A.dtype_out) for f in p.blocks}
        return State(x=x0, d=p.xp.empty_like(x0), r=r, R=R, C=C)

    def step(self, p: SplitParts, s: State) -> None:
        for i in self._order(s.k, len(p.blocks)):
            f = p.blocks[i]
            r = f.residual(s.x, out=s.r[key(f.A.dimsd)])
            r *= s.R[i]
            f.A.apply_adjoint(r, out=s.d)
            _descend(p, s, self.relaxation)

    def _order(self, k: int, n: int) -> list[int]:
        if self.order == "random":
            return random_order(self.seed, k, n)
        return access_order(n) if self.order == "interleaved" else list(range(n))

    def _theorem(self, p: SplitParts) -> Verdict:
        if self.order == "random":
            return Verdict(False, "in random order sweeps converge where A u = b has a solution, which is not known")
        if row_weights.has_estimates([f.A for f in p.blocks]):
            return Verdict(False, "the norms of the blocks are only estimates, so the bound on λ is not proved")
        return Verdict(
            True, "0 < λ < 2: sweeps converge, to a solution where there is one (Eggermont, Herman and Lent 1981)"
        )


@dataclass(frozen=True)
class _Simultaneous(_Algebraic):
    """u ← P(u - λ C A* R (A u - b)) with diagonal R and C."""

    def init(self, p: SplitParts, x0: Array) -> State:
        R, C = self._weights(p)
        r = p.problem.D.residual(x0)
        return State(x=x0, d=p.xp.empty_like(x0), r=[r, p.xp.empty_like(r)], R=R, C=C)

    def _weights(self, p: Parts) -> tuple[Any, Any]:
        raise NotImplementedError("abstract")

    def step(self, p: SplitParts, s: State) -> None:
        D, (r, weighted) = p.problem.D, s.r
        p.xp.multiply(r, s.R, out=weighted)
        D.A.apply_adjoint(weighted, out=s.d)
        _descend(p, s, self.relaxation)
        D.residual(s.x, out=r)

    def data_residual(self, p: SplitParts, s: State) -> Any:
        return norms(s.r[0], p, p.problem.fidelity)


@dataclass(frozen=True)
class SIRT(_Simultaneous):
    """Simultaneous iterative reconstruction: u ← P(u - λ C A* R (A u - b)), R and C one over row and column sums.

    R = 1/Σ_j |a_ij|, C = 1/Σ_i |a_ij|, from A 1 and A* 1.  P projects onto bounds where the problem has them.

    Parameters
    ----------
    relaxation : float
        0 < λ < 2.

    Notes
    -----
    The spectral radius of C A* R A is at most 1, so it converges, to a minimiser of (Au - b)ᵀ R (Au - b).  Of operators
    with signs whose entries are not at hand the sums are the largest of |A v| and |A* w| for ones and eight random v
    and w in [-1, 1], and R is divided by an estimate of the radius.

    References
    ----------
    Gilbert, J. Theor. Biol. 36 (1972); Jiang and Wang, IEEE Trans. Image Process. 12 (2003); Gregor and Benson, IEEE
    Trans. Med. Imaging 27 (2008).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 1.0], [0.0, 2.0]]))
    >>> ip.solve(ip.Problem(ip.L2(A, np.array([3.0, 4.0]))), ip.SIRT(), stop=ip.stop.niter(100)).x.round(6)
    array([1., 2.])
    """

    def _weights(self, p: Parts) -> tuple[Any, Any]:
        return row_weights.of_sums(p.problem.D.A, p)

    def _theorem(self, p: SplitParts) -> Verdict:
        if not row_weights.is_known(p.problem.D.A):
            return Verdict(False, "the radius of C A* R A is only an estimate, so the bound on λ is not proved")
        return Verdict(True, "0 < λ < 2 and C A* R A has a spectral radius of at most 1 (Jiang and Wang 2003)")


@dataclass(frozen=True)
class Cimmino(_Simultaneous):
    """Cimmino's method: the mean of the projections onto all m equations, u ← P(u - λ/m Σ_i a_i (a_iᵀu - b_i)/‖a_i‖²).

    Of operators whose rows are not at hand the equations are blocks: the views of a non-negative one, 20 subsets of
    others, with A_i*(A_i u - b_i)/‖A_i‖².  P projects onto bounds where the problem has them.

    Parameters
    ----------
    relaxation : float
        0 < λ < 2; Cimmino's own reflections are λ = 2.
    weights : array, optional
        v >= 0 in the shape of the data, not all 0: the weighted mean of the projections, with v_i/Σv in the place of
        1/m; of blocks the largest v in each.

    References
    ----------
    Cimmino, Ric. Sci. 16 (1938); Elfving, Nikazad and Hansen, Electron. Trans. Numer. Anal. 37 (2010).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [0.0, 2.0]]))
    >>> ip.solve(ip.Problem(ip.L2(A, np.array([3.0, 4.0]))), ip.Cimmino(), stop=ip.stop.niter(60)).x.round(6)
    array([3., 2.])
    """

    weights: Array | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None:
            v = backend.check_array(self.weights, "weights", "a NumPy or CuPy array")
            if v.dtype.kind not in "bfiu" or not bool((v >= 0).all()) or not 0 < float(v.sum()) < math.inf:
                raise ValueError("weights are negative, infinite or all 0; expected real numbers >= 0")

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        dimsd = tuple(problem.D.A.dimsd)
        if self.weights is not None and self.weights.shape != dimsd:
            raise ValueError(f"weights has shape {self.weights.shape}; Cimmino expects that of the data, {dimsd}")
        if not problem.D.A.has_subsets:
            raise ValueError(f"{problem.D.A.name} has no subsets; Cimmino expects an operator with subsets(n)")
        return p

    def _weights(self, p: Parts) -> tuple[Any, Any]:
        return row_weights.of_equations(p.problem.D.A, p, self.weights)

    def _theorem(self, p: SplitParts) -> Verdict:
        if not row_weights.is_known(p.problem.D.A):
            return Verdict(False, "the norms of the blocks are only estimates, so the bound on λ is not proved")
        return Verdict(True, "0 < λ < 2 and A* R A <= 1: a gradient method (Elfving, Nikazad and Hansen 2010)")


def _descend(p: SplitParts, s: State, relaxation: float) -> None:
    """u ← P(u - λ C d)."""
    s.d *= s.C
    s.d *= relaxation
    s.x -= s.d
    p.prox.prox(s.x, 1.0, out=s.x)
