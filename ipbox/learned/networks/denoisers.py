"""Networks from images to images, on tensors (N, C, H, W): DnCNN, DRUNet, the U-Net, and one for scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ipbox.checks import check_flag, check_positive
from ipbox.learned.networks.layers import (
    ConvBlock,
    ModulatedBlock,
    ResidualConvBlock,
    activation,
    check_images,
    check_width,
    noise_map,
    pad_to_multiple,
    with_noise_map,
)

__all__ = ["DRUNet", "DnCNN", "ScoreUNet", "UNet"]


class DnCNN(nn.Module):
    r"""The denoiser DnCNN: :math:`D(x, \sigma) = x - R(x, \sigma)`, a chain R of convolutions that finds the noise.

    Parameters
    ----------
    channels : int
        C, of the images.
    width, depth : int
        Channels between convolutions, and the number of convolutions, at least 2.
    noise_map : bool
        Give R the noise level, as another channel; without it the network is blind, and ignores ``sigma``.
    bias : bool
        Without, the network is positively homogeneous in (x, sigma).
    act : {"relu", "elu", "softplus"}

    Notes
    -----
    There is no batch normalisation: an image is denoised the same in every batch, and training goes without it at this
    depth.  ``net(x, sigma)``: x of shape (N, C, H, W), sigma in the units of x, a number or one for each sample.

    References
    ----------
    Zhang, Zuo, Chen, Meng and Zhang, Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising,
    IEEE Trans. Image Process. 26 (2017).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.denoisers import DnCNN
    >>> DnCNN(width=8, depth=3)(torch.zeros(2, 1, 17, 20), sigma=0.1).shape
    torch.Size([2, 1, 17, 20])
    """

    def __init__(
        self,
        channels: int = 1,
        width: int = 32,
        depth: int = 10,
        noise_map: bool = True,
        bias: bool = True,
        act: str = "relu",
    ) -> None:
        super().__init__()
        check_width(channels=channels, width=width, depth=depth)
        if depth < 2:
            raise ValueError(f"depth is {depth}; expected at least 2 convolutions")
        check_flag(noise_map, "noise_map"), check_flag(bias, "bias")
        self.config: dict[str, Any] = dict(channels=channels, width=width, depth=depth, noise_map=noise_map)
        self.config |= dict(bias=bias, act=act)
        widths = [channels + noise_map, *[width] * (depth - 1), channels]
        convs = [nn.Conv2d(m, n, 3, padding=1, bias=bias) for m, n in zip(widths[:-1], widths[1:], strict=True)]
        layers: list[nn.Module] = [layer for conv in convs[:-1] for layer in (conv, activation(act))]
        self.body = nn.Sequential(*layers, convs[-1])

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor = 0.0) -> torch.Tensor:
        check_images(x, self.config["channels"])
        return x - self.body(with_noise_map(x, sigma) if self.config["noise_map"] else x)


class DRUNet(nn.Module):
    r"""The denoiser DRUNet: :math:`D(x, \sigma) = x - U(x, \sigma)`, U a U-Net of residual blocks that finds the noise.

    Parameters
    ----------
    channels : int
        C, of the images.
    widths : sequence of int
        Channels on each scale, from the finest; each scale has half the pixels a side of the one before.
    blocks : int
        Residual blocks on each scale, on the way down and on the way up.
    bias : bool
        Without, as in the paper, the network is positively homogeneous: D(a x, a σ) = a D(x, σ) for a > 0.
    act : {"relu", "elu", "softplus"}

    Notes
    -----
    ``net(x, sigma)``: x of shape (N, C, H, W), of any size: it is continued by its last row and column to a multiple of
    2^(scales - 1), and the result cut; sigma in the units of x, a number or one for each sample.  The paper's network
    gives the image, this one the noise, which trains faster in half precision; and it is smaller.

    References
    ----------
    Zhang, Li, Zuo, Zhang, Van Gool and Timofte, Plug-and-play image restoration with deep denoiser prior, IEEE Trans.
    Pattern Anal. Mach. Intell. 44 (2022).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.denoisers import DRUNet
    >>> DRUNet(widths=(8, 16))(torch.zeros(2, 1, 17, 20), sigma=torch.tensor([0.1, 0.2])).shape
    torch.Size([2, 1, 17, 20])
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 96),
        blocks: int = 2,
        bias: bool = False,
        act: str = "relu",
    ) -> None:
        super().__init__()
        widths = _check_widths(widths)
        check_width(channels=channels, blocks=blocks)
        check_flag(bias, "bias")
        self.config: dict[str, Any] = dict(channels=channels, widths=widths, blocks=blocks, bias=bias, act=act)

        def chain(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualConvBlock(width, bias, act) for _ in range(blocks)))

        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.head = nn.Conv2d(channels + 1, widths[0], 3, padding=1, bias=bias)
        self.down = nn.ModuleList(chain(m) for m, _ in steps)
        self.coarser = nn.ModuleList(nn.Conv2d(m, n, 2, stride=2, bias=bias) for m, n in steps)
        self.body = chain(widths[-1])
        self.finer = nn.ModuleList(nn.ConvTranspose2d(n, m, 2, stride=2, bias=bias) for m, n in steps)
        self.up = nn.ModuleList(chain(m) for m, _ in steps)
        self.tail = nn.Conv2d(widths[0], channels, 3, padding=1, bias=bias)

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        check_images(x, self.config["channels"])
        padded = pad_to_multiple(x, 2 ** len(self.coarser))
        z = first = self.head(with_noise_map(padded, sigma))
        skips = []
        for down, coarser in zip(self.down, self.coarser, strict=True):
            skips.append(z)
            z = coarser(down(z))
        z = self.body(z)
        for up, finer, skip in reversed(list(zip(self.up, self.finer, skips, strict=True))):
            z = up(finer(z)) + skip
        noise = self.tail(z + first) if not skips else self.tail(z)
        return x - noise[..., : x.shape[-2], : x.shape[-1]]


