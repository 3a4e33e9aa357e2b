"""R(u) = inf_z F(u/s, z) + S(z) as a functional of the image, with the latent vector minimised inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_positive, check_seed, check_type
from ipbox.functionals.core.base import REAL_DTYPES, Functional, Work
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.priors.generative.base import LatentPrior, Maps, start_vectors
from ipbox.learned.priors.network import evaluation
from ipbox.solvers import LBFGS, Diverged, Problem, Run, solve, stopping
from ipbox.solvers.core.stop_rule import StopRule
from ipbox.warning import warn

__all__ = ["GenerativeRegulariser"]


class GenerativeRegulariser(Functional):
    r"""R(u) = inf_z F(u/s, z) + S(z) of a generative model, in any solver for smooth functionals.

    =====================  ===============================================================  =========
    ``prior``              R(u)                                                              prox
    =====================  ===============================================================  =========
    `SoftRange`            inf_z ½‖u/s - G(z)‖² + μ/2 ‖z‖²                                   yes
    `RangePrior`           the same: ½ dist² to the range for μ = 0, not its indicator       yes
    `SparseDeviations`     inf_z Σ h_δ(u/s - G(z)) + μ/2 ‖z‖², Huber's h_δ for \|·\|         no
    `CovariancePrior`      inf_z κ log det Σ(z) + ½‖u/s - G(z)‖² in Σ(z)⁻¹ + ½‖z‖²           no
    =====================  ===============================================================  =========

    Parameters
    ----------
    prior : LatentPrior
        Of `ipbox.learned.priors.generative`, with its model and s.
    delta : float
        δ > 0: h_δ(t) = t²/(2δ) for \|t\| <= δ, else \|t\| - δ/2; in the model's unit.
    accuracy : float
        Of z: ‖∇_z E(z)‖ <= accuracy · ‖∇_z E(0)‖, E(z) = F(u/s, z) + S(z).
    niter : int
        Bound on the L-BFGS iterations for it; a warning says where it ended them.
    restarts, z0, seed
        Starts of a call without ``work``, as of `ip.generative`; the least minimum is taken.

    Raises
    ------
    TypeError, ValueError
        for other arguments, images of another shape, complex ones, and as `LatentPrior` where the decoder does not fit.

    Notes
    -----
    ∇R(u) = ∇_u F(u/s, z*)/s at the minimiser z*, by Danskin's theorem, where that is the only one.  z* depends on u as
    far as accuracy and curvature say: R is found to the square of that error, ∇R to its first power.  A solver keeps
    z* from step to step (``work["z"]``, one vector for each image), so that its R is that of one branch of minima; a
    call without ``work``, as stop rules by residual make, begins at the starts: one good ``z0`` makes these cheap.

    R is not convex.  For a quadratic F with a precision that does not depend on z, ½‖u‖²/s² - R(u) is convex, as a
    supremum of affine functions: R lies below its quadratic models with ``L`` = 1/s² (1/(δs²) of Huber's), which is
    what steps 1/L need to never raise an objective; its curvature from below has no such bound.  Of a covariance no
    ``L`` is known, and solvers search.  The prox of τR is (τ sG(z) + s² x)/(τ + s²) at the z that minimises
    s²/(s² + τ) ½‖x/s - G(z)‖² + μ/2 ‖z‖².

    References
    ----------
    Duff, Campbell and Ehrhardt, Regularising inverse problems with generative machine learning models, J. Math.
    Imaging Vis. 66 (2024); Danskin, SIAM J. Appl. Math. 14 (1966).

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.learned.priors.generative import GenerativeRegulariser, SoftRange
    >>> A, b, x_true, info = ip.problem("mri", size=64, acceleration=3, noise=0.1, real_image=True)
    >>> R = GenerativeRegulariser(SoftRange(ip.learned.pretrained("vae"), mu=0.01), restarts=1)
    >>> x, run = ip.variational(A, b, R, lam=2.0, niter=8)
    >>> ip.psnr(x, x_true) > ip.psnr(ip.zero_filled(A, b)[0], x_true) + 1
    True
    """

    dims: tuple[int, ...]
    _L: float
    dtypes = REAL_DTYPES
    has_grad = True
    inexact_prox = True

    def __init__(
        self,
        prior: LatentPrior,
        *,
        delta: float = 1e-2,
        accuracy: float = 1e-3,
        niter: int = 200,
        restarts: int = 4,
        z0: Array | None = None,
        seed: int = 0,
    ) -> None:
        check_type(prior, "prior", LatentPrior, "a prior of ipbox.learned.priors.generative")
        super().__init__(prior.dims)
        self.prior, self.delta = prior, check_positive(delta, "delta")
        self.accuracy, self.niter = check_positive(accuracy, "accuracy"), check_count(niter, "niter")
        self.starts = start_vectors(prior, check_count(restarts, "restarts"), z0, check_seed(seed), None)
        self.has_prox = prior.quadratic
        if prior.quadratic or prior.sparse:
            self._L = prior.scale**-2 / (self.delta if prior.sparse else 1.0)

    @property
    def name(self) -> str:
        name = f"{type(self).__name__}({self.prior.name})"
        return name if self.weight == 1.0 else f"{self.weight:g}·{name}"

    @property
    def is_convex(self) -> bool:
        return False

    def _formula(self, u: str) -> str:
        return self.prior.formula.replace("u", u)

    # ------------------------------------------------------------ F, and its minimiser

    def energies(self, v: torch.Tensor, t: torch.Tensor, maps: Maps, share: torch.Tensor | float = 1.0) -> torch.Tensor:
        """F(v, z) times ``share`` + S(z), (N,) float64."""
        if not (self.prior.quadratic or self.prior.sparse):
            return self.prior.energies(v, t, maps)
        if self.prior.sparse:
            terms = torch.nn.functional.huber_loss(v, maps[0], reduction="none", delta=self.delta) / self.delta
        else:
            terms = 0.5 * (v - maps[0]).square()
        return share * terms.sum(dim=(1, 2, 3), dtype=torch.float64) + self.prior.latent_energy(t)

    def latent(self, u: Array, work: Work = None) -> Array:
        """z*, (latent,), or (N, latent) for a batch of images."""
        z = self._minimiser(self._model_images(self._enter(u)), u, work)[0]
        return z.reshape(*u.shape[: u.ndim - len(self.dims)], self.prior.latent)

    def _model_images(self, x: Array) -> torch.Tensor:
        """u/s as a tensor (N, 1) + dims."""
        return to_torch(x, copy=None).reshape(-1, 1, *self.dims) / self.prior.scale

    def _minimiser(
        self, v: torch.Tensor, like: Array, work: Work, share: torch.Tensor | None = None
    ) -> tuple[Array, np.ndarray]:
        """z* and the values of E there; from ``work["z"]`` where that is of as many images, or from all starts."""
        xp, n = backend.array_module(like), len(v)
        warm = None if work is None else work.get("z")
        if warm is not None and warm.shape[0] == n and warm.dtype == like.dtype:
            starts, K = warm, 1
        else:
            starts, K = xp.tile(xp.asarray(self.starts).astype(like.dtype), (n, 1)), len(self.starts)
        E = _OfLatent(self, v.repeat_interleave(K, 0), None if share is None else share.repeat_interleave(K, 0))
        z, values = E.minimise(starts)
        best = np.arange(n) * K + np.argmin(values.reshape(n, K), axis=1)
        z, values = xp.ascontiguousarray(z[best]), values[best]
        if work is not None:
            if warm is None or warm.shape != z.shape or warm.dtype != z.dtype:
                work["z"] = xp.empty_like(z)
            work["z"][...] = z
        return z, values

    # ------------------------------------------------------------ value, gradient, prox

    def _value(self, x: Array, batch: bool) -> Any:
        values = self._minimiser(self._model_images(x), x, None)[1]
        return values if x.ndim > len(self.dims) else float(values[0])

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self._value_grad(x, out, work, False)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        v = self._model_images(x)
        z, values = self._minimiser(v, x, work)
        with evaluation(self.prior.model, gradient=False):
            t = self.prior.enter(z)
            maps = self.prior.maps(t)
        with torch.enable_grad():
            v = v.detach().requires_grad_()
            (g,) = torch.autograd.grad(self.energies(v, t, maps).sum(), v)
        out[...] = self.prior.array(g / self.prior.scale, x).reshape(x.shape)
        return values if x.ndim > len(self.dims) else float(values[0])

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        if not self.has_prox:
            raise TypeError(f"{self.name} has no prox; expected a prior whose F is ½‖u - G(z)‖²")
        v, s = self._model_images(x), self.prior.scale
        tau = to_torch(np.full(len(v), t, dtype=np.float64)).to(v.device)
        share = s**2 / (s**2 + tau)
        z, _ = self._minimiser(v, x, work, share)
        with evaluation(self.prior.model, gradient=False):
            mean = self.prior.maps(self.prior.enter(z))[0]
        part = share.to(v.dtype)[:, None, None, None]
        out[...] = self.prior.array(s * (part * v + (1 - part) * mean), x).reshape(x.shape)

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        raise TypeError(f"{self.name} is not convex, so no prox of the conjugate; expected a convex functional")


class _OfLatent(Functional):
    """E(z) = F(v, z) + S(z) for images v that are held, of latent vectors (N, latent)."""

    has_grad = True

    def __init__(self, R: GenerativeRegulariser, v: torch.Tensor, share: torch.Tensor | None) -> None:
        super().__init__((R.prior.latent,))
        self.R, self.v, self.share = R, v, share

    @property
    def is_convex(self) -> bool:
        return False

    def take(self, index: np.ndarray) -> _OfLatent:
        i = index.tolist()
        return _OfLatent(self.R, self.v[i], None if self.share is None else self.share[i])

    def _value(self, x: Array, batch: bool) -> Any:
        return self._value_grad(x, backend.array_module(x).empty_like(x), None, batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self._value_grad(x, out, work, True)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        prior = self.R.prior
        with evaluation(prior.model, gradient=True):
            t = prior.enter(x).requires_grad_()
            e = self.R.energies(self.v, t, prior.maps(t), 1.0 if self.share is None else self.share)
            (g,) = torch.autograd.grad(e.sum(), t)
        out[...] = from_torch(g.contiguous(), xp=backend.array_module(x))
        return np.array(e.tolist())

    def minimise(self, z: Array) -> tuple[Array, np.ndarray]:
        """The minimiser that L-BFGS finds from z, of each sample; and the values."""
        R, xp = self.R, backend.array_module(z)
        values, g = self.value_grad(0 * z, batch=True)
        if not np.isfinite(values).all():
            raise Diverged(f"{R.name} is NaN or infinite")
        sizes = R.accuracy * np.sqrt(backend.sum_squares(g, True))
        problem = Problem(self, batch=len(z), dims=self.dims, dtype=z.dtype, xp=xp.__name__)
        run = solve(problem, LBFGS(), x0=z, stop=_Small(sizes) | stopping.niter(R.niter))
        if "niter" in run.stop:
            g = np.sqrt(run.state.gg)
            i = int(np.argmax(g - sizes))
            warn(
                f"{R.name} stopped after niter={R.niter} at ‖∇_z E(z)‖ = {g[i] / sizes[i] * R.accuracy:.1e} "
                f"‖∇_z E(0)‖; asked for {R.accuracy:.1e}",
                RuntimeWarning,
            )
        return run.x, np.array(run.state.f)


@dataclass(frozen=True)
class _Small(StopRule):
    """‖∇E(z)‖ <= ``sizes``, one for each sample."""

    sizes: np.ndarray

    @property
    def name(self) -> str:
        return "accuracy"

    def met(self, run: Run) -> Any:
        return run.state.gg <= self.sizes**2

    def take(self, index: np.ndarray) -> _Small:
        return _Small(self.sizes[index])
