"""Regularisation by denoising (RED)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, Unpack, runtime_checkable

import numpy as np
import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_count, check_positive
from ipbox.functionals.core.base import Functional, Work
from ipbox.groups import Group
from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.functional import TorchFunctional
from ipbox.learned.priors.network import evaluation
from ipbox.learned.priors.signature import unwrapped

GRADIENTS = ("residual", "autograd", "energy")


@runtime_checkable
class HasEnergy(Protocol):
    """A denoiser D = Id - ∇g that can tell g, such as `GradientStep`."""

    def energy(self, x: torch.Tensor, sigma: Any) -> torch.Tensor:
        """g(x, sigma) of each image."""


@dataclass(frozen=True)
class REDCheck:
    """Whether x - D(x) is the gradient of ½<x, x - D(x)>: what `RED.check` measures.

    Attributes
    ----------
    homogeneity : float
        ‖J_D(x) x - D(x)‖/‖D(x)‖: 0 where D((1 + ε)x) = (1 + ε) D(x).
    asymmetry : float
        ‖J_D(x) v - J_D(x)ᵀ v‖/‖J_D(x) v‖, the largest over the random v: 0 where the Jacobian is symmetric.
    gradient_error : float
        ‖x - D(x) - ∇R(x)‖/‖∇R(x)‖ with ∇R by automatic differentiation: what the formula is wrong by.
    tol : float

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.learned.priors import RED
    >>> mean = torch.nn.AvgPool2d(3, stride=1, padding=1).double()    # linear and symmetric
    >>> found = RED(mean).check(np.random.default_rng(0).standard_normal((8, 8)))
    >>> found.holds, found.asymmetry < 1e-3
    (True, True)
    """

    homogeneity: float
    asymmetry: float
    gradient_error: float
    tol: float

    @property
    def holds(self) -> bool:
        """Whether both conditions hold to ``tol``."""
        return self.homogeneity <= self.tol and self.asymmetry <= self.tol

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        verdict = "u - D(u) is the gradient of R" if self.holds else "u - D(u) is not the gradient of R"
        return (
            f"{verdict}: D(u) is homogeneous up to {self.homogeneity:.2g} and its Jacobian symmetric up to "
            f"{self.asymmetry:.2g} (tolerance {self.tol:g}), which makes the formula wrong by {self.gradient_error:.2g}"
        )


class DenoiserOptions(TypedDict, total=False):
    """What `RED` hands on to `Denoiser`."""

    scale: float
    channels: str | None
    axes: int
    strength: float
    box: tuple[float, float] | None
    dtype: str | None
    takes_sigma: bool | None
    monitor: Any
    equivariant: Group | None
    average: bool
    seed: int


class RED(TorchFunctional):
    """R(x) = ½<x, x - D(x)>, regularisation by denoising.

    ∇R(x) = x - D(x) only where D is locally homogeneous and has a symmetric Jacobian, which no ordinary network has;
    otherwise x - D(x) may be no gradient at all.  `check` measures both conditions.

    Parameters
    ----------
    net : torch.nn.Module, callable or Denoiser
        As for `Denoiser`; a function of arrays only with ``gradient="residual"``.
    sigma : float, optional
        Noise level of the denoiser.
    gradient : {"residual", "autograd", "energy"}
        ``"residual"``: x - D(x) in the place of the gradient, as the algorithms of Romano et al.; then there is no
        value, since none belongs to it.  ``"autograd"``: R as above with its true gradient, by automatic
        differentiation.  ``"energy"``: for gradient-step denoisers, which are D = Id - ∇g: R = g, and x - D(x) is its
        gradient exactly.
    L : float
        Lipschitz constant of the gradient, assumed: 1 where D is firmly non-expansive, 2 where it is non-expansive.
    inner : int
        Fixed-point steps v ← (t D(v) + x)/(1 + t) for prox_{tR}(x), which is not known exactly; a solver goes on from
        those of its last iteration.  Only for ``"residual"``.
    scale, channels, axes, dtype, takes_sigma
        As for `Denoiser`.

    References
    ----------
    Romano, Elad and Milanfar, SIAM J. Imaging Sci. 10 (2017); Reehorst and Schniter, Regularization by denoising:
    clarifications and new interpretations, IEEE Trans. Comput. Imaging 5 (2019).

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.learned.priors import RED
    >>> mean = torch.nn.AvgPool2d(3, stride=1, padding=1).double()    # linear and symmetric
    >>> x = np.random.default_rng(0).standard_normal((8, 8))
    >>> R = RED(mean, gradient="autograd")
    >>> R.check(x).holds, bool(np.allclose(R.grad(x), RED(mean).grad(x)))
    (True, True)
    """

    def __init__(
        self,
        net: Any,
        sigma: float | None = None,
        *,
        gradient: str = "residual",
        L: float = 1.0,
        inner: int = 1,
        **options: Unpack[DenoiserOptions],
    ) -> None:
        check_choice(gradient, "gradient", GRADIENTS)
        if isinstance(net, Denoiser) and (sigma is not None or options):
            raise ValueError("net is a Denoiser, which has its noise level and layout; expected no other arguments")
        Functional.__init__(self)
        self.denoiser = net if isinstance(net, Denoiser) else Denoiser(net, sigma, **options)
        self.net, self.sigma = self.denoiser.net, self.denoiser.sigma
        if self.denoiser.lam is not None:
            raise ValueError("lam is given; RED expects a fixed noise level sigma")
        self._check_gradient(gradient)
        self.gradient, self._L, self.convex = gradient, check_positive(L, "L"), False
        self.inner = check_count(inner, "inner")
        self.explicit, self.has_prox = gradient != "residual", gradient == "residual"

    def _check_gradient(self, gradient: str) -> None:
        D = self.denoiser
        if D.is_random:
            raise ValueError(f"{D.name} is turned at random; expected average=True, for RED's denoiser is fixed")
        if D.equivariant is not None and gradient != "residual":
            raise ValueError(f"gradient is {gradient!r}, and {D.name} is averaged over a group; expected 'residual'")
        if gradient == "energy" and not isinstance(unwrapped(D.net.net), HasEnergy):
            raise TypeError(f"gradient is 'energy', and {D.net.name} has no method energy(x, sigma)")
        if gradient != "residual" and not D.net.is_module:
            raise TypeError(f"gradient is {gradient!r}, and {D.net.name} is no torch module; expected 'residual'")
        if gradient != "residual" and (D.strength < 1 or D.box is not None):
            raise ValueError(f"gradient is {gradient!r}; expected a Denoiser with strength 1 and no box")

    @property
    def name(self) -> str:
        name = f"RED({self.net.name})"
        return name if self.weight == 1.0 else f"{self.weight:g}·{name}"

    # ------------------------------------------------------------ value and gradient

    def energies(self, t: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        """½<t, t - D(t)>, or g(t), of each image."""
        if self.gradient == "energy":
            net = unwrapped(self.net.net)
            return net.energy(t, sigma) if self.net.takes_sigma else net.energy(t)
        d = self.net.apply(t.clone(), sigma)
        if t.requires_grad and not d.requires_grad:
            raise TypeError(
                f"{self.net.name} gives images without derivatives, as under torch.no_grad() or by detach(); expected "
                "a module that torch can differentiate, or gradient='residual'"
            )
        return 0.5 * (t * (t - d)).flatten(1).sum(1)

    def _level(self, x: Array, t: torch.Tensor) -> Any:
        return self.net.level(self.sigma, x, t)

    def _value(self, x: Array, batch: bool) -> Any:
        if self.gradient == "residual":
            raise TypeError(f"{self.name} has no value that x - D(x) is the gradient of; expected gradient='autograd'")
        return self.net.scale**2 * super()._value(x, batch)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        if self.gradient == "autograd":
            return self.net.scale**2 * super()._value_grad(x, out, work, batch)
        value = self._value(x, batch)
        self._grad(x, out, work)
        return value

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        if self.gradient == "autograd":
            super()._grad(x, out, work)
            return
        d = self.denoiser._denoised(x, self.sigma, x, work)
        self._show(x, d, work)
        backend.array_module(x).subtract(x, d, out=out)

    def _write(self, g: torch.Tensor, x: Array, out: Array) -> None:
        # R = scale² r(x/scale): its gradient is scale r', and ∇²R v = r'' v, with v/scale for v
        out[...] = self.net.leave(g, x, self.net.scale)

    def _show(self, x: Array, d: Array, work: Work) -> None:
        if work is not None and self.denoiser.monitor is not None:
            self.denoiser.monitor.see(x, d, self.sigma)

    @property
    def has_hessian(self) -> bool:
        return self.gradient != "residual"

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        if not self.has_prox:
            raise TypeError(f"{self.name} has no prox, its gradient is {self.gradient!r}; expected 'residual'")
        t = backend.per_sample(t, x)
        last = None if work is None else work.get("prox")
        v = x if last is None or last.shape != x.shape else last
        for k in range(self.inner):
            d = self.denoiser._denoised(v, self.sigma, last, work)
            if k == 0:  # once in each iteration of a solver
                self._show(v, d, work)
            v = (t * d + x) / (1 + t)
        if work is not None:
            work["prox"] = v
        out[...] = v

    # ------------------------------------------------------------ does the formula hold?

    def check(self, x: Array, *, directions: int = 3, seed: int = 0, tol: float = 1e-2) -> REDCheck:
        """Measure local homogeneity and symmetry of the Jacobian of D at ``x``, by forward and reverse derivatives.

        Parameters
        ----------
        x : array
            An image.
        directions : int
            Random directions v in which J v is compared with Jᵀ v.
        seed : int
        tol : float
            Defects up to which the conditions are said to hold.

        Returns
        -------
        REDCheck
        """
        if not self.net.is_module:
            raise TypeError(f"{self.net.name} is no torch module; expected one, for derivatives")
        x = self._enter(x)
        with evaluation(self.net.net, gradient=True):
            t = self.net.enter(x)
            level = self._level(x, t)
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn((directions, *t.shape), generator=generator, dtype=t.dtype).to(t.device)

            def D(u: torch.Tensor) -> torch.Tensor:
                return self.net.apply(u, level)

            u = t.clone().requires_grad_()
            d = D(u)

            def transposed(v: torch.Tensor) -> torch.Tensor:
                return torch.autograd.grad(d, u, v, retain_graph=True)[0]

            def jacobian(v: torch.Tensor) -> torch.Tensor:
                """J v by differentiating Jᵀ w in w: works where a module has no forward-mode derivative."""
                w = torch.zeros_like(d, requires_grad=True)
                (back,) = torch.autograd.grad(d, u, w, create_graph=True)
                return torch.autograd.grad(back, w, v)[0]

            defects = []
            for v in noise:
                Jv = jacobian(v)
                defects.append(_ratio(Jv - transposed(v), Jv))
            homogeneity = _ratio(jacobian(t) - d, d)
            true = t - 0.5 * (d + transposed(t))  # ∇ ½<t, t - D(t)>
            wrong = _ratio(t - d - true, true)
        return REDCheck(homogeneity, max(defects), wrong, float(tol))


def _ratio(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a.detach().norm()) / max(float(b.detach().norm()), float(np.finfo(np.float32).tiny))
