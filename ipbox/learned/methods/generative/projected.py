"""The image eliminated, the latent vector by any method for smooth functionals: variable projection."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_positive, check_type
from ipbox.functionals import Functional
from ipbox.functionals.core.base import REAL_DTYPES
from ipbox.learned.methods.generative.reduced import _ReducedObjective
from ipbox.learned.priors.generative.base import LatentPrior
from ipbox.solvers import LBFGS
from ipbox.solvers.core.problem import Parts, Problem
from ipbox.solvers.core.protocol import Solver, Verdict
from ipbox.solvers.core.state import State
from ipbox.solvers.gradient.searching import ArmijoGradientDescent

__all__ = ["LatentParts", "VariableProjection", "check_images"]


@dataclass
class LatentParts(Parts):
    """A problem in u as a solver for u and z sees it; ``latent`` is that in z."""

    latent: Parts | None = None


def latent_start(z0: Array, p: Problem) -> Array:
    """A copy of the latent vectors that a solve starts at, one for each sample, in the image's precision."""
    xp, lead = p.xp, () if p.batch is None else (p.batch,)
    z = xp.asarray(z0).astype(p.dtype)
    return xp.ascontiguousarray(xp.broadcast_to(z, (*lead, z.shape[-1]))).copy()


def check_settings(prior: Any, lam: Any, z0: Any) -> None:
    """Refuse what is no prior, weight or start."""
    check_type(prior, "prior", LatentPrior, "a prior of ipbox.learned.priors.generative")
    check_positive(lam, "lam")
    backend.check_array(z0, "z0")


def check_start(z0: Array, problem: Problem, prior: LatentPrior, some: bool = False) -> None:
    """Refuse starts that are not one vector of the prior (or ``some`` first entries of it), or one for each sample."""
    fits = z0.ndim > 0 and (z0.shape[-1] == prior.latent or (some and 0 < z0.shape[-1] < prior.latent))
    if not fits or z0.shape[:-1] not in ((), (problem.batch,)):
        each = "" if problem.batch is None else f", or {(problem.batch, prior.latent)}"
        raise ValueError(f"z0 has shape {z0.shape}; expected {(prior.latent,)}{each}")


def check_images(prior: LatentPrior, problem: Problem) -> None:
    """Refuse a problem in other images than those of the prior."""
    if problem.dims != prior.dims or problem.dtype.kind == "c":
        raise ValueError(
            f"prior is {prior.name} of real images {prior.dims}; expected a problem in such, and this one's are "
            f"{problem.dims} {problem.dtype}"
        )


