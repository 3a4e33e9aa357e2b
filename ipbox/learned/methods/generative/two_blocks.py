"""iPALM for a smooth function of a vector in two blocks, such as a latent vector and the weights of a decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_count
from ipbox.learned.methods.generative.blocks import descend, own, relative_move
from ipbox.solvers.core.protocol import Parts, Solver, State, Verdict
from ipbox.solvers.per_sample import ratio

__all__ = ["TwoBlockPALM"]

FIRST = 0.01  # length of the first step, relative to the block


@dataclass(frozen=True)
class TwoBlockPALM(Solver):
    r"""Inertial proximal alternating linearised minimisation of f(x_1, x_2) + g_1(x_1) + g_2(x_2).

    .. math:: x_i^+ = prox_{g_i/L_i}(\bar x_i - ∇_i f(\bar x_i)/L_i), \qquad \bar x_i = x_i + β(x_i - x_{i,old})

    one block after the other, L_i the least of ..., L/1.5, L, 2L, ... at which f lies below its quadratic model, for
    each sample by itself.  Without inertia f + g never rises.

    Parameters
    ----------
    split : int
        x_1 is the first ``split`` entries along the last axis, x_2 the others.
    inertia : float
        0 <= β < 1.

    References
    ----------
    Pock and Sabach, SIAM J. Imaging Sci. 9 (2016); Narnhofer, Hammernik, Knoll and Pock, Proc. SPIE 11138 (2019).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.learned.methods.generative import TwoBlockPALM
    >>> A = ip.as_operator(np.array([[2.0, 1.0], [1.0, 3.0]]))
    >>> problem = ip.Problem(ip.L2(A, np.array([3.0, 4.0])) + ip.NonNegative())
    >>> ip.solve(problem, TwoBlockPALM(split=1), stop=ip.stop.niter(200)).x.round(6)
    array([1., 1.])
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")

    split: int = 1
    inertia: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.split, "split")
        check_between(self.inertia, "inertia", 0, 1, "[)")

    def prepare(self, problem: Any) -> Parts:
        p = super().prepare(problem)
        if not self.split < problem.dims[-1]:
            raise ValueError(f"split is {self.split}; expected less than the {problem.dims[-1]} entries of the vector")
        return p

    def init(self, p: Parts, x0: Array) -> State:
        n = 1 if p.batch is None else p.batch
        s = State(x=x0, change=own(np.ones(n), p))
        self._prox(p, s.x, 1.0, s.x)
        s.old = s.x.copy()
        f, g = p.smooth.value_grad(s.x.reshape(n, *p.problem.dims), batch=True)
        s.f = own(f + self._penalty(p, s.x), p)
        s.L = [own(self._first(p, f, self._of(g, i), self._of(s.x.reshape(g.shape), i)), p) for i in (0, 1)]
        return s

    def step(self, p: Parts, s: State) -> None:
        change = np.zeros(1 if p.batch is None else p.batch)
        for i in (0, 1):
            x = s.x.reshape(len(change), *p.problem.dims)
            y = x + self.inertia * self._of(x - s.old.reshape(x.shape), i)
            f, g = p.smooth.value_grad(y, batch=True)

            def prox(v: Array, tau: np.ndarray) -> Array:
                return self._prox(p, v, tau, v)

            new, f, L = descend(lambda v: p.smooth.value(v, batch=True), prox, y, f, self._of(g, i), s.L[i], s.k)
            change = np.maximum(change, relative_move(new - x, new, 0.0))
            self._remember(s, x, i)
            x[...], s.L[i] = new, own(L, p)
        s.change, s.f = own(change, p), own(f + self._penalty(p, s.x), p)

    def _of(self, a: Array, i: int) -> Array:
        """A copy of which only the block i is left."""
        a = a.copy()
        a[..., self.split :] *= i
        a[..., : self.split] *= 1 - i
        return a

    def _remember(self, s: State, x: Array, i: int) -> None:
        block = slice(self.split, None) if i else slice(None, self.split)
        s.old.reshape(x.shape)[..., block] = x[..., block]

    @staticmethod
    def _prox(p: Parts, v: Array, tau: Any, out: Array) -> Array:
        return p.prox.prox(v, tau, out=out) if p.labels["prox"] else v

    @staticmethod
    def _penalty(p: Parts, x: Array) -> np.ndarray | float:
        return np.atleast_1d(p.prox.value(x, p.batch is not None)) if p.labels["prox"] else 0.0

    @staticmethod
    def _first(p: Parts, f: np.ndarray, g: Array, x: Array) -> np.ndarray:
        """L for a first step of 1 % of the block, or of f/‖g‖ from zero; and that of f, or 0 where it is not known."""
        size, block = (np.sqrt(backend.sum_squares(a, True)) for a in (g, x))
        length = np.where(block > 0, FIRST * block, ratio(np.abs(f), size))
        L = ratio(size, length)
        known = p.smooth.L if p.smooth.L < np.inf else 0.0
        return np.stack([np.where(L > 0, L, 1.0), np.full(len(L), known)], axis=1)

    def objective(self, p: Parts, s: State) -> Any:
        return s.f

    def residual(self, p: Parts, s: State) -> Any:
        """The relative change in the last step, of the block in which it is larger."""
        return s.change

    def _theorem(self, p: Parts) -> Verdict:
        if self.inertia > 0:
            return Verdict(False, "none: of iPALM with backtracking no convergence is proved, be f convex or not")
        if not p.smooth.is_convex:
            return Verdict(False, "f is not convex: bounded iterates come to a critical point where f is definable")
        return Verdict(True, "f, g convex, ∇f Lipschitz, backtracking (Bolte, Sabach and Teboulle 2014, theorem 1)")
