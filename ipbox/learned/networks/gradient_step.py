"""The gradient-step denoiser: one step of gradient descent on an explicit energy, made of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ipbox.learned.networks.denoisers import DRUNet
from ipbox.learned.networks.layers import check_images

__all__ = ["GradientStep"]


class GradientStep(nn.Module):
    r"""The denoiser :math:`D(x, \sigma) = x - \nabla_x g(x, \sigma)` with the energy

    .. math:: g(x, \sigma) = \tfrac12 \|x - N(x, \sigma)\|_2^2.

    As D is Id minus a gradient, its Jacobian is symmetric, and plug-and-play gradient methods with it descend on an
    objective that can be evaluated.

    Parameters
    ----------
    channels : int
        C, of the images.
    widths, blocks
        Of the network N, a `DRUNet` without biases; the activation is smooth, so that g has a Lipschitz gradient on
        bounded sets.
    act : {"softplus", "elu"}
        For images in [0, 1] the softplus, log(1 + exp(100 z))/100, bends where activations are; the elu of the paper is
        nearly linear there, and takes longer to train.

    Notes
    -----
    ``net(x, sigma)``: x of shape (N, C, H, W), any size; sigma in the units of x, a number or one for each sample.  The
    gradient is computed by automatic differentiation, also under ``torch.no_grad`` and ``torch.inference_mode``; D
    itself can be differentiated where gradients are on.

    References
    ----------
    Hurault, Leclaire and Papadakis, Gradient step denoiser for convergent plug-and-play, ICLR (2022).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.gradient_step import GradientStep
    >>> net = GradientStep(widths=(4, 8), blocks=1)
    >>> x = torch.rand(2, 1, 9, 12)
    >>> with torch.inference_mode():
    ...     net(x, 0.1).shape, net.energy(x, 0.1).shape
    (torch.Size([2, 1, 9, 12]), torch.Size([2]))
    """

    def __init__(
        self, channels: int = 1, widths: Sequence[int] = (24, 48, 64), blocks: int = 1, act: str = "softplus"
    ) -> None:
        super().__init__()
        if act == "relu":
            raise ValueError("act is 'relu'; expected 'elu' or 'softplus', for a smooth energy")
        self.inner = DRUNet(channels, widths, blocks, bias=False, act=act)
        self.config: dict[str, Any] = {k: v for k, v in self.inner.config.items() if k != "bias"}

    def energy(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        """g(x, sigma) of each sample, (N,)."""
        return 0.5 * (x - self.inner(x, sigma)).square().sum(dim=(1, 2, 3))

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        check_images(x, self.config["channels"])
        return x - self.gradient(x, sigma)

    def gradient(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        """∇g(x, sigma)."""
        wanted = x.requires_grad or any(p.requires_grad for p in self.parameters())
        differentiable = wanted and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            y: Any
            y, level = (t.clone() if isinstance(t, torch.Tensor) and t.is_inference() else t for t in (x, sigma))
            if not (differentiable and y.requires_grad):
                y = y.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.energy(y, level).sum(), y, create_graph=differentiable)
        return gradient
