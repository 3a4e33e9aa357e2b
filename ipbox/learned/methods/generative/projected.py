"""The image eliminated, the latent vector by any method for smooth functionals: variable projection."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ipbox.backend import Array
from ipbox.functionals import Functional
from ipbox.learned.methods.generative.reduced import _ReducedObjective
from ipbox.learned.priors.generative.base import LatentPrior
from ipbox.solvers import LBFGS
from ipbox.solvers.core.problem import Parts, Problem
from ipbox.solvers.core.protocol import Solver, Verdict
from ipbox.solvers.core.state import State
from ipbox.solvers.gradient.searching import ArmijoGradientDescent

__all__ = ["LatentParts", "_Projected"]


@dataclass
class LatentParts(Parts):
    """A problem in u as a solver for u and z sees it; ``latent`` is that in z."""

    latent: Parts | None = None


def latent_start(z0: Array, p: Problem) -> Array:
    """A copy of the latent vectors that a solve starts at, one for each sample, in the image's precision."""
    xp, lead = p.xp, () if p.batch is None else (p.batch,)
    z = xp.asarray(z0).astype(p.dtype)
    return xp.ascontiguousarray(xp.broadcast_to(z, (*lead, z.shape[-1]))).copy()


@dataclass(frozen=True)
class _Projected(Solver):
    """min_z φ(z), φ(z) = min_u D(u) + λ(F(u/s, z) + S(z)), by ``inner``.

    ∇φ(z) is the gradient in z at the best u.  The state holds that of ``inner`` as the dictionary ``latent``.
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    prior: LatentPrior = field(kw_only=True)
    lam: float = field(kw_only=True)
    z0: Array = field(kw_only=True)
    inner: Solver = LBFGS()
    accuracy: float = 1e-3
    constraint: Functional | None = None
    mark: tuple[float, ...] = ()  # numbers that the decoder makes, which tell it from another

    def prepare(self, problem: Problem) -> LatentParts:
        p = problem.assign(self.takes, type(self).__name__)
        phi = _ReducedObjective(self.prior, self.lam, p.smooth, self.accuracy)
        objective = phi if self.constraint is None else phi + self.constraint
        inner = Problem(objective, problem.batch, phi.dims, problem.dtype, problem.xp.__name__)
        labels = {**p.labels, "prior": [f"{self.lam:g}·{self.prior.name}"]}
        return LatentParts(problem, p.smooth, p.prox, p.dual, labels, self.inner.prepare(inner))

    def init(self, p: LatentParts, x0: Array) -> State:
        s = State(x=x0, latent=vars(self.inner.init(p.latent, latent_start(self.z0, p.problem))))
        self._show(p, s)
        return s

    def step(self, p: LatentParts, s: State) -> None:
        view = State()
        view.__dict__ = s.latent
        self.inner.step(p.latent, view)
        view.k += 1
        self._show(p, s)

    def _show(self, p: LatentParts, s: State) -> None:
        s.x[...] = p.latent.smooth.image(s.latent["x"], s.latent["scratch"]["smooth"]).reshape(s.x.shape)

    def _view(self, s: State) -> State:
        view = State()
        view.__dict__ = s.latent
        return view

    def objective(self, p: LatentParts, s: State) -> Any:
        return s.latent["f"]

    def residual(self, p: LatentParts, s: State) -> Any:
        """‖∇φ(z)‖ relative to its value at the start."""
        return self.inner.residual(p.latent, self._view(s))

    def _theorem(self, p: LatentParts) -> Verdict:
        rough = self.prior.rough
        if not isinstance(self.inner, ArmijoGradientDescent):
            how = type(self.inner).__name__
            return Verdict(False, f"none: of {how} on a function that is not convex no convergence is proved")
        if rough is not None:
            return Verdict(False, f"none: the decoder has {rough}, which is not continuously differentiable")
        if not self.prior.mu > 0 or not math.isfinite(self.lam):
            return Verdict(False, "none: without a term in z, iterates may be unbounded")
        return Verdict(True, CRITICAL.format("Attouch, Bolte and Svaiter 2013, theorem 2.9"))


CRITICAL = (
    "to a critical point, where the decoder is continuously differentiable and definable, by the Kurdyka-Łojasiewicz "
    "property ({}); not to the global minimum"
)