class UNet(nn.Module):
    r"""The U-Net: convolutions on several scales, from coarse to fine joined with those from fine to coarse.

    Parameters
    ----------
    channels : int
        C, of the images.
    width : int
        Channels on the finest scale; every coarser scale has twice as many.
    depth : int
        Scales.
    residual : bool
        Give x + U(x), as FBPConvNet does, which corrects a first reconstruction; with False U(x).
    act : {"relu", "elu", "softplus"}

    Notes
    -----
    ``net(x)`` of shape (N, C, H, W), of any size: it is continued by its last row and column to a multiple of
    2^(depth - 1), and the result cut.  The last convolution of a residual network starts at 0, so that it starts as the
    identity.

    References
    ----------
    Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI (2015).
    Jin, McCann, Froustey and Unser, Deep convolutional neural network for inverse problems in imaging, IEEE Trans.
    Image Process. 26 (2017).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.denoisers import UNet
    >>> x = torch.rand(2, 1, 17, 20)
    >>> bool((UNet(width=4, depth=3)(x) == x).all())
    True
    """

    def __init__(
        self, channels: int = 1, width: int = 24, depth: int = 4, residual: bool = True, act: str = "relu"
    ) -> None:
        super().__init__()
        check_width(channels=channels, width=width, depth=depth)
        check_flag(residual, "residual")
        self.config: dict[str, Any] = dict(channels=channels, width=width, depth=depth, residual=residual, act=act)
        widths = [width * 2**k for k in range(depth)]
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.first = ConvBlock(channels, width, act=act)
        self.down = nn.ModuleList(ConvBlock(m, n, act=act) for m, n in steps)
        self.finer = nn.ModuleList(nn.ConvTranspose2d(n, m, 2, stride=2) for m, n in steps)
        self.up = nn.ModuleList(ConvBlock(2 * m, m, act=act) for m, _ in steps)
        self.last = nn.Conv2d(width, channels, 1)
        if residual:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_images(x, self.config["channels"])
        scales = [self.first(pad_to_multiple(x, 2 ** len(self.down)))]
        for down in self.down:
            scales.append(down(nn.functional.max_pool2d(scales[-1], 2)))
        z = scales.pop()
        for up, finer, skip in reversed(list(zip(self.up, self.finer, scales, strict=True))):
            z = up(torch.cat([skip, finer(z)], dim=1))
        z = self.last(z)[..., : x.shape[-2], : x.shape[-1]]
        return x + z if self.config["residual"] else z


