r"""Convolutions that commute with the rotations and mirror images of a group H: lifting, group and projection.

Kernels k satisfy :math:`k(Rx) = π_{out}(R)\, k(x)\, π_{in}(R)^{-1}` for every R in H, with scalar channels, on which π
is the identity, and regular fields, blocks of \|H\| channels that it permutes (`ipbox.groups`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ipbox.checks import check_choice, check_count, check_flag
from ipbox.groups import Dihedral, Group, Rotations, as_group
from ipbox.learned.networks.equivariant.steerable import rotated_basis

__all__ = ["EquivariantConv", "GroupConv", "LiftingConv", "ProjectionConv"]

PADDINGS = ("zeros", "replicate")  # both commute with quarter turns and mirror images


class EquivariantConv(nn.Module):
    r"""Base of the three: stride 1, sizes are kept; kernels are made of the weights ψ in every call.

    For H of quarter turns and mirror images, elements permute the pixels of ψ, and commuting is exact; for other
    angles ψ lies in the span of a steerable basis (`ipbox.learned.networks.equivariant.steerable`), and it is not.

    Attributes
    ----------
    group : Rotations or Dihedral
    exact : bool
    weight : Parameter, shape (fields out, fields in, channels of a field in, coefficients of ψ)
    bias : Parameter, shape (fields out,), or None
        One for each field: it has to be invariant under π.
    """

    regular_in: bool
    regular_out: bool

    def __init__(
        self,
        n_in: int,
        n_out: int,
        group: str | Rotations | Dihedral = "Z4",
        kernel: int = 3,
        bias: bool = True,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        check_count(n_in, "n_in"), check_count(n_out, "n_out"), check_flag(bias, "bias")
        self.group, self.kernel = as_group(group), check_count(kernel, "kernel")
        if kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; expected an odd number of pixels, which turn about the middle one")
        self.n_in, self.n_out, self.padding = n_in, n_out, check_choice(padding, "padding", PADDINGS)
        order, both = self.group.order, self.regular_in and self.regular_out
        self.exact = self.group.exact
        # index: what of ψ, flat, is where in h·ψ; basis: the functions of ψ, turned by h
        if self.exact:
            self.register_buffer("index", _pixels(self.group, kernel, both), persistent=False)
            coefficients = kernel**2
        else:
            basis = rotated_basis(self.group, kernel)
            self.register_buffer("index", _permutations(self.group, both), persistent=False)
            self.register_buffer("basis", torch.tensor(basis, dtype=torch.float32), persistent=False)
            coefficients = basis.shape[1]
        self.weight = nn.Parameter(torch.empty(n_out, n_in, order if both else 1, coefficients))
        self.bias = nn.Parameter(torch.empty(n_out)) if bias else None
        self.reset_parameters()

    @property
    def channels(self) -> tuple[int, int]:
        """Channels in and out."""
        order = self.group.order
        return self.n_in * (order if self.regular_in else 1), self.n_out * (order if self.regular_out else 1)

    def reset_parameters(self) -> None:
        """Kernels as large as those of an ordinary convolution of as many channels (torch's default)."""
        fan = self.channels[0] * self.kernel**2
        nn.init.uniform_(self.weight, -1 / math.sqrt(fan), 1 / math.sqrt(fan))
        if (
            not self.exact
        ):  # what a function makes, of constants and of white noise in equal parts, is as large as a pixel's
            made = (self.basis.square().sum(dim=(2, 3)) + self.basis.sum(dim=(2, 3)).square()).mean(dim=0) / 2
            self.weight.data *= self.kernel / (made * len(made)).sqrt()
        if self.bias is not None:
            nn.init.uniform_(self.bias, -1 / math.sqrt(fan), 1 / math.sqrt(fan))

    def kernels(self) -> torch.Tensor:
        """k, shape (channels out, channels in, kernel, kernel)."""
        size, order, wide = self.kernel, self.group.order, self.weight.shape[2]
        if self.exact:
            turned = self.weight.flatten(2).index_select(2, self.index)
        else:
            permuted = self.weight[:, :, self.index].unflatten(2, (order, wide))
            turned = torch.einsum("oihbj,hjxy->oihbxy", permuted, self.basis)
        turned = turned.reshape(self.n_out, self.n_in, order, wide, size, size)  # (c, c', h, h', x): h·ψ at h'
        if self.regular_out:
            turned = turned.transpose(1, 2)
        return turned.reshape(*reversed(self.channels), size, size)

    def biases(self) -> torch.Tensor | None:
        """The bias of every channel out."""
        if self.bias is None or not self.regular_out:
            return self.bias
        return self.bias.repeat_interleave(self.group.order)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        pad = self.kernel // 2
        if self.padding == "zeros":
            return functional.conv2d(z, self.kernels(), self.biases(), padding=pad)
        return functional.conv2d(functional.pad(z, (pad,) * 4, mode="replicate"), self.kernels(), self.biases())

    def expand(self) -> nn.Conv2d:
        """The ordinary convolution that it is, with the kernels it has now."""
        c_in, c_out = self.channels
        like, bias = self.weight, self.bias is not None
        conv = nn.Conv2d(c_in, c_out, self.kernel, padding=self.kernel // 2, bias=bias, padding_mode=self.padding)
        conv = conv.to(like.device, like.dtype)
        with torch.no_grad():
            conv.weight.copy_(self.kernels())
            if bias:
                conv.bias.copy_(self.biases())
        return conv.train(self.training).requires_grad_(like.requires_grad)

    def extra_repr(self) -> str:
        return f"{self.n_in}, {self.n_out}, {self.group.name}, kernel={self.kernel}, padding={self.padding}"


class LiftingConv(EquivariantConv):
    r"""From scalar channels to regular fields: :math:`k_{(c,h),c'}(x) = ψ_{c,c'}(h^{-1}x)`.

    Parameters
    ----------
    n_in, n_out : int
        Channels before, fields after.
    group : Rotations, Dihedral or str
        H; ``"Z4"`` is ``Rotations(4)``, ``"D4"`` ``Dihedral(4)``.  Exact for m = 1, 2, 4; for other m see
        `ipbox.learned.networks.equivariant.steerable`.
    kernel : int
        Its width in pixels, odd.
    bias : bool
    padding : {"zeros", "replicate"}

    References
    ----------
    Cohen and Welling, Group equivariant convolutional networks, ICML (2016).
    Weiler and Cesa, General E(2)-equivariant steerable CNNs, NeurIPS (2019).

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.networks.equivariant import LiftingConv, act
    >>> L, u, g = LiftingConv(1, 3, "D4"), torch.randn(1, 1, 6, 6), ip.groups.Dihedral(4).element(1, mirrored=True)
    >>> torch.allclose(L(act(g, u)), act(g, L(u), "regular"), atol=1e-6)
    True
    """

    regular_in, regular_out = False, True


class GroupConv(EquivariantConv):
    r"""From regular fields to regular fields: :math:`k_{(c,h),(c',h')}(x) = ψ_{c,c',h^{-1}h'}(h^{-1}x)`.

    Parameters are those of `LiftingConv`; ``n_in`` and ``n_out`` are fields.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.equivariant import GroupConv, LiftingConv
    >>> x = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    >>> net = torch.nn.Sequential(LiftingConv(1, 2), GroupConv(2, 3))
    >>> net(x).shape
    torch.Size([1, 12, 9, 9])
    """

    regular_in, regular_out = True, True


class ProjectionConv(EquivariantConv):
    r"""From regular fields to scalar channels: :math:`k_{c,(c',h')}(x) = ψ_{c,c'}(h'^{-1}x)`.

    Parameters are those of `LiftingConv`; ``n_in`` are fields, ``n_out`` channels.

    Examples
    --------
    >>> import torch
    >>> from ipbox.learned.networks.equivariant import LiftingConv, ProjectionConv
    >>> x = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    >>> net = torch.nn.Sequential(LiftingConv(1, 2), ProjectionConv(2, 1))
    >>> bool(torch.allclose(net(x.rot90(1, (2, 3))), net(x).rot90(1, (2, 3)), atol=1e-5))
    True
    """

    regular_in, regular_out = True, False


def _pixels(group: Group, kernel: int, regular: bool) -> torch.Tensor:
    """For each h, and each pixel of h·ψ, where it is in ψ."""
    block = group.order if regular else 1
    where = np.arange(block * kernel**2).reshape(block, kernel, kernel)
    return torch.tensor(np.stack([h(where, "regular" if regular else "scalar") for h in group]).ravel())


def _permutations(group: Group, regular: bool) -> torch.Tensor:
    """For each h and h', the place of h⁻¹h'; 0 where fields are scalar."""
    pairs = [[(h.inverse @ other).index if regular else 0 for other in (group if regular else [h])] for h in group]
    return torch.tensor(pairs).ravel()
