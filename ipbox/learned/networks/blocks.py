"""The networks N^k inside unrolled iterations: residual, from one number of channels to another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from ipbox.checks import check_count, check_flag
from ipbox.learned.networks.equivariant.blocks import EquivariantBlock

__all__ = ["BLOCKS", "ResidualBlock", "UNetBlock", "make_networks"]

Factory = Callable[[int, int], nn.Module]


def _conv(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, padding=1)


class ResidualBlock(nn.Module):
    """z ↦ z' + K₃ σ(K₂ σ(K₁ z)), with z' the first ``c_out`` channels of z, K_j 3 x 3 convolutions, σ a leaky ReLU.

    Parameters
    ----------
    c_in, c_out : int
        Channels; c_out <= c_in.
    width : int
        Channels in between.
    zero : bool
        Let K₃ start at 0, so that z ↦ z' at first.

    References
    ----------
    Adler and Öktem, Learned primal-dual reconstruction, IEEE Trans. Med. Imaging 37 (2018).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.blocks import ResidualBlock
    >>> z = torch.randn(1, 3, 8, 8)
    >>> bool((ResidualBlock(3, 2)(z) == z[:, :2]).all())
    True
    """

    def __init__(self, c_in: int, c_out: int, width: int = 32, zero: bool = True) -> None:
        super().__init__()
        self.c_out = c_out
        act = nn.LeakyReLU(0.1)
        self.body = nn.Sequential(_conv(c_in, width), act, _conv(width, width), act, _conv(width, c_out))
        if zero:
            _zero(self.body[-1])

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z[:, : self.c_out] + self.body(z)


class UNetBlock(nn.Module):
    """A small U-Net on three scales, added to the first ``c_out`` channels of what it is given.

    Parameters
    ----------
    c_in, c_out : int
        Channels; c_out <= c_in.
    width : int
        Channels on the finest scale, twice as many on the others.
    zero : bool
        Let the last convolution start at 0, so that nothing is added at first.

    References
    ----------
    Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.blocks import UNetBlock
    >>> UNetBlock(3, 2, width=4)(torch.randn(1, 3, 9, 7)).shape
    torch.Size([1, 2, 9, 7])
    """

    def __init__(self, c_in: int, c_out: int, width: int = 32, zero: bool = True) -> None:
        super().__init__()
        self.c_out, w = c_out, width
        self.fine, self.middle = _two(c_in, w), _two(w, 2 * w)
        self.coarse = _two(2 * w, 2 * w)
        self.up_middle, self.up_fine = _act(_conv(4 * w, 2 * w)), _act(_conv(3 * w, w))
        self.last = _conv(w, c_out)
        if zero:
            _zero(self.last)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        down = nn.functional.avg_pool2d
        fine = self.fine(z)
        middle = self.middle(down(fine, 2, ceil_mode=True))
        coarse = self.coarse(down(middle, 2, ceil_mode=True))
        middle = self.up_middle(torch.cat([middle, _up(coarse, middle)], dim=1))
        fine = self.up_fine(torch.cat([fine, _up(middle, fine)], dim=1))
        return z[:, : self.c_out] + self.last(fine)


def _act(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.LeakyReLU(0.1))


def _two(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(*_act(_conv(c_in, c_out)), *_act(_conv(c_out, c_out)))


def _up(z: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return nn.functional.interpolate(z, size=like.shape[2:], mode="nearest")


def _zero(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)


BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "residual": ResidualBlock,
    "unet": UNetBlock,
    "equivariant": partial(EquivariantBlock.of_width, group="Z4"),
    "dihedral": partial(EquivariantBlock.of_width, group="D4"),
}


def make_networks(
    network: str | Factory, c_in: int, c_out: int, width: int, niter: int, shared: bool, zero: bool
) -> nn.ModuleList:
    """K networks N¹, ..., N^K from ``c_in`` to ``c_out`` channels; the same one K times where they share weights."""
    check_count(niter, "niter")
    check_count(width, "width")
    if not isinstance(network, str) and not callable(network):
        raise TypeError(f"network is {network!r}; expected one of {', '.join(BLOCKS)}, or a callable (c_in, c_out)")
    if isinstance(network, str) and network not in BLOCKS:
        raise ValueError(f"network is {network!r}; expected one of {', '.join(BLOCKS)}, or a callable (c_in, c_out)")

    def make() -> nn.Module:
        made = BLOCKS[network](c_in, c_out, width, zero) if isinstance(network, str) else network(c_in, c_out)
        if not isinstance(made, nn.Module):
            raise TypeError(f"network made {type(made).__name__}; expected a torch module")
        return made

    return nn.ModuleList([make()] * niter if check_flag(shared, "shared") else [make() for _ in range(niter)])
