"""PALM and iPALM for the image and the latent vector, with backtracking for each of the two blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between
from ipbox.functionals import Functional
from ipbox.functionals.core.base import REAL_DTYPES
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.methods.generative.blocks import descend, first_length, own, relative_move
from ipbox.learned.methods.generative.projected import (
    CRITICAL,
    NOT_CONVEX,
    LatentParts,
    check_images,
    check_settings,
    check_start,
    latent_start,
)
from ipbox.learned.priors.generative.base import LatentPrior
from ipbox.learned.priors.network import evaluation
from ipbox.solvers.core.problem import Problem
from ipbox.solvers.core.protocol import Solver, Verdict
from ipbox.solvers.core.state import State

__all__ = ["PALM"]

FIRST = 0.1  # length of the first step, relative


@dataclass(frozen=True)
class PALM(Solver):
    r"""Proximal alternating linearised minimisation of H(z, w) + g(w), w the image or what it has beside G(z).

    .. math:: z^+ = \bar z - ∇_z H(\bar z, w)/L_z, \qquad w^+ = prox_{g/L_w}(\bar w - ∇_w H(z^+, \bar w)/L_w)

    with :math:`\bar z = z + β(z - z_{old})`, β = ``inertia``, and L the least of ..., L/1.5, L, 2L, ... at which H lies
    below its quadratic model, for each sample by itself.  Without inertia the objective never rises.

    Parameters
    ----------
    prior : LatentPrior
        Of `ipbox.learned.priors.generative`.  Its F is a part of H and g the constraint of the problem, or none; for
        `SparseDeviations` w = u - s G(z) and g = λ/s ‖w‖₁; for `RangePrior` there is no w.
    lam : float
        λ > 0.
    z0 : array
        The start of z, (latent,), or (batch, latent).
    inertia : float
        0 <= β < 1.
    mark : tuple of float
        Numbers that the decoder makes, by which a state of another one is refused.

    Notes
    -----
    The objective is D + λR, of which the problem has D and the constraint only.

    References
    ----------
    Bolte, Sabach and Teboulle, Math. Program. 146 (2014); Pock and Sabach, SIAM J. Imaging Sci. 9 (2016).

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> from ipbox.learned.methods.generative import PALM
    >>> from ipbox.learned.networks.generative import Generator
    >>> from ipbox.learned.priors.generative import SoftRange
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.Unflatten(1, (1, 2, 3))).double()
    >>> prior = SoftRange(Generator(net, latent=2, dims=(2, 3)))
    >>> problem = ip.Problem(ip.L2(b=-np.ones((2, 3))) + ip.NonNegative())
    >>> run = ip.solve(problem, PALM(prior=prior, lam=0.5, z0=np.zeros(2)), x0=np.ones((2, 3)), stop=ip.stop.niter(50))
    >>> bool((run.x >= 0).all()), run.state.z.shape
    (True, (1, 2))
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")
    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES

    prior: LatentPrior = field(kw_only=True)
    lam: float = field(kw_only=True)
    z0: Array = field(kw_only=True)
    inertia: float = 0.0
    mark: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self.prior, self.lam, self.z0)
        check_between(self.inertia, "inertia", 0, 1, "[)")

    def prepare(self, problem: Problem) -> LatentParts:
        p = problem.assign(self.takes, type(self).__name__)
        check_images(self.prior, problem)
        if self.prior.direct and p.labels["prox"]:
            raise ValueError(f"{p.prox.name} stands beside {self.prior.name}, whose image is G(z); expected none")
        labels = {**p.labels, "prior": [f"{self.lam:g}·{self.prior.name}"]}
        return LatentParts(problem, p.smooth, p.prox, p.dual, labels)

    # ------------------------------------------------------------ H by its blocks

    def _at(self, p: LatentParts, z: Array, w: Array, gradient: bool) -> tuple[np.ndarray, Array | None]:
        """What H has of z, and its gradient."""
        prior, xp = self.prior, p.xp
        with evaluation(prior.model, gradient=gradient):
            t = prior.enter(z).requires_grad_(gradient)
            maps = prior.maps(t)
            if prior.direct:
                u = prior.images(maps, z) + w
                fit, gu = self._fit(p, u, gradient)
                energy = prior.latent_energy(t)
                outputs, back = [maps[0], self.lam * energy.sum()], []
                if gradient:
                    back = [prior.scale * to_torch(gu, copy=None).reshape(maps[0].shape), None]
                values = fit + self.lam * np.array(energy.tolist())
            else:
                energy = prior.energies(to_torch(w, copy=None).reshape(maps[0].shape) / prior.scale, t, maps)
                outputs, back = [self.lam * energy.sum()], [None]
                values = self.lam * np.array(energy.tolist())
            if not gradient:
                return values, None
            (g,) = torch.autograd.grad(outputs, t, back)
        return values, from_torch(g.contiguous(), xp=xp)

    @staticmethod
    def _fit(p: LatentParts, u: Array, gradient: bool) -> tuple[np.ndarray, Array | None]:
        """D(u), and its gradient."""
        return p.smooth.value_grad(u, batch=True) if gradient else (p.smooth.value(u, batch=True), None)

    def _held(self, z: Array) -> tuple[Functional | None, Array]:
        """Q with F(u/s, z) = Q(u) + a constant, where u has a term; and the image s G(z)."""
        with evaluation(self.prior.model, gradient=False):
            maps = self.prior.maps(self.prior.enter(z))
            return None if self.prior.direct else self.prior.functional(maps, z), self.prior.images(maps, z)

    def _of_w(self, p: LatentParts, Q: Functional | None, mean: Array) -> Callable[[Array, bool], tuple[Any, Any]]:
        """What H has of w, for z that is held."""

        def part(w: Array, gradient: bool) -> tuple[np.ndarray, Array | None]:
            if Q is None:
                return self._fit(p, mean + w, gradient)
            fit, g = self._fit(p, w, gradient)
            if gradient:
                g = g + self.lam * Q.grad(w)
            return fit + self.lam * Q.value(w, batch=True), g

        return part

    def _prox(self, p: LatentParts, w: Array, tau: np.ndarray) -> Array:
        """prox_{τg}: soft thresholds, or the constraint of the image."""
        if self.prior.sparse:
            xp, t = p.xp, backend.per_sample(self.lam / self.prior.scale * tau, w)
            return xp.sign(w) * xp.maximum(xp.abs(w) - t, 0)
        return p.prox.prox(w, tau) if p.labels["prox"] else w

    # ------------------------------------------------------------ the iteration

    def init(self, p: LatentParts, x0: Array) -> State:
        check_start(self.z0, p.problem, self.prior)  # not in prepare, which also sees parts of a batch
        n = 1 if p.batch is None else p.batch
        s = State(x=x0, z=latent_start(self.z0, p.problem).reshape(n, -1))
        _, mean = self._held(s.z)
        w = x0.reshape(n, *self.prior.dims)
        if self.prior.direct:
            w = p.xp.zeros_like(mean)
        s.w = self._prox(p, w.copy(), np.ones(n)) if not self.prior.sparse else w.copy()
        s.z_old, s.w_old = s.z.copy(), s.w.copy()
        s.change = own(np.ones(n), p)
        f, g = self._at(p, s.z, s.w, True)
        s.f = own(self._total(p, s, f, p.smooth.value(s.w, batch=True) if not self.prior.direct else 0.0), p)
        s.Lz = own(first_length(g, FIRST * np.sqrt(self.prior.latent) * np.ones(n), np.atleast_1d(s.f)), p)
        s.Lw = own(np.ones((n, 2)), p)
        if not self.prior.direct or self.prior.sparse:
            g = self._of_w(p, *self._held(s.z))(s.w, True)[1]
            size = np.sqrt(backend.sum_squares(s.w, True))
            L = np.full((n, 2), min(p.smooth.L, np.finfo(np.float32).max))
            s.Lw = own(np.where(size[:, None] > 0, first_length(g, FIRST * size, np.atleast_1d(s.f)), L), p)
        self._show(p, s, mean)
        return s

    def _total(self, p: LatentParts, s: State, of_z: np.ndarray, fit: Any) -> np.ndarray:
        """The objective, from what it has of z at (z, w) and D where that is not among it."""
        if self.prior.sparse:
            size = p.xp.abs(s.w)
            return of_z + self.lam / self.prior.scale * backend.reduce_sum(size, True)
        return of_z + fit

    def step(self, p: LatentParts, s: State) -> None:
        of_z, change = self._step_z(p, s)
        Q, mean = self._held(s.z)
        if not self.prior.direct or self.prior.sparse:
            of_z, moved = self._step_w(p, s, Q, mean, of_z)
            change = np.maximum(change, moved)
        s.change, s.f = own(change, p), own(self._total(p, s, of_z, 0.0), p)
        self._show(p, s, mean)

    def _step_z(self, p: LatentParts, s: State) -> tuple[np.ndarray, np.ndarray]:
        """z⁺; what H has of it, and its relative change."""
        z, z_at = s.z.copy(), s.z + self.inertia * (s.z - s.z_old)
        f, g = self._at(p, z_at, s.w, True)
        s.z_old[...] = z

        def part(y: Array) -> np.ndarray:
            return self._at(p, y, s.w, False)[0]

        s.z[...], of_z, lengths = descend(part, lambda y, tau: y, z_at, f, g, s.Lz, s.k)
        s.Lz = own(lengths, p)
        return of_z, relative_move(s.z - z, s.z, np.sqrt(self.prior.latent))

    def _step_w(
        self, p: LatentParts, s: State, Q: Functional | None, mean: Array, of_z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """w⁺; H, and the relative change of the image."""
        part = self._of_w(p, Q, mean)
        w, w_at = s.w.copy(), s.w + self.inertia * (s.w - s.w_old)
        rest = of_z - part(s.w, False)[0]  # what does not depend on w, without D where that is not in of_z
        f, g = part(w_at, True)
        s.w_old[...] = w
        s.w[...], of_w, lengths = descend(
            lambda y: part(y, False)[0], lambda y, tau: self._prox(p, y, tau), w_at, f, g, s.Lw, s.k
        )
        s.Lw = own(lengths, p)
        if Q is not None:
            rest = rest + p.smooth.value(w, batch=True)
        return rest + of_w, relative_move(s.w - w, s.w if Q is not None else mean + s.w, 0.0)

    def _show(self, p: LatentParts, s: State, mean: Array) -> None:
        s.x[...] = (mean + s.w if self.prior.direct else s.w).reshape(s.x.shape)

    def objective(self, p: LatentParts, s: State) -> Any:
        return s.f

    def residual(self, p: LatentParts, s: State) -> Any:
        """The relative change of z or w in the last step, whichever is larger."""
        return s.change

    def _theorem(self, p: LatentParts) -> Verdict:
        rough = self.prior.rough
        if not p.smooth.is_convex:
            return Verdict(False, NOT_CONVEX)
        if self.inertia > 0:
            return Verdict(False, "none: of iPALM with backtracking no convergence is proved")
        if rough is not None:
            return Verdict(False, f"none: the decoder has {rough}, which is not continuously differentiable")
        if not self.prior.mu > 0:
            return Verdict(False, "none: without a term in z, iterates may be unbounded")
        return Verdict(
            True, CRITICAL.replace("Attouch, Bolte and Svaiter 2013, theorem 2.9", "Bolte et al. 2014, theorem 1")
        )
