"""Adam, for the smooth part of a problem, with a projection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_count, check_positive
from ipbox.solvers.core.protocol import Parts, Solver, State, Verdict
from ipbox.solvers.per_sample import ratio, squares

__all__ = ["Adam"]

TINY = 1e-8  # ε, relative to the largest √v


@dataclass(frozen=True)
class Adam(Solver):
    r"""x ← P(x - η_k m̂/(√v̂ + ε)), m and v running means of ∇f and its squares; P a projection.

    Parameters
    ----------
    lr : float
        η_0; η_k = η_0 cos²(πk/(2K)) where K, ``steps``, is given.
    steps : int, optional
    beta1, beta2 : float
        Decay of the running means.

    Notes
    -----
    f may rise; no theorem.  Gradients are divided by the largest entry of the first, as their squares may be beyond
    the range of the dtype, and ε is 1e-8 of the largest √v̂, so that the units of f do not matter.

    References
    ----------
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR (2015).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.learned.methods.generative import Adam
    >>> problem = ip.Problem(ip.L2(b=np.array([3.0, -1.0])))
    >>> ip.solve(problem, Adam(lr=0.2, steps=200), stop=ip.stop.niter(200)).x.round(3)
    array([ 3., -1.])
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")

    lr: float = 0.05
    steps: int | None = None
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        (
            check_positive(self.lr, "lr"),
            check_between(self.beta1, "beta1", 0, 1),
            check_between(self.beta2, "beta2", 0, 1),
        )
        if self.steps is not None:
            check_count(self.steps, "steps")

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, g=p.xp.empty_like(x0), m=p.xp.zeros_like(x0), v=p.xp.zeros_like(x0))
        if p.labels["prox"]:
            p.prox.prox(s.x, 1.0, out=s.x)
        s.f, _ = p.smooth.value_grad(s.x, s.g, s.scratch["smooth"], p.batch is not None)
        s.gg0 = squares(s.g, p)
        s.unit = _largest(abs(s.g), p)
        return s

    def step(self, p: Parts, s: State) -> None:
        g = s.g / backend.per_sample(s.unit, s.g)
        for mean, beta, new in ((s.m, self.beta1, g), (s.v, self.beta2, g * g)):
            mean *= beta
            backend.axpy(1 - beta, new, mean)
        root = p.xp.sqrt(s.v / (1 - self.beta2 ** (s.k + 1)))
        root += backend.per_sample(TINY * _largest(root, p), root)
        eta = self.lr if self.steps is None else self.lr * math.cos(0.5 * math.pi * min(1.0, s.k / self.steps)) ** 2
        backend.axpy(-eta / (1 - self.beta1 ** (s.k + 1)), s.m / root, s.x)
        if p.labels["prox"]:
            p.prox.prox(s.x, 1.0, out=s.x)
        s.f, _ = p.smooth.value_grad(s.x, s.g, s.scratch["smooth"], p.batch is not None)

    def objective(self, p: Parts, s: State) -> Any:
        return s.f

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇f(x)‖ relative to its value at the start."""
        return np.sqrt(ratio(squares(s.g, p), s.gg0))

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(False, "no theorem: Adam may raise f, and need not converge even where f is convex")


def _largest(a: Array, p: Parts) -> Any:
    """The largest entry of a >= 0, or that of each sample; 1 where all are 0."""
    largest = np.array(a.reshape(p.batch or 1, -1).max(axis=1).tolist())
    largest[largest == 0] = 1
    return largest if p.batch else float(largest[0])