@dataclass(frozen=True)
class VariableProjection(Solver):
    r"""Variable projection: min_z φ(z), φ(z) = min_u D(u) + λ(F(u/s, z) + S(z)), by a method for smooth functionals.

    ∇φ(z) = λ∇_z F(u(z)/s, z) + λ∇S(z) at the minimiser u(z), by Danskin's theorem; u(z) = s G(z) for a prior that holds
    u in the range, else the solution of (A*A + λΣ⁻¹)u = A*b + λΣ⁻¹m by conjugate gradients.

    Parameters
    ----------
    prior : LatentPrior
        Of `ipbox.learned.priors.generative`, with a quadratic F, or one that holds u in the range.
    lam : float
        λ > 0.
    z0 : array
        The start, (latent,), or (batch, latent); it is this, and no ``x0``, that the solver starts at.  Entries that
        are not given, as of weights, are 0.
    inner : Solver
        For φ: `LBFGS`, `ArmijoGradientDescent`, `Adam`, `TwoBlockPALM`.
    accuracy : float
        Of u(z), by the residual relative to the right-hand side.
    constraint : Functional, optional
        With a prox, of z; for an ``inner`` that takes one.
    mark : tuple of float
        Numbers that the decoder makes, by which a state of another one is refused.

    Notes
    -----
    The objective is D + λR, of which the problem has D only.  The state holds that of ``inner``, with z as its ``x``,
    as the dictionary ``latent``.

    References
    ----------
    Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973); Bora, Jalal, Price and Dimakis, ICML (2017).

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> from ipbox.learned.methods.generative import VariableProjection
    >>> from ipbox.learned.networks.generative import Generator
    >>> from ipbox.learned.priors.generative import RangePrior
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 6, bias=False), torch.nn.Unflatten(1, (1, 2, 3))).double()
    >>> prior, z = RangePrior(Generator(net, latent=2, dims=(2, 3)), mu=0.0), torch.tensor([[1.0, -2.0]])
    >>> problem = ip.Problem(ip.L2(b=net(z.double())[0, 0].detach().numpy()))
    >>> run = ip.solve(problem, VariableProjection(prior=prior, lam=1.0, z0=np.ones(2)), stop=ip.stop.niter(20))
    >>> run.state.latent["x"].round(6)
    array([ 1., -2.])
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth",)
    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES

    prior: LatentPrior = field(kw_only=True)
    lam: float = field(kw_only=True)
    z0: Array = field(kw_only=True)
    inner: Solver = LBFGS()
    accuracy: float = 1e-3
    constraint: Functional | None = None
    mark: tuple[float, ...] = ()  # numbers that the decoder makes, which tell it from another

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self.prior, self.lam, self.z0)
        check_type(self.inner, "inner", Solver, "a solver of smooth functionals, such as ip.LBFGS()")
        check_between(self.accuracy, "accuracy", 0, 1)

    def prepare(self, problem: Problem) -> LatentParts:
        p = problem.assign(self.takes, type(self).__name__)
        check_images(self.prior, problem)
        phi = _ReducedObjective(self.prior, self.lam, p.smooth, self.accuracy)
        objective = phi if self.constraint is None else phi + self.constraint
        inner = Problem(objective, problem.batch, phi.dims, problem.dtype, problem.xp.__name__)
        labels = {**p.labels, "prior": [f"{self.lam:g}·{self.prior.name}"]}
        return LatentParts(problem, p.smooth, p.prox, p.dual, labels, self.inner.prepare(inner))

    def init(self, p: LatentParts, x0: Array) -> State:
        check_start(self.z0, p.problem, self.prior, some=True)  # not in prepare, which also sees parts of a batch
        z0 = latent_start(self.z0, p.problem)
        z = p.xp.zeros((*p.lead, self.prior.latent), dtype=x0.dtype)
        z[..., : z0.shape[-1]] = z0
        s = State(x=x0, z0=z0, latent=vars(self.inner.init(p.latent, z)))
        self._show(p, s)
        return s

    def step(self, p: LatentParts, s: State) -> None:
        view = self._view(s)
        self.inner.step(p.latent, view)
        view.k += 1
        self._show(p, s)

    def _show(self, p: LatentParts, s: State) -> None:
        latent: Any = p.latent
        s.x[...] = latent.smooth.image(s.latent["x"], s.latent["scratch"]["smooth"]).reshape(s.x.shape)

    @staticmethod
    def _view(s: State) -> State:
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
        if not p.smooth.is_convex:
            return Verdict(False, NOT_CONVEX)
        if not isinstance(self.inner, ArmijoGradientDescent):
            how = type(self.inner).__name__
            return Verdict(False, f"none: of {how} on a function that is not convex no convergence is proved")
        if rough is not None:
            return Verdict(False, f"none: the decoder has {rough}, which is not continuously differentiable")
        if not self.prior.mu > 0 or not math.isfinite(self.lam):
            return Verdict(False, "none: without a term in z, iterates may be unbounded")
        return Verdict(True, CRITICAL.format("Attouch, Bolte and Svaiter 2013, theorem 2.9"))


NOT_CONVEX = "none: the data term is not convex, so that it may have no lower bound"
CRITICAL = (
    "to a critical point, where the decoder is continuously differentiable and definable, by the Kurdyka-Łojasiewicz "
    "property ({}); not to the global minimum"
)
