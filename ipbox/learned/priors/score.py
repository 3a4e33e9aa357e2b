"""A denoiser network as the score of a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch

from ipbox.backend import Array
from ipbox.bayes.diffusion import Score
from ipbox.checks import check_type
from ipbox.keywords import answering
from ipbox.learned.priors.layout import Layout
from ipbox.learned.priors.network import Network, evaluation
from ipbox.learned.priors.signature import unwrapped

__all__ = ["NetworkScore", "as_score"]


@runtime_checkable
class KnowsLevels(Protocol):
    """A network that tells the least and largest noise level it is trained for, such as `ScoreUNet`."""

    @property
    def sigma_range(self) -> tuple[float, float]: ...


class NetworkScore(Score):
    """D_σ(x) = scale · net(x/scale, σ/scale), J* by automatic differentiation: see `as_score`.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.learned import as_score
    >>> class Shrink(torch.nn.Module):                         # the denoiser of N(0, I)
    ...     def forward(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> score = as_score(Shrink().double())
    >>> type(score).__name__, score.denoise(np.full((1, 2, 2), 4.0), 1.0)[0, 0]
    ('NetworkScore', array([2., 2.]))
    """

    def __init__(self, net: torch.nn.Module, scale: float = 1.0, channels: str | None = None, axes: int = 2) -> None:
        check_type(net, "net", torch.nn.Module, "a torch module called net(x, sigma); for others a class of its own")
        if channels not in (None, "first", "last"):
            raise ValueError(f"channels is {channels!r}; expected None, 'first' or 'last': images of a score are real")
        self.net = Network(net, Layout(channels, axes), scale, None, True)
        own = next((p.dtype for p in unwrapped(net).parameters() if p.is_floating_point()), None)
        made = unwrapped(net)
        known = None
        if isinstance(made, KnowsLevels):
            low, high = (s * self.net.scale for s in made.sigma_range)
            known = low, high
        super().__init__(dtype=None if own is None else str(own).removeprefix("torch."), sigma_range=known)

    @property
    def name(self) -> str:
        return f"NetworkScore({self.net.name})"

    def _denoise(self, x: Array, sigma: float) -> Array:
        return self.net(x, sigma)

    def _vjp(self, x: Array, sigma: float, v: Array) -> Array:
        return self._linearise(x, sigma)[1](v)

    def _linearise(self, x: Array, sigma: float) -> tuple[Array, Callable[[Array], Array]]:
        net = self.net
        with evaluation(net.net, gradient=True):
            t = net.enter(x).requires_grad_()
            d = net.apply(t, net.level(sigma, x, t))
        if not d.requires_grad:
            raise ValueError(f"{net.name} gave images without a gradient; expected a function of its input")

        def vjp(v: Array) -> Array:
            (g,) = torch.autograd.grad(d, t, net.enter(v).to(d.device), retain_graph=True)
            return net.leave(g, x)  # v was divided by the scale

        return net.leave(d, x), vjp


@answering
def as_score(net: Any, *, scale: float = 1.0, channels: str | None = None, axes: int = 2) -> Score:
    """A denoiser network, called ``net(x, sigma)`` on tensors (N, C) + pixels, as a `Score`.

    Trained by the mean squared error, a denoiser is D_σ(x) = E[x_0 | x_0 + σn = x] up to what it has not learned.  The
    noise levels of a sampler reach far above those of an ordinary denoiser: it should have seen σ from small ones up to
    a few times the range of the images.

    Parameters
    ----------
    net : torch.nn.Module or Score
        A `Score` is returned as it is.
    scale : float
        The network's unit: images and σ are divided by it.
    channels : str, optional
        None for images of one channel, ``"first"`` or ``"last"`` for colours along that axis.
    axes : int
        Number of the axes of pixels.

    Returns
    -------
    Score
        Of samples (n,) + image, in the dtype of the network.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.learned.priors import as_score
    >>> class White(torch.nn.Module):                  # of N(0, I)
    ...     def forward(self, x, sigma):
    ...         return x / (1 + sigma**2)
    >>> as_score(White()).score(np.full((1, 2, 2), 5.0, "float32"), sigma=2.0)[0, 0]
    array([-1., -1.], dtype=float32)
    """
    if isinstance(net, Score):
        return net
    return NetworkScore(net, scale, channels, axes)
