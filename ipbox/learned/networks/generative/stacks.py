"""Stacks of strided convolutions between images and latent vectors: what the generative models are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ipbox.checks import check_count
from ipbox.learned.networks.layers import activation

__all__ = ["Decoder", "Encoder"]


class Encoder(nn.Module):
    """(N, 1, H, W) to (N, outputs): 4 x 4 convolutions with stride 2 to ``widths`` channels, then a dense layer.

    Parameters
    ----------
    dims : tuple of int
        (H, W), divisible by 2 to the number of widths.
    outputs : int
    widths : sequence of int
    act : {"relu", "elu", "softplus"}
    """

    def __init__(self, dims: tuple[int, int], outputs: int, widths: Sequence[int], act: str) -> None:
        super().__init__()
        small, widths = coarsest(dims, widths)
        layers: list[nn.Module] = []
        for c_in, c_out in zip([1, *widths[:-1]], widths, strict=True):
            layers += [nn.Conv2d(c_in, c_out, 4, stride=2, padding=1), activation(act)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * small[0] * small[1], outputs))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.body(u)


class Decoder(nn.Module):
    """(N, latent) to (N, outputs, H, W): a dense layer, transposed convolutions that double the size, one 3 x 3.

    Parameters
    ----------
    dims, widths, act
        As for `Encoder`; widths from the fine to the coarse, too.
    latent, outputs : int
    """

    def __init__(self, dims: tuple[int, int], latent: int, outputs: int, widths: Sequence[int], act: str) -> None:
        super().__init__()
        small, widths = coarsest(dims, widths)
        channels = [*widths[::-1], max(1, widths[0] // 2)]
        layers: list[nn.Module] = [nn.Linear(latent, widths[-1] * small[0] * small[1])]
        layers += [nn.Unflatten(1, (widths[-1], *small)), activation(act)]
        for c_in, c_out in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1), activation(act)]
        self.body = nn.Sequential(*layers, nn.Conv2d(channels[-1], outputs, 3, padding=1))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z)


def coarsest(dims: tuple[int, int], widths: Sequence[int]) -> tuple[tuple[int, int], list[int]]:
    """The size after all strides, and the widths, checked."""
    widths = [check_count(w, "widths") for w in widths]
    factor = 2 ** len(widths)
    if not widths or any(n % factor for n in dims):
        raise ValueError(
            f"dims is {tuple(dims)} with {len(widths)} widths; expected at least one, and multiples of "
            f"{factor}, as each halves the size"
        )
    return (dims[0] // factor, dims[1] // factor), widths
