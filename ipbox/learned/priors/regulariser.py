"""Learned regularisers as functionals: what is proved of the network is what solvers know of them."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_not_negative, check_positive
from ipbox.functionals.core.base import Work
from ipbox.learned.networks.energy import Energy
from ipbox.learned.priors.functional import TorchFunctional
from ipbox.learned.priors.network import evaluation
from ipbox.warning import warn

ACCURACY = 1e-4  # of the prox
SEGMENTS, SIZES = 12, (0.01, 1.0, 100.0)  # on which a network that is given as convex is looked at
STALLED = 20  # steps without a smaller gradient, after which the ones of a theorem are taken


class LearnedRegulariser(TorchFunctional):
    r"""R_s(u) = s² R(u/s), R a network that gives a number for each image.

    Parameters
    ----------
    module : torch.nn.Module
        R, from tensors (N, 1, H, W) to N numbers.  Of `ConvexRidge`, `WeaklyConvexRidge`, `InputConvex`,
        `LipschitzCritic` and every other `Energy` the constants below are known; a copy is taken, in evaluation mode.
    scale : float
        s > 0: the range of the images, or their noise level, over that of the training.  The Lipschitz constant and
        both moduli do not change with it, so that one weight λ and one scale move R to other data.
    convex : bool, optional
        Of a module that is no `Energy`: whether R is convex, which is looked at along random segments of images of the
        shape ``dims``.
    L, weak_convexity : float, optional
        Of a module that is no `Energy`: the Lipschitz constant of ∇R, and ρ with R + ρ/2 ‖u‖² convex, where known.
    dims : tuple of int, optional
        Shape of the image.
    accuracy : float
        Of the prox: the norm of its error, certified, relative to that of its argument u or of τ∇R(u).
    niter : int
        Bound on the iterations of a prox; a warning says where it ended them.
    channels, axes, dtype
        As for `Denoiser`.  With ``channels="separate"`` R is the sum of its values at real and imaginary part.

    Raises
    ------
    ValueError
        for a module that is not convex and is given as such, or for constants of an `Energy`, which knows its own.

    Notes
    -----
    `prox` minimises the function h(v) = τR(v) + ½‖v - u‖², which is (1 - τρ)-strongly convex, so that
    ‖v - prox(u)‖ <= ‖∇h(v)‖/(1 - τρ).  It exists where R is convex, or where τρ < 1; solvers, which may choose any τ,
    use it of convex ones alone (``has_prox``).  Steps are those of Barzilai and Borwein, and those of Nesterov where
    they stall.  With a weight λ, λR has the modulus λρ: ½‖u - b‖² + λR(u) is convex for λρ <= 1, which solvers know.

    `ip.variational` takes solvers that need the gradient alone (FISTA, L-BFGS, and nmAPG with a constraint where R is
    not convex): PDHG and ADMM compute a prox in every step, each an inner minimisation, and take many times as long.
    Beside terms that have no gradient, such as total variation, `CondatVu` takes the place of PDHG, for R convex with
    a known L: its smooth part has R by the gradient.  λ and s are best fitted together on images like those to come; a
    λ by rule for an s that is far off can lose to total variation.

    References
    ----------
    Goujon, Neumayer and Unser, SIAM J. Imaging Sci. 17 (2024); Lunz, Öktem and Schönlieb, NeurIPS (2018).

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> class Smoothness(torch.nn.Module):                          # a network of your own
    ...     def forward(self, u):
    ...         return (1e-4 + u.diff(dim=-1).square()).sqrt().sum((1, 2, 3))
    >>> R = ip.LearnedRegulariser(Smoothness(), convex=True, L=400.0, dims=(8, 8))
    >>> A, b, x_true, info = ip.problem("denoise", image=np.eye(8, dtype="float32"), noise=0.1)
    >>> x, run = ip.variational(A, b, R, 0.1)
    >>> bool(R(x) < R(b)), R.is_convex
    (True, True)
    """

    _mu: float
    inexact_prox = True

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        scale: float = 1.0,
        convex: bool | None = None,
        L: float | None = None,
        weak_convexity: float | None = None,
        dims: tuple[int, ...] | None = None,
        accuracy: float = ACCURACY,
        niter: int = 1000,
        channels: str | None = None,
        axes: int = 2,
        dtype: str | None = None,
    ) -> None:
        own = {"convex": convex, "L": L, "weak_convexity": weak_convexity}
        given = [name for name, value in own.items() if value is not None]
        if isinstance(module, Energy):
            if given:
                raise ValueError(
                    f"{given[0]} is {own[given[0]]}, and {type(module).__name__} knows its own; expected it without"
                )
            module = copy.deepcopy(module).requires_grad_(False)
            convex, L, weak_convexity = module.convex, module.lipschitz, module.weak_convexity
        elif isinstance(module, torch.nn.Module):
            module = copy.deepcopy(module).requires_grad_(False)
        super().__init__(
            module,
            L=math.inf if L is None else L,
            convex=False if convex is None else convex,
            dims=dims,
            scale=scale,
            channels=channels,
            axes=axes,
            dtype=dtype,
        )
        if weak_convexity is None:
            rho = 0.0 if convex else self._L  # R + L/2 ‖u‖² is convex
        else:
            rho = check_not_negative(weak_convexity, "weak_convexity")
        self.rho = 0.0 if convex else rho
        strong = module.strong_convexity if isinstance(module, Energy) else 0.0
        self._mu = strong - self.rho if self.rho < math.inf else 0.0
        self.convex = bool(convex) or self._mu >= 0
        self.has_prox = self.convex
        self.accuracy, self.niter = check_positive(accuracy, "accuracy"), check_count(niter, "niter")
        if convex and not isinstance(module, Energy):
            self._check_along_segments()

    @property
    def name(self) -> str:
        name = f"LearnedRegulariser({self.net.name})"
        return name if self.weight == 1.0 else f"{self.weight:g}·{name}"

    @property
    def weak_convexity(self) -> float:
        """ρ >= 0 with R + ρ/2 ‖u‖² convex, of the weighted R; infinite where none is known."""
        return abs(self.weight) * self.rho

    @property
    def curvature(self) -> float:
        return abs(self.weight) * min(self._typical, self._L)

    @functools.cached_property
    def _typical(self) -> float:
        module = self.net.net
        return module.typical_curvature() if isinstance(module, Energy) else self._L

    def _formula(self, u: str) -> str:
        return f"R({u})" if self.net.scale == 1.0 else f"{self.net.scale:g}²·R({u}/{self.net.scale:g})"

    # ------------------------------------------------------------ value and derivatives

    def energies(self, t: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        return self.net.scale**2 * super().energies(t, sigma)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        module = self.net.net
        if not isinstance(module, Energy):
            super()._grad(x, out, work)
            return
        with evaluation(module, gradient=False):
            out[...] = self.net.leave(module.gradient(self.net.enter(x, work)), x)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        module = self.net.net
        if not isinstance(module, Energy):
            return super()._value_grad(x, out, work, batch)
        with evaluation(module, gradient=False):
            e, g = module.value_gradient(self.net.enter(x, work))
        out[...] = self.net.leave(g, x)
        return self._sums(self.net.scale**2 * e, x, batch)

    # ------------------------------------------------------------ prox

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        samples = x[None] if np.ndim(t) == 0 and (self.dims is None or x.ndim == len(self.dims)) else x
        samples = samples.reshape(-1, *(samples.shape[1:] if self.dims is None else self.dims))
        t = np.broadcast_to(np.asarray(t, dtype=np.float64), len(samples))
        if not t.max() * self.rho < 1:
            known = f"{self.rho:g}-weakly convex" if self.rho < math.inf else "not known to be weakly convex"
            raise ValueError(
                f"tau times the weight is {t.max():g}, and {self.net.name} is {known}; expected a product below 1, as "
                "the prox has several values else"
            )
        work = {} if work is None else work
        if "pull" not in work or (work["pull"].shape, work["pull"].dtype) != (samples.shape, x.dtype):
            work.update(pull=backend.array_module(x).zeros_like(samples), t=np.zeros(len(samples)))
        bounds, results = np.zeros(len(samples)), out.reshape(samples.shape)
        for i, (z, ti) in enumerate(zip(samples, t.tolist(), strict=True)):  # one stop for each sample
            last = float(work["t"][i])  # the last prox moved its argument by τ∇R = ``pull``
            v = z - work["pull"][i] * (ti / last) if last else z.copy()
            bounds[i] = self._minimise(z, ti, v)
            work["pull"][i], results[i] = z - v, v
        work["t"], work["bound"] = t.copy(), bounds

    def _minimise(self, z: Array, t: float, v: Array) -> float:
        """v <- argmin t R(v) + ½‖v - z‖², and a bound of its error."""
        eps, mu, L = float(np.finfo(z.dtype).eps), 1 + t * self._mu, 1 + t * self._L
        steps: dict[str, Any] = {}
        g, before, move = (backend.array_module(z).empty_like(z) for _ in range(3))
        self._grad(z, g, steps)
        size = max(backend.norm(z), t * backend.norm(g))  # where it may end

        def bound() -> float:
            """‖∇h(v)‖/μ, and g <- ∇h(v)."""
            self._grad(v, g, steps)
            g[...] = t * g + v - z
            return (backend.norm(g) + 4 * eps * size) / mu

        found, least, stalled, tau = bound(), math.inf, 0, 1 / L if L < math.inf else 1.0
        for _ in range(self.niter):
            if not found > max(self.accuracy, 8 * eps / mu) * size:
                return found
            stalled = 0 if found < least else stalled + 1
            least = min(least, found)
            if stalled > STALLED and L < math.inf:
                break
            before[...], move[...] = g, -tau * g
            v += move
            found = bound()
            before -= g
            curvature = -backend.dot(before, move)
            tau = backend.sum_squares(move) / curvature if curvature > 0 else tau
            tau = min(max(tau, 1 / L), 1 / mu)
        else:
            self._warn(found / size)
            return found
        return self._accelerated(z, v, move, bound, g, mu, L, size)

    def _accelerated(
        self, z: Array, v: Array, w: Array, bound: Callable[[], float], g: Array, mu: float, L: float, size: float
    ) -> float:
        """Nesterov's method for a strongly convex function, from v."""
        beta = (1 - math.sqrt(mu / L)) / (1 + math.sqrt(mu / L))
        w[...] = v  # the last one before the extrapolation
        eps = float(np.finfo(z.dtype).eps)
        for _ in range(self.niter):
            found = bound()
            if found <= max(self.accuracy, 8 * eps / mu) * size:
                return found
            g *= -1 / L
            g += v
            v[...] = g + beta * (g - w)
            w[...] = g
        self._warn(bound() / size)
        return bound()

    def _warn(self, error: float) -> None:
        warn(
            f"{type(self).__name__}.prox stopped after niter={self.niter} with a certified error of {error:.1e} ‖x‖; "
            f"asked for {self.accuracy:.1e}",
            RuntimeWarning,
        )

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        if not self.convex:
            raise TypeError(f"{self.name} is not convex, so no prox of the conjugate; expected a convex network")
        super()._prox_conj(y, sigma, out, work)

    # ------------------------------------------------------------ is it convex?

    def _check_along_segments(self) -> None:
        """Refuse a network whose value at a point between two images is above the chord."""
        if self.dims is None:
            raise ValueError("convex is True and dims is None; expected the shape of an image, to look at segments")
        rng, weights = np.random.default_rng(0), np.linspace(0, 1, 5)
        dtype = self.net.dtype or str(next(self.net.net.parameters(), torch.zeros(())).dtype)[6:]
        for size in SIZES:
            for _ in range(SEGMENTS):
                u, v = size * self.net.scale * rng.standard_normal((2, *self.dims))
                v = u * rng.standard_normal() if rng.random() < 0.3 else v  # on a ray too
                points = np.stack([u + w * (v - u) for w in weights]).astype(np.float32 if "16" in dtype else dtype)
                if self.net.layout.channels in ("complex", "separate"):
                    points = points.astype(backend.complex_dtype(points.dtype))
                values = self.value(points, batch=True)
                chord = values[0] + weights * (values[-1] - values[0])
                rounding = 1e3 * float(np.finfo(points.real.dtype).eps) * abs(values).max()
                if (values > chord + rounding).any():
                    k = int((values - chord).argmax())
                    raise ValueError(
                        f"convex is True, and {self.net.name} is {values[k]:.6g} at a point between two images where "
                        f"the chord is {chord[k]:.6g}; expected a convex network, or convex=False"
                    )
