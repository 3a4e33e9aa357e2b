"""Parts of image networks: blocks of convolutions, the map of noise levels, padding, and checks of the input."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from ipbox.checks import check_choice, check_count, check_not_negative, check_type, counted, is_number

__all__ = ["ConvBlock", "ModulatedBlock", "ResidualConvBlock", "activation", "check_images", "check_width"]
__all__ += ["listed", "noise_map", "pad_to_multiple", "with_noise_map"]

_ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "softplus": lambda: nn.Softplus(beta=100.0)}


def activation(name: str) -> nn.Module:
    """The activation ``"relu"``, or a smooth one: ``"elu"`` or ``"softplus"``."""
    return _ACTIVATIONS[check_choice(name, "act", _ACTIVATIONS)]()


class ConvBlock(nn.Module):
    """z ↦ σ(K₂ σ(K₁ z)) with 3 x 3 convolutions K_j, which keep the size.

    Parameters
    ----------
    c_in, c_out : int
        Channels before and after.
    bias : bool
    act : {"relu", "elu", "softplus"}

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.layers import ConvBlock
    >>> ConvBlock(1, 4)(torch.zeros(2, 1, 5, 7)).shape
    torch.Size([2, 4, 5, 7])
    """

    def __init__(self, c_in: int, c_out: int, bias: bool = True, act: str = "relu") -> None:
        super().__init__()
        self.config = {"c_in": c_in, "c_out": c_out, "bias": bias, "act": act}
        self.first = nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(c_out, c_out, 3, padding=1, bias=bias)
        self.act = activation(act)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.act(self.second(self.act(self.first(z))))


class ResidualConvBlock(nn.Module):
    """z ↦ z + K₂ σ(K₁ z) with 3 x 3 convolutions K_j and as many channels after as before."""

    def __init__(self, channels: int, bias: bool = True, act: str = "relu") -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.act = activation(act)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z + self.second(self.act(self.first(z)))


ResidualBlock = ResidualConvBlock  # its name of old


class ModulatedBlock(nn.Module):
    """z ↦ z + K₂ σ(a ⊙ K₁ σ(norm(z)) + b), where a and b, one for each channel, are linear in an embedding e.

    Parameters
    ----------
    channels : int
        A multiple of 8, the groups of the normalisation.
    embedding : int
        Entries of e.

    References
    ----------
    Perez et al., FiLM: visual reasoning with a general conditioning layer, AAAI 2018.
    """

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight), nn.init.zeros_(self.second.bias)  # starts as the identity

    def forward(self, z: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        a, b = self.modulation(e)[:, :, None, None].chunk(2, dim=1)
        h = self.first(functional.silu(self.norm(z))) * (1 + a) + b
        return z + self.second(functional.silu(h))


def check_images(x: torch.Tensor, channels: int) -> None:
    """Raise unless ``x`` is a real floating tensor (N, channels, H, W)."""
    check_type(x, "x", torch.Tensor, "a torch tensor (N, C, H, W)")
    if x.ndim != 4 or x.shape[1] != channels or 0 in x.shape[2:]:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, C, H, W) with {counted(channels, 'channel')}")
    if not x.is_floating_point():
        raise TypeError(f"x has dtype {x.dtype}; expected a real floating one")


def check_width(**numbers_: int) -> None:
    """Raise unless each is a positive integer."""
    for name, n in numbers_.items():
        check_count(n, name)


def noise_map(sigma: float | torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The noise level as a tensor (N, 1, 1, 1) or (1, 1, 1, 1) of the dtype and device of ``x``.

    Raises
    ------
    TypeError, ValueError
        unless sigma is a finite number >= 0, or a tensor of one or N of them.
    """
    if isinstance(sigma, torch.Tensor):
        if sigma.is_complex() or sigma.numel() not in (1, x.shape[0]):
            raise ValueError(
                f"sigma is a {sigma.dtype} tensor of shape {tuple(sigma.shape)}; expected one real number, or one for "
                f"each of the {counted(x.shape[0], 'sample')}"
            )
        level = sigma.to(x).reshape(-1, 1, 1, 1)
        if not bool(((level >= 0) & level.isfinite()).all()):
            raise ValueError("sigma has values that are negative or not finite; expected noise levels >= 0")
        return level
    if not is_number(sigma):
        raise TypeError(f"sigma is {type(sigma).__name__}; expected a number or a tensor")
    sigma = check_not_negative(sigma, "sigma", "a finite noise level >= 0")
    return torch.full((1, 1, 1, 1), sigma, dtype=x.dtype, device=x.device)


def with_noise_map(x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
    """(N, C + 1, H, W): the images, and the noise level as another channel, constant over each image."""
    level = noise_map(sigma, x).expand(x.shape[0], 1, *x.shape[2:])
    return torch.cat([x, level], dim=1)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Rows and columns repeated below and to the right, until both sizes are multiples."""
    below, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return functional.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def listed(values: Iterable[int], name: str) -> list[int]:
    """A list of what is given for each layer."""
    return list(check_type(values, name, Iterable, "a sequence of integers"))
