"""Bregman iterations: from coarse to fine, stopped early."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag, check_positive
from ipbox.functionals import L2, Sum, terms_of
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.solvers.core.fingerprint import Made
from ipbox.solvers.core.protocol import Parts, Problem, Solver, State, Verdict
from ipbox.solvers.core.solve import solve
from ipbox.solvers.core.stopping import niter, residual
from ipbox.solvers.gradient.descent import step_size
from ipbox.solvers.gradient.line_search import shorten
from ipbox.solvers.per_sample import inner, norms, number, ratio, squares
from ipbox.solvers.primal_dual.pdhg import PDHG

TRIALS = 60  # of one line search


@dataclass(frozen=True)
class LinearisedBregman(Solver):
    r"""v ← v - τ∇E(u), u = prox_R(v): minimises the smooth terms E alone, along a path that R makes simple.

    With J = R + ½‖·‖², v is a subgradient of J at u, and u⁺ = argmin τ⟨u, ∇E(u_k)⟩ + D_J^v(u, u_k) with the Bregman
    distance D_J: the iteration goes from u = prox_R(0) through images with few edges (TV) or few entries (L1) to that
    minimiser of E which minimises J.  With noise it has to be stopped on the way, by `stop.discrepancy` say.  The
    larger the weight of R, the simpler the path and the longer it takes.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/L, by default 1/L; with ``line_search`` the first trial, any τ > 0.
    line_search : bool
        Reduce τ until τ⟨∇E(u⁺) - ∇E(u), u⁺ - u⟩ <= ‖u⁺ - u‖² (half of it where E is not quadratic): E decreases.
        The next search begins near the last ‖u⁺ - u‖²/⟨∇E(u⁺) - ∇E(u), u⁺ - u⟩ (Barzilai and Borwein), at most 2τ;
        where R holds u at rest, τ doubles.

    Notes
    -----
    E(u_k) is non-increasing, and E(u_k) - E(u) <= D_J^{v_0}(u, u_0)/(τ_1 + ... + τ_k) for every u.

    ``x0`` other than zero needs a subgradient of R there: it is found from the prox with a hundredth of the weight.

    References
    ----------
    Yin, Osher, Goldfarb and Darbon, SIAM J. Imaging Sci. 1 (2008); Cai, Osher and Shen, Math. Comp. 78 (2009); Benning,
    Betcke, Ehrhardt and Schönlieb, SIAM J. Imaging Sci. 14 (2021); Beck and Teboulle, Oper. Res. Lett. 31 (2003).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 2.0]]))  # of all u with u_1 + 2 u_2 = 2 the sparsest
    >>> problem = ip.Problem(ip.L2(A, np.array([2.0])) + 5 * ip.L1())
    >>> ip.solve(problem, ip.LinearisedBregman(), stop=ip.stop.niter(50)).x.round(6) + 0
    array([0., 1.])
    """

    tau: float | None = None
    line_search: bool = False
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, v=_subgradient(p, x0), grad=p.xp.empty_like(x0), tau=self._first_step_size(p))
        if check_flag(self.line_search, "line_search"):
            s.x_new, s.v_new, s.grad_new, s.d = (p.xp.empty_like(x0) for _ in range(4))
            s.tau = s.tau if p.batch is None else np.full(p.batch, s.tau)
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])
        s.grad0 = norms(s.grad, p)
        return s

    def _first_step_size(self, p: Parts) -> float:
        if not self.line_search or self.tau is None:
            return step_size(self.tau, p)
        return check_positive(self.tau, "tau", "a positive step size")

    def step(self, p: Parts, s: State) -> None:
        if self.line_search:
            _search(p, s)
        else:
            backend.axpy(-s.tau, s.grad, s.v)
            p.prox.prox(s.v, 1.0, out=s.x, work=s.scratch["prox"])
            p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇E(u)‖ relative to its value at the start."""
        return ratio(norms(s.grad, p), s.grad0)

    def data_residual(self, p: Parts, s: State) -> Any:
        r = s.scratch["smooth"].get("residual")  # Au - b at the current u, left there by the gradient
        return super().data_residual(p, s) if r is None else norms(r, p, p.problem.fidelity)

    def _theorem(self, p: Parts) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "E is not convex")
        if not p.prox.explicit:
            return Verdict(False, f"{p.prox.name} is implicit: it may be no proximal operator of a convex functional")
        self._first_step_size(p)
        return Verdict(True, "E convex, ∇E Lipschitz, τ < 2/L or line search: mirror descent (Beck and Teboulle 2003)")


def _search(p: Parts, s: State) -> None:
    """One step of linearised Bregman with a τ that is short enough, and the first trial of the next."""
    limit = 1.0 if all(isinstance(f, L2) for f in terms_of(p.smooth)) else 0.5

    def trial(tau: Any) -> tuple[Any, Any]:
        s.v_new[...] = s.v
        backend.axpy(-tau, s.grad, s.v_new)
        p.prox.prox(s.v_new, 1.0, out=s.x_new, work=s.scratch["prox"])
        p.smooth.grad(s.x_new, out=s.grad_new, work=s.scratch["smooth"])
        p.xp.subtract(s.x_new, s.x, out=s.d)
        s.grad -= s.grad_new
        size, curvature = squares(s.d, p), -inner(s.grad, s.d, p)
        s.grad += s.grad_new
        s.inverse_curvature = number(np.where(curvature > 0, ratio(size, curvature), np.inf))
        short = (tau * curvature <= limit * size) | (tau * p.smooth.L <= limit)
        return short, 0.9 * limit * ratio(size, curvature)

    s.tau, short = shorten(s.tau, trial, TRIALS)
    if not np.all(short):
        raise FloatingPointError(f"the line search found no step size above {s.tau}; check the gradient of E")
    s.x[...], s.v[...], s.grad[...] = s.x_new, s.v_new, s.grad_new
    moving = squares(s.grad, p) > 0  # else this is the minimiser, and τ would grow without end
    s.tau = number(np.where(moving, np.minimum(2 * s.tau, 0.8 * limit * s.inverse_curvature), s.tau))


