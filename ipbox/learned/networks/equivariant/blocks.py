"""The residual block of unrolled iterations, equivariant."""

from __future__ import annotations

import torch
from torch import nn

from ipbox.checks import check_count, check_flag
from ipbox.groups import Dihedral, Rotations, as_group
from ipbox.learned.networks.equivariant.convolutions import GroupConv, LiftingConv, ProjectionConv

__all__ = ["EquivariantBlock"]


class EquivariantBlock(nn.Module):
    """z ↦ z' + P σ(G σ(L z)), which commutes with a group: L lifts, G is a group convolution, P projects, 3 x 3 all.

    z' are the first ``c_out`` channels of z, and σ is a leaky ReLU: the `ResidualBlock` of as many channels in between,
    with kernels of which there are fewer.

    Parameters
    ----------
    c_in, c_out : int
        Channels; c_out <= c_in.  All are scalar fields, memory channels of unrolled maps too: an element of the group
        turns each of them, and permutes none.
    fields : int
        Regular fields in between, of one channel for each element of the group.
    group : Rotations, Dihedral or str
        ``"Z4"`` is ``Rotations(4)``, ``"D4"`` ``Dihedral(4)``; exact for m = 1, 2, 4 (see `LiftingConv`).
    zero : bool
        Let P start at 0, so that z ↦ z' at first.
    padding : {"zeros", "replicate"}

    Notes
    -----
    In `LearnedProximalGradient`, ``network="equivariant"`` makes blocks for Z₄ and ``network="dihedral"`` for D₄, with
    ``width`` channels in between; a function makes any other:
    ``lambda c_in, c_out: EquivariantBlock(c_in, c_out, 8, "D2")``.

    References
    ----------
    Celledoni, Ehrhardt, Etmann, Owren, Schönlieb and Sherry, Equivariant neural networks for inverse problems, Inverse
    Problems 37 (2021).

    Examples
    --------
    >>> import torch, ipbox as ip
    >>> from ipbox.learned.networks.equivariant import EquivariantBlock, act
    >>> block, z = EquivariantBlock(3, 2, fields=4, zero=False), torch.randn(1, 3, 8, 8)
    >>> all(torch.allclose(block(act(g, z)), act(g, block(z)), atol=1e-5) for g in ip.groups.Rotations(4))
    True
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        fields: int = 8,
        group: str | Rotations | Dihedral = "Z4",
        zero: bool = True,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        if check_count(c_out, "c_out") > check_count(c_in, "c_in"):
            raise ValueError(f"c_out is {c_out}; expected at most c_in, which is {c_in}")
        check_count(fields, "fields")
        self.c_out, self.group, act = c_out, as_group(group), nn.LeakyReLU(0.1)
        last = ProjectionConv(fields, c_out, group, padding=padding)
        lift, inner = (
            LiftingConv(c_in, fields, group, padding=padding),
            GroupConv(fields, fields, group, padding=padding),
        )
        self.body = nn.Sequential(lift, act, inner, act, last)
        if check_flag(zero, "zero"):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @classmethod
    def of_width(cls, c_in: int, c_out: int, width: int, zero: bool, group: str) -> EquivariantBlock:
        """With ``width`` channels in between, as many as an ordinary block has, and costs as much."""
        order = as_group(group).order
        if width % order:
            raise ValueError(f"width is {width}; expected a multiple of {order}, the channels of a field of {group}")
        return cls(c_in, c_out, width // order, group, zero)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z[:, : self.c_out] + self.body(z)
