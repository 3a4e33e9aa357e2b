"""The critic of adversarial regularisation: a convolutional network whose gradient is Lipschitz."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from ipbox.checks import check_positive
from ipbox.learned.networks.energy import Energy, check_activation, check_kernel, leaky
from ipbox.learned.networks.layers import check_images, check_width, listed
from ipbox.learned.networks.non_expansive import norm_bound

__all__ = ["LipschitzCritic"]

TINY = 1e-30  # of a critic that is constant


class LipschitzCritic(Energy):
    r"""The adversarial regulariser: small for good images, large for bad ones, with slopes of norm about 1.

    .. math:: R(u) = \sum_i \langle w, z_L(u)_i \rangle, \qquad z_{l+1} = \sigma(W_l z_l + b_l), \quad z_0 = u.

    Parameters
    ----------
    widths : sequence of int
        Channels of the z_l.
    strides : sequence of int
        1 or 2 for each layer, as many as ``widths``.
    kernel : int
        Pixels a side of W_l, odd.
    slope, eps : float
        Of σ, a leaky ReLU with a quadratic bend of the width eps, so that ∇R is Lipschitz.
    modulus : float, optional
        ρ: R is multiplied by a factor, a function of the parameters, with which its bound below is ρ.  Then R is
        ρ-weakly convex for every value of the parameters, and for ρ < 1 denoising by it strongly convex.

    Notes
    -----
    ``module(u)``: u of shape (N, 1, H, W), any size, with zeros beyond its boundary.  R is a sum over places, not a
    dense layer as in the paper, so that it is defined for images of every size.  That ‖∇R‖ is about 1 is up to the
    training; the Lipschitz constant of ∇R is bounded as for `InputConvex`, by
    :math:`\sum_l \max |p_l| \|J_l\|^2 / \epsilon`.  R is not convex; its modulus of weak convexity is at most that
    constant, and with its many iterations gradient descent may leave the images that it was trained on.

    References
    ----------
    Lunz, Öktem and Schönlieb, Adversarial regularizers in inverse problems, NeurIPS (2018).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks import LipschitzCritic
    >>> R = LipschitzCritic(widths=(2, 4), strides=(1, 2))
    >>> R(torch.rand(2, 1, 9, 8)).shape, R.convex, R.weak_convexity == R.lipschitz
    (torch.Size([2]), False, True)
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 32, 64, 64),
        strides: Sequence[int] = (1, 1, 2, 2, 2),
        kernel: int = 5,
        slope: float = 0.2,
        eps: float = 0.05,
        modulus: float | None = None,
    ) -> None:
        super().__init__()
        widths, strides = tuple(listed(widths, "widths")), tuple(listed(strides, "strides"))
        check_width(**{f"widths[{i}]": n for i, n in enumerate(widths)})
        if len(strides) != len(widths) or not widths or any(s not in (1, 2) for s in strides):
            raise ValueError(f"strides is {strides}; expected 1 or 2 for each of the widths {widths}")
        check_kernel(kernel)
        self.slope, self.eps = check_activation(slope, eps)
        self.config = {"widths": list(widths), "strides": list(strides), "kernel": kernel}
        self.config |= {"slope": self.slope, "eps": self.eps}
        self.modulus = modulus
        if modulus is not None:
            self.config["modulus"] = self.modulus = check_positive(modulus, "modulus")
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride=s, padding=kernel // 2)
            for a, b, s in zip((1, *widths), widths, strides, strict=False)
        )
        self.last = nn.Parameter(torch.randn(widths[-1]) / math.sqrt(widths[-1]))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        check_images(u, 1)
        z = u
        for layer in self.layers:
            z = leaky(layer(z), self.slope, self.eps)
        R = z.sum((-2, -1)) @ self.last
        return R if self.modulus is None else R * (self.modulus / self._curvature().clamp(min=TINY)).to(R)

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        total = self._curvature()
        if self.modulus is not None:
            total = torch.full_like(total, self.modulus)
        return total, total, torch.zeros_like(total)

    def _curvature(self) -> torch.Tensor:
        """The bound of ‖∇²R‖, before R is multiplied."""
        norms: list[torch.Tensor] = []
        for layer in self.layers:
            norms.append(norm_bound(layer.weight) * (norms[-1] if norms else 1.0))
        p, total = self.last.double().abs(), 0.0
        for layer, norm in zip(reversed(self.layers), reversed(norms), strict=True):
            total = total + p.amax() * norm.square()
            p = p @ layer.weight.double().abs().sum((-2, -1))
        return total * (1 - self.slope) / self.eps
