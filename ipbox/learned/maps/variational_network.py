"""The variational network: gradient steps on a data term and on learned filter responses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, pad
from torch.utils.checkpoint import checkpoint

from ipbox.checks import check_count
from ipbox.keywords import answering
from ipbox.learned.maps.base import LearnedMap
from ipbox.learned.maps.channels import channels_of, from_channels, norm_of, to_channels
from ipbox.operators import Operator
from ipbox.operators.core.adapters import image_operator

__all__ = ["RadialBasis", "VariationalNetwork", "magnitude_loss", "project_filters"]


@answering
class VariationalNetwork(LearnedMap):
    r"""The variational network.

    .. math:: u^{t+1} = u^t - \frac1{N_k} \sum_i K_{t,i}^* φ_{t,i}(K_{t,i} u^t) - λ_t A^*(A u^t - b), \qquad u^0 = A^*b

    K_{t,i} are convolutions of zero mean and norm at most 1, φ_{t,i} sums of Gaussians (`RadialBasis`), λ_t > 0.

    Parameters
    ----------
    A : Operator
        With two-dimensional images; complex ones are two channels (Re, Im), whose filter responses are added.
        It is divided by its norm.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    stages : int
        T.
    filters : int
        N_k.
    size : int
        Width of the filters, odd.
    nodes : int
        Gaussians of each φ, on [-1, 1].
    scale : float
        Size of the images' values: u/scale is filtered.

    Notes
    -----
    Filters are projected whenever they are used, so that any optimiser of torch will do; λ_t is learned through its
    logarithm.  At first φ(z) = 0.04 z within (-1, 1), and λ_t = 1.  Images are continued beyond their edge by
    reflection.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    References
    ----------
    Hammernik, Klatzer, Kobler, Recht, Sodickson, Pock and Knoll, Learning a variational network for reconstruction
    of accelerated MRI data, Magn. Reson. Med. 79 (2018).

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.learned.maps.variational_network import VariationalNetwork
    >>> A, b, x_true, info = ip.problem("mri", size=32)
    >>> x, info = VariationalNetwork(A, stages=2, filters=4, size=5).reconstruct(b)
    >>> x.dtype
    dtype('complex64')
    """

    def __init__(
        self,
        A: Any,
        stages: int = 10,
        filters: int = 24,
        size: int = 11,
        nodes: int = 31,
        scale: float = 1.0,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(image_operator(A, shape), scale)
        self.config = dict(stages=stages, filters=filters, size=size, nodes=nodes, scale=scale)
        check_count(stages, "stages"), check_count(filters, "filters")
        if check_count(size, "size") % 2 == 0:
            raise ValueError(f"size is {size}; expected an odd width of the filters")
        if len(self.dims) != 2 or min(self.dims) <= size // 2:
            least = f"more than {size // 2} pixels a side"
            raise ValueError(f"A acts on images of shape {self.dims}; VariationalNetwork expects (ny, nx), {least}")
        c = channels_of(self.A.A.dtype_in)
        self.filters = nn.ParameterList(_random_filters(filters, c, size) for _ in range(stages))
        self.activations = nn.ModuleList(RadialBasis(filters, nodes) for _ in range(stages))
        self.log_lam = nn.Parameter(torch.zeros(stages))
        self._as_exact_as_data()

    any_coils = True

    def _set_operator(self, A: Operator) -> None:
        super()._set_operator(A)
        self.norm = norm_of(A)

    def iterates(self, b: torch.Tensor) -> Iterator[torch.Tensor]:
        """u⁰, ..., u^T: images (N,) + dims for data (N,) + dimsd."""
        b = b / (self.scale * self.norm)
        u = self.A.adjoint(b) / self.norm
        yield self.scale * u
        for K, φ, log_lam in zip(self.filters, self.activations, self.log_lam, strict=True):
            residual = self.A(u) / self.norm - b
            u = u - self.regulariser(u, K, φ) - log_lam.exp() * self.A.adjoint(residual) / self.norm
            yield self.scale * u

    def regulariser(self, u: torch.Tensor, K: torch.Tensor, φ: nn.Module) -> torch.Tensor:
        """(1/N_k) Σ_i K_i* φ_i(K_i u)."""
        K, r = project_filters(K), K.shape[-1] // 2
        z = pad(to_channels(u), (r, r, r, r), mode="reflect")
        back = conv_transpose2d(φ(conv2d(z, K)), K)
        return from_channels(_reflect_adjoint(back, r) / len(K))


class RadialBasis(nn.Module):
    r"""Activation functions φ_i(z) = Σ_j w_ij exp(-(z - μ_j)²/(2σ²)), one for each channel.

    The nodes μ_j are equidistant on [-``reach``, ``reach``], σ is their distance; φ falls to 0 beyond.  At first
    φ(z) = ``slope`` z between the nodes.

    Parameters
    ----------
    channels, nodes : int
    reach, slope : float

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.maps.variational_network import RadialBasis
    >>> z = torch.full((1, 1, 1, 1), 0.5)
    >>> round(RadialBasis(1, slope=0.1)(z).item(), 4)
    0.05
    """

    def __init__(self, channels: int, nodes: int = 31, reach: float = 1.0, slope: float = 0.04) -> None:
        super().__init__()
        mu = torch.linspace(-reach, reach, check_count(nodes, "nodes", 2))
        self.register_buffer("mu", mu)
        # Gaussians a distance σ apart add up to √(2π), to 1e-8
        self.weights = nn.Parameter((slope / math.sqrt(2 * math.pi)) * mu.repeat(channels, 1))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and (z.requires_grad or self.weights.requires_grad):
            return checkpoint(self._sum, z, self.weights, use_reentrant=False)  # the Gaussians are not kept
        return self._sum(z, self.weights)

    def _sum(self, z: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        sigma = float(self.mu[-1] - self.mu[0]) / (len(self.mu) - 1)
        total = torch.zeros_like(z)
        for mu, w in zip(self.mu.tolist(), weights.T, strict=True):
            total = total + w[:, None, None] * torch.exp(-0.5 * ((z - mu) / sigma).square())
        return total


def project_filters(K: torch.Tensor) -> torch.Tensor:
    """Filters (N_k, c, n, n) made of zero mean in each channel, and then of norm at most 1.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.maps.variational_network import project_filters
    >>> K = project_filters(torch.randn(3, 2, 5, 5))
    >>> bool(K.mean(dim=(2, 3)).abs().max() < 1e-6), bool(K.flatten(1).norm(dim=1).max() < 1 + 1e-6)
    (True, True)
    """
    K = K - K.mean(dim=(2, 3), keepdim=True)
    return K / K.flatten(1).norm(dim=1).clamp(min=1.0)[:, None, None, None]


def magnitude_loss(u: torch.Tensor, u_true: torch.Tensor, eps: float = 1e-12) -> torch.Tensor:
    """½‖|u|_ε - |u_true|_ε‖², |z|_ε = √(Re² + Im² + ε m), the mean over the batch; m is the mean of |u_true|².

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.maps.variational_network import magnitude_loss
    >>> float(magnitude_loss(torch.tensor([[[3 + 4j]]]), torch.tensor([[[4j]]])))
    0.5
    """
    squares = [to_channels(v).square().sum(dim=1) for v in (u, u_true)]
    m = squares[1].detach().mean()
    smooth = [(v + eps * torch.where(m > 0, m, 1.0)).sqrt() for v in squares]
    return 0.5 * (smooth[0] - smooth[1]).square().sum() / len(u)


def _random_filters(filters: int, channels: int, size: int) -> nn.Parameter:
    K = torch.randn(filters, channels, size, size)
    return nn.Parameter(K / K.flatten(1).norm(dim=1)[:, None, None, None])


def _reflect_adjoint(z: torch.Tensor, r: int) -> torch.Tensor:
    """The adjoint of padding by reflection: what was continued is added to where it came from."""
    for axis in (-2, -1):
        n = z.shape[axis]
        middle = z.narrow(axis, r, n - 2 * r)
        before, after = z.narrow(axis, 0, r).flip(axis), z.narrow(axis, n - r, r).flip(axis)
        zeros = torch.zeros_like(middle)
        one, rest = zeros.narrow(axis, 0, 1), zeros.narrow(axis, 0, n - 3 * r - 1)
        z = middle + torch.cat([one, before, rest], axis) + torch.cat([rest, after, one], axis)
    return z