class ScoreUNet(nn.Module):
    r"""A denoiser for noise of any size, as scores need it: a U-Net F that is told the noise level, preconditioned.

    .. math:: D(x, \sigma) = \frac{\sigma_d^2}{s^2} x + \frac{\sigma \sigma_d}{s} F(x/s, \log \sigma),
        \quad s^2 = \sigma^2 + \sigma_d^2,

    so that F has an input and a target of about unit variance at every σ; D is nearly the identity for small σ, and
    nearly σ_d F for large σ.

    Parameters
    ----------
    channels : int
        C, of the images.
    widths : sequence of int
        Channels on each scale, multiples of 8; the finest scale has half the pixels a side of the image.
    blocks : int
        Residual blocks on each scale, on the way down and on the way up.
    sigma_data : float
        σ_d, the standard deviation of the images' pixels.
    sigma_range : (float, float)
        Least and largest σ it is trained for; below the least the network is told the least.

    Notes
    -----
    ``net(x, sigma)``: x of shape (N, C, H, W), of any size: it is continued by its last row and column to a multiple of
    2^scales, and the result cut; sigma in the units of x, a number or one for each sample.  2 x 2 pixels are channels
    of the finest scale: at a quarter of the cost the convolutions see twice as far.

    References
    ----------
    Karras, Aittala, Aila and Laine, Elucidating the design space of diffusion-based generative models, NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.denoisers import ScoreUNet
    >>> net = ScoreUNet(widths=(8, 16))
    >>> net(torch.zeros(2, 1, 17, 20), sigma=torch.tensor([0.1, 30.0])).shape
    torch.Size([2, 1, 17, 20])
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (48, 96, 128),
        blocks: int = 2,
        sigma_data: float = 0.5,
        sigma_range: tuple[float, float] = (0.01, 20.0),
    ) -> None:
        super().__init__()
        widths = _check_widths(widths)
        if any(width % 8 for width in widths):
            raise ValueError(f"widths is {widths}; expected multiples of 8")
        check_width(channels=channels, blocks=blocks)
        check_positive(sigma_data, "sigma_data")
        low, high = (check_positive(s, "sigma_range") for s in sigma_range)
        if not low < high:
            raise ValueError(f"sigma_range is {sigma_range}; expected (least, largest)")
        self.config: dict[str, Any] = dict(channels=channels, widths=widths, blocks=blocks, sigma_data=sigma_data)
        self.config |= {"sigma_range": [low, high]}
        size = 4 * widths[0]
        self.embedding = nn.Sequential(nn.Linear(16, size), nn.SiLU(), nn.Linear(size, size), nn.SiLU())

        def chain(width: int) -> nn.ModuleList:
            return nn.ModuleList(ModulatedBlock(width, size) for _ in range(blocks))

        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.head = nn.Conv2d(4 * channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(chain(m) for m, _ in steps)
        self.coarser = nn.ModuleList(nn.Conv2d(m, n, 2, stride=2) for m, n in steps)
        self.body = chain(widths[-1])
        self.finer = nn.ModuleList(nn.ConvTranspose2d(n, m, 2, stride=2) for m, n in steps)
        self.up = nn.ModuleList(chain(m) for m, _ in steps)
        self.tail = nn.Conv2d(widths[0], 4 * channels, 3, padding=1)

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Least and largest σ it is trained for."""
        low, high = self.config["sigma_range"]
        return low, high

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        check_images(x, self.config["channels"])
        sigma, sigma_data = noise_map(sigma, x), self.config["sigma_data"]
        s = (sigma.square() + sigma_data**2).sqrt()
        inside = pad_to_multiple(x / s, 2 ** (1 + len(self.coarser)))
        f = self._network(inside, sigma.clamp_min(self.sigma_range[0]).log())
        return sigma_data**2 / s.square() * x + sigma * sigma_data / s * f[..., : x.shape[-2], : x.shape[-1]]

    def _network(self, x: torch.Tensor, log_sigma: torch.Tensor) -> torch.Tensor:
        """F; log σ is seen as waves of eight lengths from 32 down to 1/4."""
        lengths = 2.0 ** torch.arange(5, -3, -1, device=x.device, dtype=x.dtype)
        phase = 2 * torch.pi * log_sigma.reshape(-1, 1) / lengths
        e = self.embedding(torch.cat([phase.cos(), phase.sin()], dim=1))
        z = self.head(nn.functional.pixel_unshuffle(x, 2))
        skips = []
        for down, coarser in zip(self.down, self.coarser, strict=True):
            for block in down:
                z = block(z, e)
            skips.append(z)
            z = coarser(z)
        for block in self.body:
            z = block(z, e)
        for up, finer, skip in reversed(list(zip(self.up, self.finer, skips, strict=True))):
            z = finer(z) + skip
            for block in up:
                z = block(z, e)
        return nn.functional.pixel_shuffle(self.tail(z), 2)


def _check_widths(widths: Sequence[int]) -> list[int]:
    if isinstance(widths, str) or not isinstance(widths, Sequence) or not widths:
        raise ValueError(f"widths is {widths!r}; expected a sequence of positive integers, such as (32, 64)")
    for width in widths:
        check_width(widths=width)
    return [int(width) for width in widths]
