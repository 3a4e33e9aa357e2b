"""DnCNN and the U-Net, equivariant."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ipbox.checks import check_count, check_flag
from ipbox.groups import Dihedral, Rotations, as_group
from ipbox.learned.networks.equivariant.convolutions import GroupConv, LiftingConv, ProjectionConv
from ipbox.learned.networks.layers import activation, check_images, check_width, with_noise_map

__all__ = ["EquivariantDnCNN", "EquivariantUNet"]


class EquivariantDnCNN(nn.Module):
    r"""The denoiser DnCNN that commutes with a group: :math:`D(g \cdot x, \sigma) = g \cdot D(x, \sigma)`.

    Parameters
    ----------
    channels : int
        C, of the images; scalar fields.
    fields : int
        Regular fields between convolutions, of one channel for each element of the group.
    depth : int
        Number of convolutions, at least 2.
    group : Rotations, Dihedral or str
        ``"Z4"`` is ``Rotations(4)``, ``"D4"`` ``Dihedral(4)``; exact for m = 1, 2, 4 (see `LiftingConv`).
    noise_map : bool
        Give the network the noise level, as another channel; without it the network is blind, and ignores ``sigma``.
    bias : bool
        Without, the network is positively homogeneous in (x, sigma).
    act : {"relu", "elu", "softplus"}
    padding : {"zeros", "replicate"}

    Notes
    -----
    ``net(x, sigma)``: x of shape (N, C, H, W), sigma in the units of x, a number or one for each sample.  Images that
    are not square are denoised, too; there is only no quarter turn of them.

    References
    ----------
    Zhang, Zuo, Chen, Meng and Zhang, Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising,
    IEEE Trans. Image Process. 26 (2017); Cohen and Welling, Group equivariant convolutional networks, ICML (2016).

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.networks.equivariant import EquivariantDnCNN, act
    >>> net, x = EquivariantDnCNN(fields=2, depth=3, group="D4"), torch.rand(1, 1, 8, 8)
    >>> all(torch.allclose(net(act(g, x), 0.1), act(g, net(x, 0.1)), atol=1e-5) for g in ip.groups.Dihedral(4))
    True
    """

    def __init__(
        self,
        channels: int = 1,
        fields: int = 8,
        depth: int = 10,
        group: str | Rotations | Dihedral = "Z4",
        noise_map: bool = True,
        bias: bool = True,
        act: str = "relu",
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_width(channels=channels, fields=fields, depth=depth)
        if depth < 2:
            raise ValueError(f"depth is {depth}; expected at least 2 convolutions")
        check_flag(noise_map, "noise_map"), check_flag(bias, "bias")
        self.group = as_group(group)
        self.config: dict[str, Any] = dict(channels=channels, fields=fields, depth=depth, group=self.group.name)
        self.config |= dict(noise_map=noise_map, bias=bias, act=act, padding=padding)
        options: dict[str, Any] = dict(group=self.group, bias=bias, padding=padding)
        convs: list[nn.Module] = [LiftingConv(channels + noise_map, fields, **options)]
        convs += [GroupConv(fields, fields, **options) for _ in range(depth - 2)]
        layers = [layer for conv in convs for layer in (conv, activation(act))]
        self.body = nn.Sequential(*layers, ProjectionConv(fields, channels, **options))

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor = 0.0) -> torch.Tensor:
        check_images(x, self.config["channels"])
        return x - self.body(with_noise_map(x, sigma) if self.config["noise_map"] else x)


class EquivariantUNet(nn.Module):
    r"""The U-Net with convolutions that commute with a group; means over 2 x 2 pixels down, and repeated pixels up.

    Parameters
    ----------
    channels : int
        C, of the images; scalar fields.
    fields : int
        Regular fields on the finest scale; every coarser scale has twice as many.
    depth : int
        Scales.
    group : Rotations, Dihedral or str
        ``"Z4"`` is ``Rotations(4)``, ``"D4"`` ``Dihedral(4)``; exact for m = 1, 2, 4 (see `LiftingConv`).
    residual : bool
        Give x + U(x); with False U(x).
    act : {"relu", "elu", "softplus"}
    padding : {"zeros", "replicate"}

    Notes
    -----
    ``net(x)`` of shape (N, C, H, W).  Means over 2 x 2 pixels commute with quarter turns where they halve the sizes, so
    that these are even on every scale but the coarsest: images are continued by their border pixels, by as many rows
    above as below, to a multiple of 2^(depth - 1), and the result is cut.  No such continuation turns an odd size into
    an even one: odd sizes are refused.  It commutes with translations by multiples of 2^(depth - 1) pixels only, as
    every U-Net.  A residual one starts as the identity.

    Raises
    ------
    ValueError
        in a call, where depth > 1 and a size is odd.

    References
    ----------
    Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI (2015);
    Cohen and Welling, Group equivariant convolutional networks, ICML (2016).

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.equivariant import EquivariantUNet
    >>> x = torch.rand(2, 1, 18, 20)
    >>> bool((EquivariantUNet(fields=1, depth=3)(x) == x).all())
    True
    """

    def __init__(
        self,
        channels: int = 1,
        fields: int = 6,
        depth: int = 4,
        group: str | Rotations | Dihedral = "Z4",
        residual: bool = True,
        act: str = "relu",
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_width(channels=channels, fields=fields)
        check_count(depth, "depth"), check_flag(residual, "residual")
        self.group = as_group(group)
        self.config: dict[str, Any] = dict(channels=channels, fields=fields, depth=depth, group=self.group.name)
        self.config |= dict(residual=residual, act=act, padding=padding)
        options: dict[str, Any] = dict(group=self.group, padding=padding)

        def two(first: nn.Module, n: int) -> nn.Sequential:
            return nn.Sequential(first, activation(act), GroupConv(n, n, **options), activation(act))

        widths = [fields * 2**k for k in range(depth)]
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.first = two(LiftingConv(channels, fields, **options), fields)
        self.down = nn.ModuleList(two(GroupConv(m, n, **options), n) for m, n in steps)
        self.up = nn.ModuleList(two(GroupConv(m + n, m, **options), m) for m, n in steps)
        self.last = ProjectionConv(fields, channels, kernel=1, **options)
        if residual:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_images(x, self.config["channels"])
        above, left = self._margins(x)
        scales = [self.first(functional.pad(x, (left, left, above, above), mode="replicate"))]
        for down in self.down:
            scales.append(down(functional.avg_pool2d(scales[-1], 2)))
        z = scales.pop()
        for up, skip in reversed(list(zip(self.up, scales, strict=True))):
            z = up(torch.cat([skip, functional.interpolate(z, scale_factor=2.0, mode="nearest")], dim=1))
        z = self.last(z)[..., above : above + x.shape[-2], left : left + x.shape[-1]]
        return x + z if self.config["residual"] else z

    def _margins(self, x: torch.Tensor) -> tuple[int, int]:
        """Rows above and below, and columns on the left and on the right, to a multiple of the coarsest pixels."""
        missing = [-n % 2 ** len(self.down) for n in x.shape[-2:]]
        if any(m % 2 for m in missing):
            raise ValueError(f"x has shape {tuple(x.shape)}; expected even sizes, whose halves turn onto each other")
        return missing[0] // 2, missing[1] // 2
