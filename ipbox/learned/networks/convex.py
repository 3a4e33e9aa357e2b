"""The input-convex regulariser: a network with non-negative weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ipbox.checks import check_not_negative
from ipbox.learned.networks.energy import Energy, check_activation, check_kernel, leaky, positive, raw_of
from ipbox.learned.networks.experts.filter_bank import correlation_norm
from ipbox.learned.networks.layers import check_images, check_width
from ipbox.learned.networks.non_expansive import norm_bound

__all__ = ["InputConvex"]

BANK = 7  # pixels a side of the sparsifying filters


class InputConvex(Energy):
    r"""The input-convex regulariser: a network with non-negative weights, sparse filter responses, and a square.

    .. math:: R(u) = \sum_i \langle w, z_L(u)_i \rangle + \sum_j \sum_i \sqrt{(f_j * u)_i^2 + \nu^2}
        + \tfrac{\mu}{2} \|u\|^2, \qquad z_{l+1} = \sigma(W_l z_l + V_l u + b_l), \quad W_l, w \ge 0,

    convex for every value of the parameters, as σ is convex and does not decrease.

    Parameters
    ----------
    width : int
        Channels of the z_l.
    layers : int
        L.
    kernel : int
        Pixels a side of W_l and V_l, odd.
    filters : int
        Of the bank f_j, 7 x 7; they begin small.
    slope, eps : float
        Of σ, a leaky ReLU with a quadratic bend of the width eps, so that ∇R is Lipschitz.
    nu : float
        ν > 0.
    mu : float
        μ at the start > 0; it learns.

    Notes
    -----
    ``module(u)``: u of shape (N, 1, H, W), any size, with zeros beyond its boundary; R is a sum over its pixels, so its
    weight need not change with the size.  With y_l what σ is applied to, J_l its Jacobian, and p_l >= 0 the derivatives
    of R by z_l, :math:`\nabla^2 R = \sum_l J_l^T \mathrm{diag}(p_l \sigma''(y_l)) J_l + ...`, so the Lipschitz
    constant of ∇R is at most :math:`\sum_l \max p_l \|J_l\|^2 / \epsilon + ...`, where ‖J_l‖ is bounded by the norms of
    the convolutions; that of W_l >= 0 is the one at the frequency 0.

    References
    ----------
    Mukherjee, Dittmer, Shumaylov, Lunz, Öktem and Schönlieb, Learned convex regularizers for inverse problems,
    arXiv:2008.02839 (2020).
    Amos, Xu and Kolter, Input convex neural networks, ICML (2017).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks import InputConvex
    >>> R = InputConvex(width=3, layers=2, filters=2)
    >>> u, v = torch.rand(2, 1, 1, 9, 8)
    >>> bool(R((u + v) / 2) < (R(u) + R(v)) / 2), R.strong_convexity > 0
    (True, True)
    """

    convex = True

    def __init__(
        self,
        width: int = 16,
        layers: int = 4,
        kernel: int = 5,
        filters: int = 8,
        slope: float = 0.2,
        eps: float = 0.05,
        nu: float = 0.01,
        mu: float = 1e-4,
    ) -> None:
        super().__init__()
        check_width(width=width, layers=layers, filters=filters)
        check_kernel(kernel)
        slope, eps = check_activation(slope, eps)
        nu, mu = check_not_negative(nu, "nu"), check_not_negative(mu, "mu")
        if nu == 0 or mu == 0:
            raise ValueError(f"nu and mu are {nu:g} and {mu:g}; expected positive numbers")
        self.config = {"width": width, "layers": layers, "kernel": kernel, "filters": filters}
        self.config |= {"slope": slope, "eps": eps, "nu": nu, "mu": mu}
        self.slope, self.eps, self.nu = slope, eps, nu
        self.from_image = nn.ModuleList(nn.Conv2d(1, width, kernel, padding=kernel // 2) for _ in range(layers))
        mean = 1 / (width * kernel**2)
        self.raw = nn.ParameterList(
            nn.Parameter(raw_of(mean) + 0.5 * torch.randn(width, width, kernel, kernel)) for _ in range(layers - 1)
        )
        self.raw_last = nn.Parameter(torch.full((width,), raw_of(0.1 / width)))
        self.bank = nn.Parameter(torch.randn(filters, 1, BANK, BANK) / BANK)
        self.raw_bank = nn.Parameter(torch.full((filters,), raw_of(0.01)))
        self.raw_mu = nn.Parameter(torch.tensor(raw_of(mu)))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        check_images(u, 1)
        first, *rest = self.from_image
        z = leaky(first(u), self.slope, self.eps)
        for raw, conv in zip(self.raw, rest, strict=True):
            z = leaky(conv(u) + functional.conv2d(z, positive(raw), padding="same"), self.slope, self.eps)
        network = z.sum((-2, -1)) @ positive(self.raw_last)
        t = functional.conv2d(u, self.bank, padding="same")
        sparse = ((t.square() + self.nu**2).sqrt() - self.nu).sum((-2, -1)) @ positive(self.raw_bank)
        return network + sparse + 0.5 * positive(self.raw_mu) * u.square().sum((1, 2, 3))

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        sums = [positive(raw).double().sum((-2, -1)) for raw in self.raw]
        norms = [norm_bound(conv.weight) for conv in self.from_image]
        for k, W in enumerate(sums):
            norms[k + 1] = norms[k + 1] + torch.linalg.matrix_norm(W, 2) * norms[k]
        p = positive(self.raw_last).double()
        total = p.amax() * norms[-1].square()
        for W, norm in zip(reversed(sums), reversed(norms[:-1]), strict=True):
            p = p @ W
            total = total + p.amax() * norm.square()
        sparse = correlation_norm(self.bank, positive(self.raw_bank)) / self.nu
        mu = positive(self.raw_mu).double()
        return total * (1 - self.slope) / self.eps + sparse + mu, torch.zeros_like(mu), mu
