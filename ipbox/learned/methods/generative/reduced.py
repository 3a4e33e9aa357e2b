"""φ(z) = min_u D(u) + λ(F(u/s, z) + S(z)): the objective with the image eliminated, as a functional of z."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals import Functional
from ipbox.functionals.core.base import Work, child
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.priors.generative.base import LatentPrior, Maps
from ipbox.learned.priors.network import evaluation
from ipbox.solvers.krylov.conjugate_directions import solve_definite

__all__ = ["_ReducedObjective"]

MOST = 200  # conjugate gradients for one image


class _ReducedObjective(Functional):
    """φ of latent vectors (N, latent), or one (latent,); its gradient is that of the objective at the best u.

    The image is G(z) where the prior is direct.  Else it solves (A*A + λΣ⁻¹)u = A*b + λΣ⁻¹m, by conjugate gradients
    scaled by the diagonal, from the last one: ``work["deviation"]`` keeps u - s G(z), and ``work["z"]`` for which z.

    Parameters
    ----------
    prior : LatentPrior
    lam : float
    data : Functional
        D, quadratic in u unless the prior is direct.
    accuracy : float
        Of u, by the residual relative to the right-hand side.
    """

    has_grad = True

    def __init__(self, prior: LatentPrior, lam: float, data: Functional, accuracy: float) -> None:
        super().__init__((prior.latent,))
        self.prior, self.lam, self.data, self.accuracy = prior, lam, data, accuracy

    @property
    def is_convex(self) -> bool:
        return False

    @property
    def name(self) -> str:
        return f"{self.data.name} + {self.lam:g}·{self.prior.name}"

    def _value(self, x: Array, batch: bool) -> Any:
        if self.prior.direct:
            with evaluation(self.prior.model, gradient=False):
                z = x if x.ndim == 2 else x[None]
                t = self.prior.enter(z)
                fit = self.data.value(self.prior.images(self.prior.maps(t), z), batch=True)
                values = fit + self.lam * np.array(self.prior.latent_energy(t).tolist())
            return values if batch else float(values.sum())
        return self._value_grad(x, backend.array_module(x).empty_like(x), None, batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self._value_grad(x, out, work, x.ndim > 1)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        z = x if x.ndim == 2 else x[None]
        work = {} if work is None else work
        with evaluation(self.prior.model, gradient=True):
            t = self.prior.enter(z).requires_grad_()
            maps = self.prior.maps(t)
            values, g = (self._direct if self.prior.direct else self._eliminated)(t, maps, z, work)
        out[...] = from_torch(g.contiguous(), xp=backend.array_module(x)).reshape(out.shape)
        return values if batch else float(values.sum())

    def _direct(self, t: torch.Tensor, maps: Maps, z: Array, work: dict[str, Any]) -> tuple[np.ndarray, torch.Tensor]:
        u, s = self.prior.images(maps, z), self.prior.scale
        fit, gu = self.data.value_grad(u, work=child(work, "data"), batch=True)
        energy = self.prior.latent_energy(t)
        back = s * to_torch(gu, copy=None).reshape(maps[0].shape)
        (g,) = torch.autograd.grad([maps[0], self.lam * energy.sum()], t, [back, None])
        return fit + self.lam * np.array(energy.tolist()), g

    def _eliminated(
        self, t: torch.Tensor, maps: Maps, z: Array, work: dict[str, Any]
    ) -> tuple[np.ndarray, torch.Tensor]:
        u = self._solve([m.detach() for m in maps], z, work)
        v = to_torch(u, copy=None).reshape(maps[0].shape) / self.prior.scale
        energy = self.prior.energies(v, t, maps)
        (g,) = torch.autograd.grad(self.lam * energy.sum(), t)
        return self.data.value(u, batch=True) + self.lam * np.array(energy.tolist()), g

    def image(self, x: Array, work: dict[str, Any]) -> Array:
        """u at z, (N,) + dims; it costs nothing where z is that of the last evaluation."""
        z = x if x.ndim == 2 else x[None]
        with evaluation(self.prior.model, gradient=False):
            if not self.prior.direct and "z" in work and bool((work["z"] == z).all()):
                return work["mean"] + work["deviation"]
            maps = self.prior.maps(self.prior.enter(z))
            return self.prior.images(maps, z) if self.prior.direct else self._solve(maps, z, work)

    def _solve(self, maps: Maps, z: Array, work: dict[str, Any]) -> Array:
        """The u with ∇D(u) + λ∇F(u) = 0."""
        xp, mean, Q = backend.array_module(z), self.prior.images(maps, z), self.prior.functional(maps, z)
        if work.get("deviation", mean[:0]).shape != mean.shape:
            work["deviation"], work["start"] = xp.zeros_like(mean), self.data.grad(xp.zeros_like(mean))  # -A*b
        v, own = work["deviation"], work.setdefault("data", {})
        shared = own.setdefault("shared", {})
        if "diagonal" not in shared:
            shared["diagonal"] = mean_diagonal(self.data, mean[0])
        diagonal = shared["diagonal"] + self.lam * diagonal_of(Q)
        scale = 1 / xp.sqrt(diagonal) if backend.is_array(diagonal) else float(diagonal) ** -0.5  # keeps the precision
        normal = _Normal(self.data, Q, mean, scale, self.lam, own)
        # in v = u - m: (A*A + λΣ⁻¹)v = A*b - A*A m, so that what is solved for is small
        r = -work["start"] - self.data.hessian_apply(mean, mean, work=own)
        size = self.accuracy * np.sqrt(backend.sum_squares(scale * r, True))
        y, r = xp.zeros_like(v), scale * (r - normal.of(v))
        scratch = ([y], [r], [xp.empty_like(v)], [xp.empty_like(v)])
        solve_definite(normal.apply, *scratch, size, MOST, True, lambda samples: normal.take(samples).apply)
        v += scale * y
        for name, a in (("z", z), ("mean", mean)):
            if work.get(name, a[:0]).shape != a.shape:
                work[name] = xp.empty_like(a)
            work[name][...] = a
        return mean + v


@dataclass(frozen=True)
class _Normal:
    """C(∇²D + λ∇²F)C for the images of a batch, C the multiplication with ``scale``."""

    data: Functional
    Q: Functional
    mean: Array
    scale: Any
    lam: float
    work: dict[str, Any]

    def of(self, x: Array) -> Array:
        """(∇²D + λ∇²F)x."""
        y = self.data.hessian_apply(self.mean, x, work=self.work)
        return y + self.lam * self.Q.hessian_apply(self.mean, x)

    def apply(self, d: list[Array], q: list[Array]) -> None:
        q[0][...] = self.scale * self.of(self.scale * d[0])

    def take(self, samples: np.ndarray) -> _Normal:
        """That of some of the images, with scratch of its own: the state keeps only such of whole batches."""
        scale = self.scale[samples] if backend.is_array(self.scale) else self.scale
        data, Q, work = self.data.take(samples), self.Q.take(samples), {"shared": self.work["shared"]}
        return _Normal(data, Q, self.mean[samples], scale, self.lam, work)


def mean_diagonal(data: Functional, like: Array) -> float:
    """The mean of the diagonal of ∇²D, D quadratic, of images like ``like``: by one vector of random signs."""
    xp = backend.array_module(like)
    signs = np.random.default_rng(0).integers(0, 2, like.shape) * 2.0 - 1.0
    e = xp.asarray(signs.astype(like.dtype))
    return max(backend.dot(e, data.hessian_apply(0 * e, e)) / e.size, 0.0)


def diagonal_of(Q: Functional) -> Any:
    """The diagonal of ∇²Q: of a precision, or of a multiple of the identity."""
    from ipbox.learned.priors.generative.precision import PrecisionL2

    return Q.weight * Q.diagonal() if isinstance(Q, PrecisionL2) else Q.L
