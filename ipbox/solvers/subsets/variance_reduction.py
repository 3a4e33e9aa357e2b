"""Stochastic gradients with variance reduction over subsets of the data: SVRG and SAGA."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_count, check_seed
from ipbox.functionals import Box, Sum, Zero
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.solvers.core.protocol import Certificate, Problem, State, Verdict
from ipbox.solvers.per_sample import norms
from ipbox.solvers.proximal.forward_backward import ForwardBackward
from ipbox.solvers.subsets.ordered import SplitParts, random_index, random_number, split


@dataclass(frozen=True)
class _VarianceReduced(ForwardBackward):
    """u ← prox_{τg}(u - τ v) for min Σ_i f_i(u) + g(u), v an unbiased estimate of Σ_i ∇f_i(u) by one random i."""

    subsets: int = 20
    seed: int = 0
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")
    bound: ClassVar[tuple[int, str]]  # the largest τ n max L_i of the theorem, as 1/int, and where it is proved

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backtracking is not False:
            raise ValueError(f"backtracking is {self.backtracking!r}; {type(self).__name__} has a fixed step size")
        check_count(self.subsets, "subsets")
        check_seed(self.seed)

    def prepare(self, problem: Problem) -> SplitParts:
        """Smooth terms beside the data fidelity are shared out among its subsets."""
        p = split(problem, self.subsets, self.takes, type(self).__name__)
        for f in p.blocks:
            if not f.has_grad:
                raise ValueError(f"{f.name} fits no role of {type(self).__name__} (smooth): it has no gradient")
        D, h, n = problem.D, p.smooth, len(p.blocks)
        if not isinstance(h, Zero):
            p.smooth, p.blocks = Sum([D, h]), [Sum([f, h.scaled(1 / n)]) for f in p.blocks]
        else:
            p.smooth = D
        return p

    def _step_size(self, p: SplitParts) -> float:
        worst, (c, _) = len(p.blocks) * max(f.L for f in p.blocks), self.bound
        if not worst < math.inf:
            raise ValueError(f"{p.smooth.name} has no Lipschitz gradient; expected smooth terms")
        tau = self.tau if self.tau is not None else 1 / (c * worst) if worst > 0 else 1.0
        if not tau > 0 or not tau * worst * c <= 1 + 1e-9 or tau == math.inf:
            largest = 1 / (c * worst) if worst else math.inf
            raise ValueError(f"tau is {tau:g}; expected a step size in (0, 1/({c} n max L_i)] = (0, {largest:g}]")
        return float(tau)

    def _descend(self, p: SplitParts, s: State, v: Array) -> None:
        """u ← prox_{τg}(u - τ v)."""
        v *= s.tau
        s.x -= v
        p.prox.prox(s.x, s.tau, out=s.x, work=s.scratch["prox"])

    def _draw(self, s: State, p: SplitParts) -> int:
        return random_index(self.seed, 2 * s.k, [1.0] * len(p.blocks))

    def certificate(self, p: SplitParts, s: State) -> Certificate:
        found = super().certificate(p, s)
        if found.bound is None:
            return found
        # steps this small may vanish in rounding: u - u⁺ is known to eps ‖u‖
        rounding = np.finfo(s.x.dtype).eps * norms(s.x, p)
        mu = p.smooth.mu + p.prox.mu
        return Certificate(found.kind, found.bound + (1 + (1 / s.tau + p.smooth.L) / mu) * rounding)

    def _theorem(self, p: SplitParts) -> Verdict:
        if not p.prox.explicit:
            return Verdict(False, f"{p.prox.name} is implicit: it may be no proximal operator of a convex functional")
        self._step_size(p)
        D = p.problem.D
        if D.L_holds_on is not None and not (isinstance(p.prox, Box) and p.prox.lo >= 0 and _nonnegative(D)):
            reason = f"the Lipschitz constant of {D.name} holds where {D.L_holds_on}, which iterates may leave"
            return Verdict(False, reason)
        if any(isinstance(f, Fidelity) and f.A is not None and f.A.norm_kind == "estimate" for f in p.problem.terms):
            return Verdict(False, "an operator's norm is only an estimate, so the bound on τ is not proved")
        return Verdict(True, f"f_i, g convex, τ <= 1/({self.bound[0]} n max L_i), in expectation ({self.bound[1]})")


def _nonnegative(D: Fidelity) -> bool:
    return D.A is not None and D.A.nonnegative


@dataclass(frozen=True)
class SAGA(_VarianceReduced):
    """SAGA: v = n(∇f_i(u) - g_i) + Σ_j g_j, with the gradients g_j of each subset as last evaluated.

    Parameters
    ----------
    tau : float, optional
        0 < τ <= 1/(3 n max L_i), by default that.
    subsets : int
        n; n gradients of the image's size are kept.
    seed : int
        Of the random choices.

    Notes
    -----
    One iteration is one subset: n of them apply A and A* once.  For convex f_i the mean of the iterates has an
    expected F - F* of order n/k; with strong convexity linear, with factor 1 - min(1/(4n), μ/(3 n max L_i)).

    References
    ----------
    Defazio, Bach and Lacoste-Julien, NIPS 2014.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    >>> problem = ip.Problem(ip.L2(A, np.array([1.0, 2.0, 3.0])))
    >>> ip.solve(problem, ip.SAGA(subsets=3), stop=ip.stop.niter(600)).x.round(6)
    array([1., 2.])
    """

    bound: ClassVar[tuple[int, str]] = (3, "Defazio, Bach and Lacoste-Julien 2014")

    def init(self, p: SplitParts, x0: Array) -> State:
        table = [f.grad(x0) for f in p.blocks]
        s = State(x=x0, table=table, total=sum(table), grad=p.xp.empty_like(x0), tau=self._step_size(p))
        s.v = p.xp.empty_like(x0)
        return s

    def step(self, p: SplitParts, s: State) -> None:
        i = self._draw(s, p)
        p.blocks[i].grad(s.x, out=s.grad)
        p.xp.subtract(s.grad, s.table[i], out=s.v)
        s.table[i][...] = s.grad
        s.grad[...] = s.total  # Σ_j g_j before g_i is replaced
        s.total += s.v
        s.v *= len(p.blocks)
        s.v += s.grad
        self._descend(p, s, s.v)


@dataclass(frozen=True)
class SVRG(_VarianceReduced):
    """Loopless SVRG: v = n(∇f_i(u) - ∇f_i(w)) + Σ_j ∇f_j(w), w renewed as w ← u with probability 1/m.

    Parameters
    ----------
    tau : float, optional
        0 < τ <= 1/(6 n max L_i), by default that.
    subsets : int
        n.
    seed : int
        Of the random choices.
    renewal : int, optional
        m, by default 2n: the mean number of iterations with one w.

    Notes
    -----
    One iteration applies A and A* to one subset twice, a renewal to all: 1 + m/n·2 applications of each in m
    iterations.  Four images are kept, whatever n is.  Linear with strong convexity.

    References
    ----------
    Johnson and Zhang, NIPS 2013; Kovalev, Horváth and Richtárik, ALT 2020; Gorbunov, Hanzely and Richtárik, A unified
    theory of SGD, AISTATS 2020.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    >>> problem = ip.Problem(ip.L2(A, np.array([1.0, 2.0, 3.0])) + 1e-9 * ip.L2())
    >>> ip.solve(problem, ip.SVRG(subsets=3), stop=ip.stop.niter(1000)).x.round(6)
    array([1., 2.])
    """

    renewal: int | None = None
    bound: ClassVar[tuple[int, str]] = (6, "Gorbunov, Hanzely and Richtárik 2020")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.renewal is not None:
            check_count(self.renewal, "renewal")

    def init(self, p: SplitParts, x0: Array) -> State:
        full = p.smooth.grad(x0)
        s = State(x=x0, w=x0.copy(), full=full, grad=p.xp.empty_like(x0), tau=self._step_size(p))
        s.v = p.xp.empty_like(x0)
        return s

    def step(self, p: SplitParts, s: State) -> None:
        f = p.blocks[self._draw(s, p)]
        f.grad(s.x, out=s.v)
        f.grad(s.w, out=s.grad)
        s.v -= s.grad
        s.v *= len(p.blocks)
        s.v += s.full
        renewed = random_number(self.seed, 2 * s.k + 1) * (self.renewal or 2 * len(p.blocks)) < 1
        if renewed:
            s.w[...] = s.x
        self._descend(p, s, s.v)
        if renewed:
            p.smooth.grad(s.w, out=s.full)

    def _theorem(self, p: SplitParts) -> Verdict:
        verdict = super()._theorem(p)
        if verdict and p.smooth.mu == 0:
            return Verdict(False, "the theorem asks for a strongly convex smooth part; SAGA's does not")
        return verdict
