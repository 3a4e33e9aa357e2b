"""A torch module as a smooth functional: its value, and its gradient by automatic differentiation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ipbox.backend import Array
from ipbox.checks import check_flag, check_type, is_number, shown
from ipbox.functionals.core.base import Functional, Work
from ipbox.learned.priors.layout import Layout
from ipbox.learned.priors.network import Network, evaluation
from ipbox.solvers.core.divergence import Diverged


class TorchFunctional(Functional):
    """f(x) = module(x/scale), one number for each image, with ∇f and ∇²f v by automatic differentiation.

    Parameters
    ----------
    module : torch.nn.Module
        From tensors (N, C) + pixels to N numbers, called ``module(x)``.
    L : float
        Lipschitz constant of ∇f where it is known; solvers without a line search need it.
    convex : bool
        Whether f is known to be convex.
    dims : tuple of int, optional
        Shape of the image.
    scale, channels, axes, dtype
        As for `Denoiser`.

    Notes
    -----
    For complex images the gradient is that of the inner product Re<., .>.  Parameters of the module are left as they
    are, and get no gradients.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.learned.priors import TorchFunctional
    >>> class HalfSquare(torch.nn.Module):
    ...     def forward(self, x):
    ...         return 0.5 * x.square().sum((1, 2, 3))
    >>> f, x = TorchFunctional(HalfSquare(), L=1.0, convex=True), np.full((2, 2), 3.0)
    >>> f.value(x), f.grad(x).tolist()
    (18.0, [[3.0, 3.0], [3.0, 3.0]])
    """

    _L: float
    has_grad = True

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        L: float = math.inf,
        convex: bool = False,
        dims: tuple[int, ...] | None = None,
        scale: float = 1.0,
        channels: str | None = None,
        axes: int = 2,
        dtype: str | None = None,
    ) -> None:
        super().__init__(dims)
        check_type(module, "module", torch.nn.Module, "a torch module that gives one number per image")
        if not is_number(L) or not L > 0:
            raise ValueError(f"L is {shown(L)}; expected a positive number, or infinity where it is not known")
        self.net = Network(module, Layout(channels, axes), scale, dtype, False)
        self._L, self.convex = float(L), check_flag(convex, "convex")

    @property
    def name(self) -> str:
        name = f"TorchFunctional({self.net.name})"
        return name if self.weight == 1.0 else f"{self.weight:g}·{name}"

    @property
    def is_convex(self) -> bool:
        return self.convex and self.weight >= 0

    # ------------------------------------------------------------ what a subclass may change

    def energies(self, t: torch.Tensor, sigma: Any = None) -> torch.Tensor:
        """The N numbers for the tensor t."""
        e = self.net.call(t, sigma)
        if e.shape != t.shape[:1]:
            raise ValueError(f"{self.net.name} gave shape {tuple(e.shape)}; expected ({len(t)},), a number per image")
        return e

    def _level(self, x: Array, t: torch.Tensor) -> Any:
        return None

    # ------------------------------------------------------------ value and derivatives

    def _value(self, x: Array, batch: bool) -> Any:
        with evaluation(self.net.net, gradient=False):
            t = self.net.enter(x)
            return self._sums(self.energies(t, self._level(x, t)), x, batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self._differentiate(x, out)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        return self._sums(self._differentiate(x, out), x, batch)

    def _differentiate(self, x: Array, out: Array) -> torch.Tensor:
        """The energies, and out <- ∇f(x)."""
        with evaluation(self.net.net, gradient=True):
            t = self.net.enter(x).requires_grad_()
            e = self._recorded(t, x)
            (g,) = torch.autograd.grad(e.sum(), t)
        self._write(g, x, out)
        return e.detach()

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        """out <- ∇²f(x) v, the derivative of <∇f(x), v>."""
        with evaluation(self.net.net, gradient=True):
            t, d = self.net.enter(x).requires_grad_(), self.net.enter(v)
            e = self._recorded(t, x)
            (g,) = torch.autograd.grad(e.sum(), t, create_graph=True)
            (h,) = torch.autograd.grad(g, t, d, allow_unused=True) if g.requires_grad else (None,)
        self._write(torch.zeros_like(t) if h is None else h, x, out)

    def _recorded(self, t: torch.Tensor, x: Array) -> torch.Tensor:
        """The energies, with what their gradient is made of."""
        e = self.energies(t, self._level(x, t))
        if not e.requires_grad:
            raise ValueError(f"{self.net.name} gave numbers without a gradient; expected a function of its input")
        return e

    def _write(self, g: torch.Tensor, x: Array, out: Array) -> None:
        out[...] = self.net.leave(g, x, 1 / self.net.scale)  # the chain rule; enter(v) has divided once more for ∇²f

    def _sums(self, e: torch.Tensor, x: Array, batch: bool) -> Any:
        """The sum of the energies: a float, or one for each sample of the batch."""
        e = e.double()
        if not bool(torch.isfinite(e).all()):
            raise Diverged(f"{self.name} is NaN or infinite")
        if not batch:
            return float(e.sum())
        if self.net.layout.channels == "separate":
            e = e.reshape(2, -1).sum(0)
        return np.array(e.reshape(len(x), -1).sum(1).tolist())