def _subgradient(p: Parts, x0: Array) -> Array:
    """v = x0 + q with q in ∂R(x0), from Bregman iterations for the identity with a hundredth of R's weight."""
    v = x0.copy()
    if not bool(p.xp.any(x0)):
        return v
    fraction = 0.01
    work: dict[str, Any] = {}
    for _ in range(10):
        v += x0 - p.prox.prox(v, fraction, work=work)  # prox(v) = x0 says that (v - x0)/fraction is in ∂R(x0)
    return x0 + (v - x0) / fraction


@dataclass(frozen=True)
class Bregman(Solver):
    r"""b_k ← b_{k-1} + (b - Au_{k-1}), u_k = argmin ½‖Au - b_k‖² + R(u): the residual is added back to the data.

    Each step is a variational problem, solved by ``inner`` from the last image.  The images go from the minimiser for
    b to that minimiser of ‖Au - b‖ which minimises R: contrast that R took away comes back, and noise at last; it is
    stopped by `stop.discrepancy`.  For R of a large weight it tends to the inverse scale space flow
    ∂_t q = A*(b - Au), q ∈ ∂R(u), at times of the steps over the weight.

    Parameters
    ----------
    inner : Solver
        Of the problems; `PDHG` goes on from its last dual variables.
    tol : float
        The inner solver stops where its relative residual is at most this.
    niter : int
        Bound on the inner iterations of a step.

    Notes
    -----
    ‖Au_k - b‖ is non-increasing, and ‖Au_k - b‖² <= ‖Au - b‖² + 2 R(u)/k for every u, with exact inner solutions.

    References
    ----------
    Osher, Burger, Goldfarb, Xu and Yin, Multiscale Model. Simul. 4 (2005).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([4.0, 1.0, 0.0])
    >>> problem = ip.Problem(ip.L2(b=b) + 2 * ip.L1())
    >>> [ip.solve(problem, ip.Bregman(ip.FISTA()), stop=ip.stop.niter(n)).x.round(3) + 0 for n in (1, 2)]
    [array([2., 0., 0.]), array([4., 0., 0.])]
    """

    inner: Solver = field(default_factory=PDHG)
    tol: float = 1e-4
    niter: int = 500
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox", "dual")

    def prepare(self, problem: Problem) -> Parts:
        if not isinstance(self.inner, Solver):
            raise TypeError(f"inner is {self.inner!r}; expected a configured solver, such as ip.PDHG()")
        check_positive(self.tol, "tol")
        check_count(self.niter, "niter")
        D, bad = problem.fidelity, next((f.name for f in problem.terms if not f.is_convex), None)
        if bad is not None:
            raise ValueError(f"{bad} is not convex; Bregman expects convex terms")
        if not isinstance(D, L2):
            name = problem.terms[0].name if D is None else D.name
            raise ValueError(f"{name} fits no role of Bregman: it expects one L2(A, b), and terms without data")
        if any(isinstance(f, Fidelity) and f is not D and f.b is not None for f in problem.terms):
            raise ValueError("the objective has several terms with data; Bregman expects one L2(A, b)")
        return self.inner.prepare(problem)

    def init(self, p: Parts, x0: Array) -> State:
        D = p.problem.D
        s = State(x=x0, b_k=D.residual(x0), y=[])
        s.b_k += D._data(s.b_k)  # Au_0, so that the first step has b_1 = b
        if isinstance(self.inner, PDHG):
            s.y = self.inner.init(p, x0.copy()).y
        s.r = s.b_k - D._data(s.b_k)
        s.grad0 = norms(_back(D, s.r), p)
        return s

    def step(self, p: Parts, s: State) -> None:
        s.b_k -= s.r
        problem = _with_data(p.problem, s.b_k)
        inner = self.inner.init(self.inner.prepare(problem), s.x.copy())
        inner.made = Made(problem, self.inner)
        for old, y in zip(s.y, inner.y if s.y else [], strict=True):
            y[...] = old
        stop = residual(self.tol) | niter(self.niter)
        inner = solve(problem, self.inner, state=inner, stop=stop).state
        s.x[...] = inner.x
        for y, new in zip(s.y, inner.y if s.y else [], strict=True):
            y[...] = new
        p.problem.D.residual(s.x, out=s.r)

    def residual(self, p: Parts, s: State) -> Any:
        """‖A*(Au - b)‖ relative to its value at the start."""
        return ratio(norms(_back(p.problem.D, s.r), p), s.grad0)

    def data_residual(self, p: Parts, s: State) -> Any:
        return norms(s.r, p, p.problem.fidelity)

    def _theorem(self, p: Parts) -> Verdict:
        verdict = self.inner._theorem(p)
        reason = "R convex, inner problems solved exactly (Osher et al. 2005, proposition 3.2)"
        return Verdict(True, reason) if verdict else Verdict(False, f"of the inner solver: {verdict.reason}")


def _with_data(problem: Problem, b: Array) -> Problem:
    """The problem with other data in its fidelity."""
    D = copy.copy(problem.D)
    D.b = b
    terms = [D if f is problem.fidelity else f for f in problem.terms]
    return Problem(Sum(terms), problem.batch, problem.dims, problem.dtype, problem.xp.__name__, problem.roles)


def _back(D: L2, r: Array) -> Array:
    return r if D.A is None else D.A.apply_adjoint(r)
